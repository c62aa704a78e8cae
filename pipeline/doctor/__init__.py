"""Says what made a file of features: from its values, and by extracting some videos again and comparing."""

"""The doctor: it finds what made a file of features, from its values and by extracting some videos again."""

"""The methods, one file each: settings, network, terms of the objective, published values; nothing here needs torch."""

"""Feature files as the authors of a data set distribute them, checked and written as shards."""

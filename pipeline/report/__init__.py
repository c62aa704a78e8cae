"""The HTML page: what was run, how well it scored, and what it looks like, in one file without a network."""

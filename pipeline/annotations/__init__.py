"""Data sets as they are distributed, turned into one manifest: a row per labelled clip."""

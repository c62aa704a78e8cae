"""Trained weights used on any video: windows, features by the weights' own recipe, events, and forms to look at."""

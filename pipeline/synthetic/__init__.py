"""The embedded data set: seeded clips in which an object is seen, heard, both or neither, as real mp4 files.

Scores on it say whether the pipeline works, nothing about the methods.
"""

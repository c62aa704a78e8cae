"""The embedded data sets, one a task: seeded clips in which objects are seen, heard, both or neither, as mp4 files.

Scores on them say whether the pipeline works, nothing about the methods.
"""

"""A media file becomes frames and sound, each with its time, cut into segments."""

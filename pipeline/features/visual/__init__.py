"""Frames and snippets of a video, through a backbone, to maps or vectors per segment."""

"""Colours, maps, thumbnails and timelines, drawn alike in the report and in predictions."""

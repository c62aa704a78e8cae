"""Colours, thumbnails and heat maps that the report, predictions and tables share."""

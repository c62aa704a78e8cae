"""Scores of localization, and how far each may move by chance."""

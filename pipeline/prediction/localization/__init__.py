"""Localization: events that are seen and heard, found in windows of any video, and how that is said."""

"""Parsing: what is heard, seen, or both in windows of any video, and how that is said."""

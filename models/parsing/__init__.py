"""Networks that parse videos: which events are heard, seen, or both, per segment, several at once."""

"""What the page of localization alone has: one category per clip, where the network looked, what it confused."""

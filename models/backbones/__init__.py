"""Feature networks: pictures, snippets or log-mel patches in, maps or vectors out."""

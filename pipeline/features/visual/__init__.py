"""Visual features: from frames or snippets of a video to maps or vectors per segment, through a backbone."""

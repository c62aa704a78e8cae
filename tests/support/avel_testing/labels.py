"""Labels of segments for the tests of scores, of three categories and background."""

import numpy as np

NUM_CATEGORIES = 3
BACKGROUND = 3


def labels(*clips: str) -> np.ndarray:
    """Turn texts such as "..01" into labels, a dot being background."""
    return np.array([[BACKGROUND if mark == "." else int(mark) for mark in clip] for clip in clips])


def random_labels(seed: int, num_clips: int = 50, num_segments: int = 10) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, NUM_CATEGORIES + 1, (num_clips, num_segments))

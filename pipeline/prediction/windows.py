"""How a video of any length is cut into windows, and whose answer counts where windows overlap.

A network judges clips of T segments, so a window has as many. Windows follow each other; the last one ends with the
video, and where it overlaps the one before, the overlap is divided in its middle: each segment is taken from the
window in which it lies further from the border::

    segment    0                   10                  20        25        T = 10, 25 segments
    window 0   |===================|
    window 1                       |============------|
    window 2                                 |--===============|           = counts, - does not

A video with fewer segments than a window has one window, which ends after it.
"""

import math
from itertools import pairwise

import numpy as np

from pipeline.media.segments import TIME_RESOLUTION_SECONDS


def count_segments(duration_seconds: float, segment_seconds: float) -> int:
    """Return how many segments a video has: whole ones, and a rest of at least half of one; never none.

    >>> count_segments(9.5, 1.0), count_segments(9.4, 1.0), count_segments(0.1, 1.0)
    (10, 9, 1)
    """
    return max(1, math.floor((duration_seconds + TIME_RESOLUTION_SECONDS) / segment_seconds + 0.5))


def window_starts(num_segments: int, num_per_window: int) -> list[int]:
    """Return the first segment of each window.

    >>> window_starts(25, 10), window_starts(20, 10), window_starts(4, 10)
    ([0, 10, 15], [0, 10], [0])
    """
    starts = list(range(0, num_segments - num_per_window + 1, num_per_window))
    if not starts:
        return [0]
    last = num_segments - num_per_window
    return starts if starts[-1] == last else [*starts, last]


def window_of_segments(num_segments: int, num_per_window: int) -> np.ndarray:
    """Return for each segment the window whose answer counts.

    Parameters
    ----------
    num_segments, num_per_window : int
        Positive.

    Returns
    -------
    np.ndarray, shape (num_segments,), int64
        Positions in what :func:`window_starts` returns; in the middle of an overlap the earlier window.

    Examples
    --------
    Windows start at 0, 4 and 5; segments 5, 6 and 7 are in the last two:

    >>> window_of_segments(9, 4)
    array([0, 0, 0, 0, 1, 1, 1, 2, 2])
    """
    starts = window_starts(num_segments, num_per_window)
    first_of = [0]
    for earlier, later in pairwise(starts):
        overlap = earlier + num_per_window - later
        first_of.append(later + (overlap + 1) // 2)
    return np.searchsorted(first_of, np.arange(num_segments), side="right") - 1

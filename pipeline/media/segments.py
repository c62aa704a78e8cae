"""Which frames and which samples belong to a segment: index arithmetic that needs no video.

A clip is cut into T segments of equal length; `frames_per_segment` (K) frames are sampled in each, evenly, the
first one where the segment begins::

    time       0.0      0.5      1.0      1.5      2.0 s
    segment    |------- 0 -------|------- 1 -------|        T = 2
    sample     0    1    2    3    0    1    2    3         K = 4

A frame index counts the decoded frames of a video in presentation order, from 0; -1 stands for "no frame".
"""

import math

import numpy as np

from pipeline.core.errors import explain

NO_FRAME = -1

TIME_RESOLUTION_SECONDS = 1e-6
"""Times closer than this are the same: time stamps are multiples of a time base, rounded to a float."""

MIN_AVAILABLE_SHARE = 0.5
"""A segment is valid when at least this share of its samples exists."""


def frame_indices_by_number(num_frames: int, num_segments: int, frames_per_segment: int) -> np.ndarray:
    """Return the frames that the AVE features were made of, chosen by frame number, whatever their time.

    With ``interval = int(N / T)``, sample i of segment s is frame ``int(s * interval + (i / K) * interval)``: the
    clip is assumed to fill the video at a constant rate. Up to T - 1 frames at the end are never used, and fewer
    than K frames per segment repeat. This is ``video_frame_sample`` of the code released with AVE (Tian et al.,
    ECCV 2018), to the same rounding.

    Parameters
    ----------
    num_frames : int
        N, the number of frames of the whole video, at least `num_segments`.
    num_segments : int
        T, positive.
    frames_per_segment : int
        K, positive.

    Returns
    -------
    np.ndarray, shape (T, K), int64
        Frame indices, each in 0 … N - 1 and none smaller than the one before.

    Raises
    ------
    ValueError
        If a count is not positive, or there are fewer frames than segments.

    Examples
    --------
    Nine frames, two segments: the interval is 4, and the ninth frame is not used.

    >>> frame_indices_by_number(9, 2, 4)
    array([[0, 1, 2, 3],
           [4, 5, 6, 7]])

    Two frames for four samples: each is taken twice.

    >>> frame_indices_by_number(4, 2, 4)
    array([[0, 0, 1, 1],
           [2, 2, 3, 3]])
    """
    _require_counts(num_segments, frames_per_segment)
    if num_frames < num_segments:
        raise ValueError(
            explain(
                "num_frames",
                expected=f"at least one frame for each of {num_segments} segments",
                found=num_frames,
                remedy="sample by time, which masks the segments that have none",
            )
        )
    interval = num_frames // num_segments
    start = np.arange(num_segments)[:, np.newaxis] * interval
    offset = np.arange(frames_per_segment) / frames_per_segment * interval
    return (start + offset).astype(np.int64)


def frame_indices_by_time(
    timestamps_seconds: np.ndarray,
    num_segments: int,
    frames_per_segment: int,
    segment_seconds: float,
) -> np.ndarray:
    """Return the frame on display at each sampling time, or -1 where the video shows none.

    Sample i of segment s is wanted at ``(s + i / K) * segment_seconds`` after time zero, and is the last frame that
    starts no later. A frame is shown until the next one starts, the last for one frame period (the median
    distance of two frames). The first frame also stands for wanted times up to one period before it, since many
    encoders delay it that much::

        frames        0   1   2   3                             period = 1/4 s
        shown     ....|===|===|===|===|
        wanted    ^       ^       ^       ^                     K = 2, T = 2
        index     0       1       3      -1

    Parameters
    ----------
    timestamps_seconds : np.ndarray, shape (N,), float
        When each frame starts, ascending, on the clip's clock; may start before or after zero, may be empty. With
        one frame there is no period to measure: it is shown for ``segment_seconds / K``.
    num_segments : int
        T, positive.
    frames_per_segment : int
        K, positive.
    segment_seconds : float
        Positive.

    Returns
    -------
    np.ndarray, shape (T, K), int64
        Frame indices in 0 … N - 1, or -1.

    Raises
    ------
    ValueError
        If a count or `segment_seconds` is not positive, or the time stamps are not one ascending row of finite
        numbers.

    Examples
    --------
    Four frames a second, for one and a half of two seconds:

    >>> frame_indices_by_time(np.arange(6) / 4, 2, 4, 1.0)
    array([[ 0,  1,  2,  3],
           [ 4,  5, -1, -1]])

    A rate that varies: the frame of 0.25 s stays until 1.0 s.

    >>> frame_indices_by_time(np.array([0.0, 0.25, 1.0, 1.25, 1.5]), 2, 2, 1.0)
    array([[0, 1],
           [2, 4]])
    """
    _require_counts(num_segments, frames_per_segment)
    _require_duration(segment_seconds)
    timestamps = np.asarray(timestamps_seconds, dtype=np.float64)
    if timestamps.ndim != 1:
        raise ValueError(
            explain(
                "timestamps_seconds",
                expected="shape (N,)",
                found=f"shape {timestamps.shape}",
                remedy="pass one time per frame",
            )
        )
    distances = np.diff(timestamps)
    if not np.isfinite(timestamps).all() or (distances < 0).any():
        raise ValueError(
            explain(
                "timestamps_seconds",
                expected="finite times in ascending order",
                found="one that is not",
                remedy="leave out frames without a time and sort by it",
            )
        )
    shape = (num_segments, frames_per_segment)
    if timestamps.size == 0:
        return np.full(shape, NO_FRAME, dtype=np.int64)

    moving = distances[distances > 0]
    period = float(np.median(moving)) if moving.size else segment_seconds / frames_per_segment
    wanted = np.arange(num_segments * frames_per_segment) * segment_seconds / frames_per_segment
    wanted += TIME_RESOLUTION_SECONDS
    indices = np.searchsorted(timestamps, wanted, side="right") - 1
    indices[(indices == NO_FRAME) & (timestamps[0] - wanted <= period)] = 0
    indices[wanted >= timestamps[-1] + period] = NO_FRAME
    return indices.astype(np.int64).reshape(shape)


def segment_valid(indices: np.ndarray) -> np.ndarray:
    """Return which segments can be used: those of which at least half of the samples exist.

    Parameters
    ----------
    indices : np.ndarray, shape (T, K), int
        The frame of each sample, or -1.

    Returns
    -------
    np.ndarray, shape (T,), bool

    Raises
    ------
    ValueError
        If the shape or type is another.

    Examples
    --------
    >>> segment_valid(np.array([[0, 1], [2, -1], [-1, -1]]))
    array([ True,  True, False])
    """
    indices = np.asarray(indices)
    if indices.ndim != 2 or indices.shape[1] == 0 or not np.issubdtype(indices.dtype, np.integer):
        raise ValueError(
            explain(
                "indices",
                expected="integers of shape (T, K), K positive",
                found=f"{indices.dtype} of shape {indices.shape}",
                remedy="pass what frame_indices_by_number or frame_indices_by_time returns",
            )
        )
    exists = indices != NO_FRAME
    result: np.ndarray = exists.mean(axis=1) >= MIN_AVAILABLE_SHARE
    return result


def sample_range(segment: int, sample_rate_hz: int, segment_seconds: float) -> tuple[int, int]:
    """Return where a segment's audio begins and ends, in samples, the end not included.

    A boundary is rounded once (half up) and shared by the two segments that meet there, so segments tile the
    waveform without gap or overlap at any rate; their lengths may differ by one sample.

    Parameters
    ----------
    segment : int
        Counted from 0.
    sample_rate_hz : int
        Positive.
    segment_seconds : float
        Positive.

    Returns
    -------
    tuple of int
        Start and stop.

    Raises
    ------
    ValueError
        If `segment` is negative, or the rate or the duration is not positive.

    Examples
    --------
    >>> sample_range(3, 44100, 1.0)
    (132300, 176400)

    Half a second at 11,025 Hz is 5512.5 samples:

    >>> sample_range(0, 11025, 0.5), sample_range(1, 11025, 0.5)
    ((0, 5513), (5513, 11025))
    """
    if segment < 0 or sample_rate_hz <= 0:
        raise ValueError(
            explain(
                "segment, sample_rate_hz",
                expected="a segment from 0 and a positive rate",
                found=f"{segment}, {sample_rate_hz}",
                remedy="pass the index of a segment and the rate of the waveform",
            )
        )
    _require_duration(segment_seconds)
    start, stop = (math.floor(number * segment_seconds * sample_rate_hz + 0.5) for number in (segment, segment + 1))
    return start, stop


def _require_counts(num_segments: int, frames_per_segment: int) -> None:
    if num_segments < 1 or frames_per_segment < 1:
        raise ValueError(
            explain(
                "num_segments, frames_per_segment",
                expected="positive counts",
                found=f"{num_segments}, {frames_per_segment}",
                remedy="pass at least 1 of each",
            )
        )


def _require_duration(segment_seconds: float) -> None:
    if not (math.isfinite(segment_seconds) and segment_seconds > 0):
        raise ValueError(
            explain(
                "segment_seconds",
                expected="a positive number of seconds",
                found=segment_seconds,
                remedy="pass the length of one segment",
            )
        )

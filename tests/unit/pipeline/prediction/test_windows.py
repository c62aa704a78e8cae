import numpy as np
import pytest

from pipeline.prediction.windows import count_segments, window_of_segments, window_starts


def test_half_a_segment_at_the_end_counts_and_less_does_not() -> None:
    assert [count_segments(seconds, 2.0) for seconds in (3.0, 2.9, 4.99, 5.0, 0.2)] == [2, 1, 2, 3, 1]


def test_the_error_of_a_timestamp_does_not_cost_a_segment() -> None:
    assert count_segments(9.5 - 1e-9, 1.0) == 10


@pytest.mark.parametrize("num_segments", [*range(1, 26), 60, 61])
@pytest.mark.parametrize("num_per_window", [1, 4, 10])
def test_windows_cover_the_video_and_the_last_one_ends_with_it(num_segments: int, num_per_window: int) -> None:
    starts = window_starts(num_segments, num_per_window)
    covered = {segment for start in starts for segment in range(start, start + num_per_window)}
    assert covered >= set(range(num_segments))
    assert len(starts) == max(1, -(-num_segments // num_per_window))
    if num_segments >= num_per_window:
        assert max(covered) == num_segments - 1
        assert starts[:-1] == [number * num_per_window for number in range(len(starts) - 1)]


@pytest.mark.parametrize("num_segments", [*range(1, 26), 60, 61])
@pytest.mark.parametrize("num_per_window", [1, 4, 10])
def test_each_segment_is_taken_where_it_lies_furthest_from_a_border(num_segments: int, num_per_window: int) -> None:
    starts = window_starts(num_segments, num_per_window)
    chosen = window_of_segments(num_segments, num_per_window)
    assert chosen.shape == (num_segments,)
    for segment, window in enumerate(chosen):
        distances = [min(segment - start, start + num_per_window - 1 - segment) for start in starts]
        assert distances[window] == max(distances) >= 0
        assert window == int(np.argmax(distances)), "of two, the earlier window"

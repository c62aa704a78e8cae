import itertools

import numpy as np
import pytest

from pipeline.media.segments import frame_indices_by_number, frame_indices_by_time, sample_range, segment_valid


class TestFrameIndicesByNumber:
    @pytest.mark.parametrize("num_frames", [10, 19, 100, 176, 250, 299, 300, 500])
    @pytest.mark.parametrize("frames_per_segment", [1, 3, 10, 16])
    def test_equals_the_released_rule(self, num_frames, frames_per_segment):
        interval = int(num_frames / 10)
        expected = [
            [int(s * interval + (i * 1.0 / frames_per_segment) * interval) for i in range(frames_per_segment)]
            for s in range(10)
        ]
        indices = frame_indices_by_number(num_frames, 10, frames_per_segment)
        np.testing.assert_array_equal(indices, expected)
        assert indices.max() < num_frames

    def test_rounds_as_the_released_rule_where_floats_miss_a_whole_number(self):
        # 7 / 10 * 90 is 62.99999999999999 in floating point.
        assert frame_indices_by_number(900, 10, 10)[0, 7] == int((7 / 10) * 90) == 62

    def test_a_rate_below_the_sampling_rate_repeats_frames(self):
        indices = frame_indices_by_number(100, 10, 16)
        assert indices.shape == (10, 16)
        assert [len(np.unique(row)) for row in indices] == [10] * 10

    def test_seventeen_frames_a_second_leave_one_frame_of_each_out(self):
        indices = frame_indices_by_number(176, 10, 16)
        np.testing.assert_array_equal(indices[0], np.arange(16))
        np.testing.assert_array_equal(indices[1], 17 + np.arange(16))

    def test_as_many_frames_as_segments_is_enough(self):
        np.testing.assert_array_equal(frame_indices_by_number(3, 3, 2), [[0, 0], [1, 1], [2, 2]])

    @pytest.mark.parametrize("num_frames", [-1, 0, 9])
    def test_fewer_frames_than_segments_are_refused(self, num_frames):
        with pytest.raises(ValueError, match="num_frames: expected at least one frame for each of 10"):
            frame_indices_by_number(num_frames, 10, 16)

    @pytest.mark.parametrize(("num_segments", "frames_per_segment"), [(0, 16), (10, 0), (-1, 1)])
    def test_counts_that_are_not_positive_are_refused(self, num_segments, frames_per_segment):
        with pytest.raises(ValueError, match="positive counts"):
            frame_indices_by_number(100, num_segments, frames_per_segment)


def frame_shown_at(wanted_seconds, timestamps):
    """Restate the rule of frame_indices_by_time for one time, slowly and with a tolerance of a microsecond."""
    period = np.median([b - a for a, b in itertools.pairwise(timestamps) if b > a])
    shown = -1
    for index, start in enumerate(timestamps):
        if start <= wanted_seconds + 1e-6:
            shown = index
    if shown == -1 and timestamps[0] <= wanted_seconds + period + 1e-6:
        shown = 0
    if wanted_seconds + 1e-6 >= timestamps[-1] + period:
        shown = -1
    return shown


class TestFrameIndicesByTime:
    @pytest.mark.parametrize("rate", [1, 10, 17.58, 24, 25, 30000 / 1001, 50, 60])
    @pytest.mark.parametrize("frames_per_segment", [1, 4, 5, 16])
    @pytest.mark.parametrize("start_seconds", [-0.5, 0.0, 0.02, 2.3])
    def test_equals_a_slow_restatement(self, rate, frames_per_segment, start_seconds):
        timestamps = start_seconds + np.arange(int(7.4 * rate)) / rate
        expected = [
            [frame_shown_at(s + i / frames_per_segment, timestamps) for i in range(frames_per_segment)]
            for s in range(10)
        ]
        indices = frame_indices_by_time(timestamps, 10, frames_per_segment, 1.0)
        np.testing.assert_array_equal(indices, expected)

    @pytest.mark.parametrize("segment_seconds", [0.5, 1.0, 2.0])
    def test_equals_a_slow_restatement_at_a_variable_rate(self, segment_seconds):
        timestamps = np.sort(np.random.default_rng(5).uniform(0, 8, size=60))
        expected = [[frame_shown_at((s + i / 8) * segment_seconds, timestamps) for i in range(8)] for s in range(10)]
        indices = frame_indices_by_time(timestamps, 10, 8, segment_seconds)
        np.testing.assert_array_equal(indices, expected)

    @pytest.mark.parametrize("rate", [16, 32, 160])
    def test_agrees_with_the_rule_by_number_where_the_rate_is_constant_and_the_video_exact(self, rate):
        by_time = frame_indices_by_time(np.arange(10 * rate) / rate, 10, 16, 1.0)
        np.testing.assert_array_equal(by_time, frame_indices_by_number(10 * rate, 10, 16))

    def test_rounding_of_time_stamps_moves_no_frame(self):
        exact = frame_indices_by_time(np.arange(250) / 25, 10, 5, 1.0)
        accumulated = frame_indices_by_time(np.cumsum(np.full(250, 0.04)) - 0.04, 10, 5, 1.0)
        np.testing.assert_array_equal(accumulated, exact)
        np.testing.assert_array_equal(exact.ravel(), np.arange(50) * 5)

    def test_a_short_video_leaves_the_rest_without_frames(self):
        indices = frame_indices_by_time(np.arange(55) / 10, 10, 2, 1.0)
        assert indices[5].tolist() == [50, -1]
        assert (indices[6:] == -1).all()

    def test_the_last_frame_is_shown_for_one_period_and_no_longer(self):
        indices = frame_indices_by_time(np.array([0.0, 0.25, 0.5]), 1, 8, 1.0)
        assert indices.tolist() == [[0, 0, 1, 1, 2, 2, -1, -1]]

    def test_a_gap_shows_the_frame_before_it(self):
        timestamps = np.concatenate([np.arange(5), np.arange(25, 30)]) / 10
        indices = frame_indices_by_time(timestamps, 3, 2, 1.0)
        assert indices.tolist() == [[0, 4], [4, 4], [4, 5]]

    @pytest.mark.parametrize(("start_seconds", "first"), [(0.0, 0), (0.1, 0), (0.11, -1)])
    def test_a_first_frame_late_by_up_to_a_period_counts(self, start_seconds, first):
        indices = frame_indices_by_time(start_seconds + np.arange(20) / 10, 1, 4, 1.0)
        assert indices[0, 0] == first
        assert (indices[0, 1:] >= 0).all()

    def test_a_video_that_starts_late_keeps_its_time(self):
        indices = frame_indices_by_time(3 + np.arange(70) / 10, 10, 1, 1.0)
        assert indices.ravel().tolist() == [-1, -1, -1, 0, 10, 20, 30, 40, 50, 60]

    def test_frames_before_zero_are_passed_over(self):
        indices = frame_indices_by_time(np.array([-0.5, 0.0, 0.5]), 1, 2, 1.0)
        assert indices.tolist() == [[1, 2]]

    def test_of_frames_with_one_time_the_last_is_shown(self):
        indices = frame_indices_by_time(np.array([0.0, 0.0, 0.5]), 1, 2, 1.0)
        assert indices.tolist() == [[1, 2]]

    def test_no_frames_give_no_indices(self):
        assert (frame_indices_by_time(np.array([]), 3, 2, 1.0) == -1).all()

    def test_a_single_frame_is_shown_for_one_sampling_step(self):
        assert frame_indices_by_time(np.array([0.0]), 2, 2, 1.0).tolist() == [[0, -1], [-1, -1]]
        assert frame_indices_by_time(np.array([0.0]), 2, 1, 1.0).tolist() == [[0], [-1]]

    @pytest.mark.parametrize(
        "timestamps", [[0.0, 2.0, 1.0], [0.0, np.nan], [0.0, np.inf]], ids=["unsorted", "nan", "infinite"]
    )
    def test_times_that_are_not_ascending_and_finite_are_refused(self, timestamps):
        with pytest.raises(ValueError, match="finite times in ascending order"):
            frame_indices_by_time(np.array(timestamps), 2, 2, 1.0)

    def test_times_of_another_shape_are_refused(self):
        with pytest.raises(ValueError, match=r"expected shape \(N,\), found shape \(2, 3\)"):
            frame_indices_by_time(np.zeros((2, 3)), 2, 2, 1.0)

    @pytest.mark.parametrize("segment_seconds", [0.0, -1.0, np.nan, np.inf])
    def test_a_duration_that_is_not_positive_is_refused(self, segment_seconds):
        with pytest.raises(ValueError, match="segment_seconds: expected a positive number"):
            frame_indices_by_time(np.arange(3.0), 2, 2, segment_seconds)

    def test_counts_that_are_not_positive_are_refused(self):
        with pytest.raises(ValueError, match="positive counts"):
            frame_indices_by_time(np.arange(3.0), 0, 2, 1.0)


class TestSegmentValid:
    @pytest.mark.parametrize(
        ("row", "valid"),
        [([0, 1, 2, 3], True), ([0, 1, -1, -1], True), ([0, -1, -1, -1], False), ([-1] * 4, False)],
    )
    def test_half_of_the_samples_are_enough(self, row, valid):
        assert segment_valid(np.array([row])).tolist() == [valid]

    def test_a_video_without_frames_has_no_valid_segment(self):
        assert segment_valid(np.full((2, 3), -1)).tolist() == [False, False]

    @pytest.mark.parametrize("indices", [np.zeros(3, int), np.zeros((2, 0), int), np.zeros((2, 2))])
    def test_indices_of_another_shape_or_type_are_refused(self, indices):
        with pytest.raises(ValueError, match=r"integers of shape \(T, K\)"):
            segment_valid(indices)


class TestSampleRange:
    @pytest.mark.parametrize("sample_rate_hz", [8000, 11025, 16000, 22050, 44100, 48000])
    @pytest.mark.parametrize("segment_seconds", [1.0, 0.96, 0.1, 1 / 3, 1.0001])
    def test_segments_tile_the_waveform(self, sample_rate_hz, segment_seconds):
        ranges = [sample_range(segment, sample_rate_hz, segment_seconds) for segment in range(100)]
        assert ranges[0][0] == 0
        assert all(before[1] == after[0] for before, after in itertools.pairwise(ranges))
        lengths = [stop - start for start, stop in ranges]
        assert max(lengths) - min(lengths) <= 1
        assert abs(ranges[-1][1] - 100 * segment_seconds * sample_rate_hz) <= 0.5 + 1e-6

    @pytest.mark.parametrize("sample_rate_hz", [11025, 22050, 44100, 48000])
    def test_whole_seconds_are_exact(self, sample_rate_hz):
        assert sample_range(9, sample_rate_hz, 1.0) == (9 * sample_rate_hz, 10 * sample_rate_hz)

    @pytest.mark.parametrize(("segment", "sample_rate_hz"), [(-1, 16000), (0, 0), (0, -8000)])
    def test_impossible_arguments_are_refused(self, segment, sample_rate_hz):
        with pytest.raises(ValueError, match="a segment from 0 and a positive rate"):
            sample_range(segment, sample_rate_hz, 1.0)

    def test_a_duration_that_is_not_positive_is_refused(self):
        with pytest.raises(ValueError, match="segment_seconds"):
            sample_range(0, 16000, 0.0)

import re

import numpy as np
import pytest

from avel_testing.labels import BACKGROUND, labels, random_labels
from pipeline.metrics.segments import (
    background_share,
    masked_segment_share,
    per_video,
    segment_accuracy,
    video_counts,
)
from pipeline.metrics.statistics import Resampling, bootstrap_interval, seeds_interval


class TestSegmentAccuracy:
    def test_perfect_none_and_hand_worked(self):
        truth = labels("00..", "..22")
        assert segment_accuracy(truth, truth) == 100.0
        assert segment_accuracy(labels("..00", "22.."), truth) == 0.0
        assert segment_accuracy(labels("00.0", ".111"), truth) == 50.0

    def test_is_the_mean_over_batches_weighted_by_their_clips(self):
        predicted, truth = random_labels(1), random_labels(2)
        parts = [(predicted[:32], truth[:32]), (predicted[32:], truth[32:])]
        weighted = sum(len(p) * segment_accuracy(p, t) for p, t in parts) / len(truth)
        assert segment_accuracy(predicted, truth) == pytest.approx(weighted, abs=1e-12)


class TestShares:
    def test_background_share_is_the_accuracy_of_always_saying_background(self):
        truth = random_labels(6)
        always = np.full_like(truth, BACKGROUND)
        assert background_share(truth, num_categories=3) == segment_accuracy(always, truth)
        assert background_share(labels("0..."), num_categories=3) == 75.0

    def test_masked_segment_share_counts_what_is_missing(self):
        assert masked_segment_share(np.array([[True, True], [True, False]])) == 25.0
        assert masked_segment_share(np.ones((1, 2), bool)) == 0.0

    @pytest.mark.parametrize("valid", [np.ones(3, bool), np.ones((0, 3), bool), np.ones((1, 3), int)])
    def test_masked_segment_share_refuses_another_shape_or_type(self, valid):
        with pytest.raises(ValueError, match="valid: expected"):
            masked_segment_share(valid)


class TestVideoCounts:
    def test_clips_of_one_video_are_counted_together(self):
        predicted, truth = labels("00", "0.", ".."), labels("00", "00", "00")
        counts = video_counts(predicted, truth, ["x", "a", "x"])
        assert counts.video_ids == ("a", "x")
        assert counts.correct.tolist() == [1, 2]
        assert counts.total.tolist() == [2, 4]

    def test_the_order_of_the_clips_does_not_matter(self):
        predicted, truth = random_labels(1), random_labels(2)
        names = [f"video{index % 17}" for index in range(len(truth))]
        order = np.random.default_rng(0).permutation(len(truth))
        one = video_counts(predicted, truth, names)
        other = video_counts(predicted[order], truth[order], [names[index] for index in order])
        assert one.video_ids == other.video_ids
        np.testing.assert_array_equal(one.correct, other.correct)
        np.testing.assert_array_equal(one.total, other.total)

    def test_ids_that_are_not_one_per_clip_are_refused(self):
        with pytest.raises(ValueError, match="video_ids: expected one for each of 2 clips, found 1"):
            video_counts(labels("0", "0"), labels("0", "0"), ["x"])


class TestPerVideo:
    def test_scores_of_one_video_are_summed_and_its_clips_counted(self):
        counts = per_video(np.array([0.25, 1.0, 0.5, 0.0]), ["x", "a", "x", "b"])
        assert counts.video_ids == ("a", "b", "x")
        assert counts.correct.tolist() == [1.0, 0.0, 0.75]
        assert counts.total.tolist() == [1, 1, 2]

    def test_whole_numbers_stay_whole(self):
        counts = per_video(np.array([3, 200, 100], np.uint8), ["x", "a", "a"], most=200)
        assert counts.correct.tolist() == [300, 3]
        assert counts.total.tolist() == [400, 200]
        assert counts.correct.dtype == counts.total.dtype == np.int64

    def test_the_order_of_the_clips_does_not_matter(self):
        values = np.random.default_rng(0).integers(0, 9, size=60) / 8
        names = [f"video{index % 7}" for index in range(60)]
        order = np.random.default_rng(1).permutation(60)
        one, other = per_video(values, names), per_video(values[order], [names[index] for index in order])
        assert one.video_ids == other.video_ids
        np.testing.assert_array_equal(one.correct, other.correct)
        np.testing.assert_array_equal(one.total, other.total)

    def test_both_statistics_take_what_it_returns(self):
        resampling = Resampling(confidence=0.95, num_resamples=50, seed=0)
        scores = np.random.default_rng(2).random((2, 30))
        seeds = [per_video(values, [f"{index % 20}" for index in range(30)]) for values in scores]
        low, high = bootstrap_interval(seeds[0].correct, seeds[0].total, resampling)
        assert low < 100 * scores[0].mean() < high
        low, high = seeds_interval(np.stack([seed.correct for seed in seeds]), seeds[0].total, resampling)
        assert low < 100 * scores.mean() < high

    @pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
    def test_values_out_of_range_are_refused(self, value):
        with pytest.raises(ValueError, match=r"values: expected a number from 0 to 1 per clip, found .*not in percent"):
            per_video(np.array([0.5, value]), ["x", "y"])

    @pytest.mark.parametrize("shape", [(2, 4), (0,)])
    def test_values_of_another_shape_are_refused(self, shape):
        with pytest.raises(
            ValueError, match=rf"values: expected a number .* per clip, found shape {re.escape(str(shape))}"
        ):
            per_video(np.ones(shape), ["x", "y"])

    def test_ids_that_are_not_one_per_clip_are_refused(self):
        with pytest.raises(ValueError, match="video_ids: expected one for each of 2 clips, found 3"):
            per_video(np.ones(2), ["x", "y", "z"])

import numpy as np
import pytest

from avel_testing.labels import BACKGROUND, labels, random_labels
from pipeline.metrics.segments import (
    background_share,
    masked_segment_share,
    segment_accuracy,
    video_counts,
)


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

import doctest

import numpy as np
import pytest

import pipeline.metrics.localization
from pipeline.metrics.localization import (
    background_share,
    evaluate,
    masked_segment_share,
    segment_accuracy,
    video_counts,
)

NUM_CATEGORIES = 3
BACKGROUND = 3


def labels(*clips):
    """Turn texts such as "..01" into labels, a dot being background."""
    return np.array([[BACKGROUND if mark == "." else int(mark) for mark in clip] for clip in clips])


def random_labels(seed, num_clips=50, num_segments=10):
    return np.random.default_rng(seed).integers(0, NUM_CATEGORIES + 1, (num_clips, num_segments))


def test_examples_of_the_docstrings_hold():
    result = doctest.testmod(pipeline.metrics.localization)
    assert result.attempted > 0
    assert result.failed == 0


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


class TestEvaluate:
    def test_returns_every_score_by_name(self):
        truth = labels("00..", "..2.", "....")
        event_logits = np.array([[1, 1, -1, -1], [-1, -1, 1, -1], [-1, -1, -1, 1.0]])
        assert evaluate(event_logits, np.eye(3), truth) == {
            "segment_accuracy": pytest.approx(100 * 10 / 12),
            "category_accuracy": 50.0,
            "event_f1": pytest.approx(100 * 2 / 5),
            "background_share": 75.0,
            "masked_segment_share": 0.0,
            "num_clips": 3,
        }

    def test_masked_segments_are_scored_as_background(self):
        scores = evaluate(np.ones((1, 2)), np.eye(3)[:1], labels("00"), valid=np.array([[True, False]]))
        assert scores["segment_accuracy"] == 50.0
        assert scores["masked_segment_share"] == 50.0

    def test_perfect_logits_score_100(self):
        truth = labels("0.0.", ".111", "2222")
        event_logits = np.where(truth == BACKGROUND, -1.0, 1.0)
        scores = evaluate(event_logits, np.eye(3), truth)
        assert scores["segment_accuracy"] == scores["category_accuracy"] == scores["event_f1"] == 100.0

    def test_values_are_plain_numbers_that_json_can_hold(self):
        scores = evaluate(np.ones((1, 2)), np.eye(3)[:1], labels("00"))
        assert {type(value) for value in scores.values()} == {float, int}

    def test_a_truth_of_other_clips_is_refused(self):
        with pytest.raises(ValueError, match="predicted: expected the shape of truth"):
            evaluate(np.ones((2, 2)), np.eye(3)[:2], labels("00"))

import numpy as np
import pytest

from avel_testing.labels import BACKGROUND, labels
from pipeline.metrics.labels import predict_segments
from pipeline.metrics.localization import evaluate


class TestEvaluate:
    def test_returns_every_score_by_name(self):
        truth = labels("00..", "..2.", "....")
        event_logits = np.array([[1, 1, -1, -1], [-1, -1, 1, -1], [-1, -1, -1, 1.0]])
        assert evaluate(predict_segments(event_logits, np.eye(3)), np.eye(3), truth) == {
            "segment_accuracy": pytest.approx(100 * 10 / 12),
            "category_accuracy": 50.0,
            "event_f1": pytest.approx(100 * 2 / 5),
            "background_share": 75.0,
            "masked_segment_share": 0.0,
            "num_clips": 3,
        }

    def test_masked_segments_are_scored_as_background(self):
        scores = evaluate(labels("00"), np.eye(3)[:1], labels("00"), valid=np.array([[True, False]]))
        assert scores["segment_accuracy"] == 50.0
        assert scores["masked_segment_share"] == 50.0

    def test_perfect_logits_score_100(self):
        truth = labels("0.0.", ".111", "2222")
        event_logits = np.where(truth == BACKGROUND, -1.0, 1.0)
        scores = evaluate(predict_segments(event_logits, np.eye(3)), np.eye(3), truth)
        assert scores["segment_accuracy"] == scores["category_accuracy"] == scores["event_f1"] == 100.0

    def test_values_are_plain_numbers_that_json_can_hold(self):
        scores = evaluate(labels("00"), np.eye(3)[:1], labels("00"))
        assert {type(value) for value in scores.values()} == {float, int}

    def test_a_truth_of_other_clips_is_refused(self):
        with pytest.raises(ValueError, match="predicted: expected the shape of truth"):
            evaluate(labels("00", "11"), np.eye(3)[:2], labels("00"))

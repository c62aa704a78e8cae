import numpy as np
import pytest

from avel_testing.labels import BACKGROUND, labels, random_labels
from pipeline.metrics.categories import (
    CategoryScores,
    category_accuracy,
    clip_categories,
    confusion_matrix,
    per_category,
)
from pipeline.metrics.labels import predict_segments
from pipeline.metrics.segments import segment_accuracy


class TestCategoryAccuracy:
    def test_clips_without_an_event_do_not_count(self):
        truth = labels("0..", "..2", "...")
        logits = np.eye(3)[[0, 1, 2]]
        assert category_accuracy(logits, truth) == 50.0
        assert category_accuracy(logits[:1], truth[:1]) == 100.0

    def test_without_any_event_it_is_zero(self):
        assert category_accuracy(np.eye(3), labels("..", "..", "..")) == 0.0

    def test_two_categories_in_a_clip_are_refused(self):
        with pytest.raises(ValueError, match=r"truth of clip 1: expected one category .* found \[0, 2\]"):
            category_accuracy(np.eye(3)[:2], labels("0.", "02"))

    def test_another_number_of_clips_is_refused(self):
        with pytest.raises(ValueError, match="category_scores: expected 1 clips, as truth has, found 3"):
            category_accuracy(np.eye(3), labels("0."))


class TestClipCategories:
    def test_event_segments_need_not_be_contiguous(self):
        categories = clip_categories(labels("0.0.", ".1..", "....", "2222"), num_categories=3)
        assert categories.tolist() == [0, 1, 3, 2]


class TestConfusionMatrix:
    def test_rows_are_truth_and_columns_predictions(self):
        matrix = confusion_matrix(labels("01.."), labels("00.2"), num_categories=3)
        expected = np.zeros((4, 4), int)
        expected[0, 0] = expected[0, 1] = expected[3, 3] = expected[2, 3] = 1
        np.testing.assert_array_equal(matrix, expected)

    def test_its_diagonal_gives_the_segment_accuracy(self):
        predicted, truth = random_labels(1), random_labels(2)
        matrix = confusion_matrix(predicted, truth, num_categories=3)
        assert matrix.sum() == truth.size
        assert 100 * matrix.trace() / matrix.sum() == segment_accuracy(predicted, truth)

    def test_narrow_integers_do_not_overflow(self):
        truth = np.full((1, 3), 141, dtype=np.uint8)
        assert confusion_matrix(truth, truth, num_categories=141)[141, 141] == 3


class TestPerCategory:
    def test_hand_worked_with_a_category_that_never_occurs(self):
        truth = labels("00..", "0...", "..22", "....")
        predicted = labels("0...", "0...", "..1.", "22..")
        logits = np.eye(3)[[0, 1, 2, 2]]
        assert per_category(predicted, logits, truth) == (
            CategoryScores(0, 2, 3, pytest.approx(200 / 3), 50.0),
            CategoryScores(1, 0, 0, None, None),
            CategoryScores(2, 1, 2, 0.0, 100.0),
            CategoryScores(3, None, 11, pytest.approx(900 / 11), None),
        )

    def test_rows_weighted_by_their_counts_give_the_overall_scores(self):
        rng = np.random.default_rng(8)
        truth = np.where(rng.random((60, 10)) < 0.4, rng.integers(0, 3, (60, 1)), BACKGROUND)
        logits = rng.normal(size=(60, 3))
        predicted = predict_segments(rng.normal(size=(60, 10)), logits)
        rows = per_category(predicted, logits, truth)
        segments = sum(row.num_event_segments * row.segment_accuracy for row in rows) / truth.size
        clips = sum(row.num_clips * row.category_accuracy for row in rows[:-1])
        assert segments == pytest.approx(segment_accuracy(predicted, truth))
        assert clips / sum(row.num_clips for row in rows[:-1]) == pytest.approx(category_accuracy(logits, truth))

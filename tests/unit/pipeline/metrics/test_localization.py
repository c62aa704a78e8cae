import doctest

import numpy as np
import pytest

import pipeline.metrics.localization
from pipeline.metrics.localization import (
    CategoryScores,
    background_share,
    category_accuracy,
    clip_categories,
    confusion_matrix,
    count_events,
    evaluate,
    event_f1,
    masked_segment_share,
    per_category,
    predict_segments,
    segment_accuracy,
    validate,
    validate_logits,
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


class TestPredictSegments:
    def test_event_segments_take_the_clips_category(self):
        event_logits = np.array([[1.0, -1.0, 5.0], [-1.0, -1.0, 0.5]])
        category_logits = np.array([[0.0, 2.0, 1.0], [-3.0, -2.0, -9.0]])
        np.testing.assert_array_equal(predict_segments(event_logits, category_logits), labels("1.1", "..1"))

    @pytest.mark.parametrize(
        ("logit", "is_event"),
        [(0.0, False), (-0.0, False), (1e-17, False), (-1e-17, False), (1e-15, True), (-1e-15, False)],
    )
    def test_a_probability_of_exactly_half_is_background(self, logit, is_event):
        predicted = predict_segments(np.array([[logit]]), np.array([[1.0, 0.0, 0.0]]))
        assert predicted[0, 0] == (0 if is_event else BACKGROUND)

    def test_single_precision_logits_are_judged_in_double(self):
        predicted = predict_segments(np.array([[1e-10]], dtype=np.float32), np.zeros((1, 3), dtype=np.float32))
        assert predicted[0, 0] == 0

    def test_of_equal_category_logits_the_first_counts(self):
        assert predict_segments(np.array([[1.0]]), np.array([[0.0, 2.0, 2.0]]))[0, 0] == 1

    def test_infinite_logits_are_decided_without_a_warning(self):
        predicted = predict_segments(np.array([[np.inf, -np.inf, 1e5, -1e5]]), np.array([[-np.inf, 0.0, np.inf]]))
        np.testing.assert_array_equal(predicted, labels("2.2."))

    def test_masked_segments_are_background(self):
        valid = np.array([[True, False, True]])
        predicted = predict_segments(np.ones((1, 3)), np.array([[1.0, 0.0, 0.0]]), valid=valid)
        np.testing.assert_array_equal(predicted, labels("0.0"))

    @pytest.mark.parametrize("valid", [np.ones((1, 2), bool), np.ones((1, 3))])
    def test_a_mask_of_another_shape_or_type_is_refused(self, valid):
        with pytest.raises(ValueError, match=r"valid: expected booleans of shape \(1, 3\)"):
            predict_segments(np.ones((1, 3)), np.ones((1, 3)), valid=valid)

    def test_a_squeezed_batch_of_one_is_refused(self):
        with pytest.raises(ValueError, match=r"event_logits: expected shape \(N, T\)"):
            predict_segments(np.ones(10), np.ones((1, 3)))
        with pytest.raises(ValueError, match=r"category_logits: expected shape \(N, C\)"):
            predict_segments(np.ones((1, 10)), np.ones(3))


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
        with pytest.raises(ValueError, match="category_logits: expected 1 clips, as truth has, found 3"):
            category_accuracy(np.eye(3), labels("0."))


class TestClipCategories:
    def test_event_segments_need_not_be_contiguous(self):
        categories = clip_categories(labels("0.0.", ".1..", "....", "2222"), num_categories=3)
        assert categories.tolist() == [0, 1, 3, 2]


def slow_event_counts(predicted, truth):
    """Restate the definition with sets of segments, for one clip."""

    def events(row):
        found, segments = [], []
        for index in range(len(row) + 1):
            if segments and (index == len(row) or row[index] != row[segments[-1]]):
                if row[segments[-1]] != BACKGROUND:
                    found.append((row[segments[-1]], set(segments)))
                segments = []
            if index < len(row):
                segments.append(index)
        return found

    def match(one, other):
        return one[0] == other[0] and len(one[1] & other[1]) >= 0.5 * len(one[1] | other[1])

    guesses, references = events(predicted), events(truth)
    found = sum(any(match(guess, reference) for reference in references) for guess in guesses)
    missed = sum(not any(match(guess, reference) for guess in guesses) for reference in references)
    return found, len(guesses) - found, missed


class TestEvents:
    @pytest.mark.parametrize(
        ("predicted", "truth", "counts"),
        [
            ("000...", "000...", (1, 0, 0)),
            ("......", "......", (0, 0, 0)),
            ("000000", "......", (0, 1, 0)),
            ("......", "000000", (0, 0, 1)),
            ("111...", "000...", (0, 1, 1)),
            ("000000", "000...", (1, 0, 0)),  # 3 of 6: half is enough
            ("000000", "00....", (0, 1, 1)),  # 2 of 6
            ("00..00", "000000", (0, 2, 1)),  # a broken event is not found: 2 of 6, twice
            ("0000.0", "000000", (1, 1, 0)),  # 4 of 6, and 1 of 6
            ("000000", "00.000", (1, 0, 1)),  # 3 of 6 matches, 2 of 6 does not
            ("0.1.2.", "0.1.2.", (3, 0, 0)),
            ("001122", "001122", (3, 0, 0)),  # events of different categories may touch
        ],
    )
    def test_hand_worked(self, predicted, truth, counts):
        result = count_events(labels(predicted), labels(truth), num_categories=3)
        found = (result.true_positives[0], result.false_positives[0], result.false_negatives[0])
        assert found == counts == slow_event_counts(labels(predicted)[0], labels(truth)[0])

    @pytest.mark.parametrize("num_segments", [1, 2, 10])
    def test_equals_a_slow_restatement(self, num_segments):
        rng = np.random.default_rng(3)
        truth = np.repeat(random_labels(4, 200, num_segments), 2, axis=1)
        predicted = np.where(rng.random(truth.shape) < 0.3, random_labels(5, 200, 2 * num_segments), truth)
        result = count_events(predicted, truth, num_categories=3)
        expected = np.array([slow_event_counts(p, t) for p, t in zip(predicted, truth, strict=True)])
        np.testing.assert_array_equal(result.true_positives, expected[:, 0])
        np.testing.assert_array_equal(result.false_positives, expected[:, 1])
        np.testing.assert_array_equal(result.false_negatives, expected[:, 2])

    def test_an_event_does_not_go_on_in_the_next_clip(self):
        truth = labels("..0", "0..")
        result = count_events(truth, truth, num_categories=3)
        assert result.true_positives.tolist() == [1, 1]

    def test_counts_are_summed_before_the_score(self):
        truth = labels("0...", "1.1.")
        predicted = labels("0...", "1...")
        assert event_f1(predicted, truth, num_categories=3) == pytest.approx(100 * 4 / 5)

    @pytest.mark.parametrize(
        ("predicted", "truth", "score"),
        [("..", "..", 100.0), ("0.", "..", 0.0), ("..", "0.", 0.0), ("0.", "0.", 100.0)],
    )
    def test_degenerate_scores(self, predicted, truth, score):
        assert event_f1(labels(predicted), labels(truth), num_categories=3) == score


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


class TestValidate:
    @pytest.mark.parametrize("shape", [(4,), (0, 10), (10, 0), (1, 2, 3)])
    def test_another_shape_is_refused(self, shape):
        array = np.zeros(shape, int)
        with pytest.raises(ValueError, match=r"predicted: expected shape \(N, T\), N and T positive"):
            validate(array, array)

    def test_shapes_that_differ_are_refused(self):
        with pytest.raises(ValueError, match=r"the shape of truth, \(2, 2\), found \(1, 2\)"):
            validate(labels(".."), labels("..", ".."))

    @pytest.mark.parametrize("dtype", [float, bool])
    def test_labels_that_are_not_integers_are_refused(self, dtype):
        with pytest.raises(ValueError, match="truth: expected integer labels"):
            validate(labels("0"), labels("0").astype(dtype))

    @pytest.mark.parametrize("label", [-1, 4])
    def test_labels_out_of_range_are_refused(self, label):
        with pytest.raises(ValueError, match=rf"truth: expected labels from 0 to 3, found {label}"):
            validate(labels("0"), np.array([[label]]), num_categories=3)


class TestValidateLogits:
    def test_nan_is_refused(self):
        with pytest.raises(ValueError, match="event_logits: expected numbers, found 1 NaN"):
            validate_logits(np.array([[0.0, np.nan]]), np.zeros((1, 3)))

    def test_integers_are_refused(self):
        with pytest.raises(ValueError, match="category_logits: expected floating-point logits, found int64"):
            validate_logits(np.zeros((1, 2)), np.zeros((1, 3), dtype=np.int64))

    def test_other_numbers_of_clips_are_refused(self):
        with pytest.raises(ValueError, match="category_logits: expected 2 clips, as event_logits has, found 1"):
            validate_logits(np.zeros((2, 2)), np.zeros((1, 3)))

import numpy as np
import pytest

from avel_testing.labels import BACKGROUND, labels, random_labels
from pipeline.metrics.events import count_events, event_f1


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

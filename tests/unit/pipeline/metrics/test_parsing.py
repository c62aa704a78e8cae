import numpy as np
import pytest

from avel_testing.labels import random_labels
from pipeline.metrics.events import count_events
from pipeline.metrics.parsing import (
    COLUMNS,
    LEVELS,
    ParsedCategoryScores,
    clip_f_scores,
    clip_scores,
    count_matches,
    evaluate,
    per_category,
    reference_scores,
)

SCORES = [
    f"{level}_{score}" for level in LEVELS for score in ("audio", "visual", "audio_visual", "type_at_av", "event_at_av")
]


def clip(audio, visual):
    """Turn texts such as "11. ..." into the events of a clip, (1, 2, C, T): a word a category, a dot nothing."""
    return np.array([[[[mark == "1" for mark in word] for word in text.split()] for text in (audio, visual)]])


def random_events(seed, num_clips=40, num_categories=6, num_segments=10):
    """Return events (N, 2, C, T) of a few categories per clip, in runs."""
    rng = np.random.default_rng(seed)
    rough = rng.random((num_clips, 2, num_categories, num_segments // 2)) < 0.6
    fine = np.repeat(rough, 2, axis=3) ^ (rng.random((num_clips, 2, num_categories, num_segments)) < 0.1)
    return fine & (rng.random((num_clips, 2, num_categories, 1)) < 0.3)


def random_pair(seed):
    """Return predictions and a truth that agree in part, with clips of which nothing is predicted, or true, or both."""
    truth = random_events(seed)
    predicted = np.where(
        np.random.default_rng(seed + 1).random(truth.shape[:3])[..., None] < 0.5, truth, random_events(9)
    )
    predicted[[0, 1]] = False
    truth[[1, 2]] = False
    return predicted, truth


def runs(row):
    """Return the runs of a row of truth values as sets of segments."""
    text = "".join("1" if value else " " for value in row)
    found, start = [], 0
    for word in text.split():
        start = text.index(word, start)
        found.append(set(range(start, start + len(word))))
        start += len(word)
    return found


def slow_counts(predicted, truth, level):
    """Return TP, FP and FN of one category of one clip and modality."""
    if level == "segment":
        guesses, references = ({(segment,) for segment, value in enumerate(row) if value} for row in (predicted, truth))
        return len(guesses & references), len(guesses - references), len(references - guesses)
    guesses, references = runs(predicted), runs(truth)
    pairs = [
        (a, b)
        for a, one in enumerate(guesses)
        for b, other in enumerate(references)
        if len(one & other) / len(one | other) >= 0.5
    ]
    found, reached = {a for a, _ in pairs}, {b for _, b in pairs}
    return len(found), len(guesses) - len(found), len(references) - len(reached)


def slow_columns(predicted, truth, level):
    """Return TP, FP, FN of one clip (2, C, T) for each column, a list of categories each."""
    columns = {column: [] for column in COLUMNS}
    for category in range(truth.shape[1]):
        audio, visual = (
            slow_counts(predicted[modality, category], truth[modality, category], level) for modality in (0, 1)
        )
        both = slow_counts(predicted[:, category].all(axis=0), truth[:, category].all(axis=0), level)
        event = tuple(a + v for a, v in zip(audio, visual, strict=True))
        for column, counts in zip(COLUMNS, (audio, visual, event, both), strict=True):
            columns[column].append(counts)
    return columns


def slow_f(counts):
    found, invented, missed = counts
    precision = found / (found + invented) if found + invented else 0.0
    recall = found / (found + missed) if found + missed else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def slow_clip_f(columns):
    """Return the F-score of each column of a clip: the mean over the categories with anything."""
    means = []
    for column in COLUMNS:
        scores = [slow_f(counts) for counts in columns[column] if sum(counts)]
        means.append(sum(scores) / len(scores) if scores else 1.0)
    return means


def f_scores(predicted, truth, level):
    return clip_f_scores(count_matches(predicted, truth, level=level))


class TestCountMatches:
    @pytest.mark.parametrize("level", LEVELS)
    def test_equals_a_slow_restatement(self, level):
        predicted, truth = random_pair(1)
        counts = count_matches(predicted, truth, level=level)
        found = np.stack([counts.true_positives, counts.false_positives, counts.false_negatives], axis=-1)
        assert found.shape == (40, 4, 6, 3)
        expected = [list(slow_columns(*pair, level).values()) for pair in zip(predicted, truth, strict=True)]
        np.testing.assert_array_equal(found, expected)
        assert (found.sum(axis=(0, 2)) > 10).all()

    @pytest.mark.parametrize(
        ("predicted", "truth", "counts"),
        [
            ("1111..", "11....", (1, 0, 0)),  # 2 of 4: half is enough
            ("11111.", "11....", (0, 1, 1)),
            ("11.11.", "11111.", (0, 2, 1)),  # a broken event is not found, 2 of 5 twice
            ("111111", "11.111", (1, 0, 1)),  # one prediction finds one of two
            ("1.1.1.", "1.1.11", (3, 0, 0)),
        ],
    )
    def test_events_by_hand(self, predicted, truth, counts):
        result = count_matches(clip(predicted, "......"), clip(truth, "......"), level="event")
        for column, expected in enumerate([counts, (0, 0, 0), counts, (0, 0, 0)]):
            each = (result.true_positives, result.false_positives, result.false_negatives)
            assert tuple(int(array[0, column, 0]) for array in each) == expected

    def test_audio_visual_is_what_is_heard_and_seen_at_once(self):
        result = count_matches(clip("11111.", ".11..1"), clip("1111..", ".11111"), level="event")
        assert result.true_positives[0, :, 0].tolist() == [1, 0, 1, 1]  # both: .11... of .111..
        result = count_matches(clip("111...", "...111"), clip("111...", "...111"), level="segment")
        assert result.true_positives[0, :, 0].tolist() == [3, 3, 6, 0]

    def test_an_event_ends_with_its_clip_and_its_category(self):
        truth = np.concatenate([clip("..1 1..", "... ..."), clip("1.. ...", "... ...")])
        assert count_matches(truth, truth, level="event").true_positives[:, 0].tolist() == [[1, 1], [1, 0]]

    def test_events_of_one_category_at_a_time_are_those_of_localization(self):
        # Where all segments of a clip show one category or background, both tasks count the same events.
        category = np.random.default_rng(2).integers(0, 3, (50, 1))
        truth, predicted = (np.where(random_labels(seed) < 2, category, 3) for seed in (3, 4))
        one_hot = [
            np.repeat(labels[:, None, None] == np.arange(3)[:, None], 2, axis=1) for labels in (predicted, truth)
        ]
        counts = count_matches(*one_hot, level="event").summed(2)
        expected = count_events(predicted, truth, num_categories=3)
        for column, factor in enumerate((1, 1, 2, 1)):
            np.testing.assert_array_equal(counts.true_positives[:, column], factor * expected.true_positives)
            np.testing.assert_array_equal(counts.false_positives[:, column], factor * expected.false_positives)
            np.testing.assert_array_equal(counts.false_negatives[:, column], factor * expected.false_negatives)


class TestClipFScores:
    @pytest.mark.parametrize("level", LEVELS)
    def test_equals_a_slow_restatement(self, level):
        predicted, truth = random_pair(5)
        expected = [slow_clip_f(slow_columns(*pair, level)) for pair in zip(predicted, truth, strict=True)]
        np.testing.assert_allclose(f_scores(predicted, truth, level), expected, rtol=0, atol=1e-12)

    def test_by_hand(self):
        # Heard: category 0 with TP 2, FP 1, FN 1, category 1 with FP 2. Seen: category 0 with FN 3. Both: FN 2.
        predicted, truth = clip("111. 11..", ".... ...."), clip(".111 ....", "111. ....")
        np.testing.assert_allclose(
            f_scores(predicted, truth, "segment"), [[(4 / 6 + 0) / 2, 0, (4 / 9 + 0) / 2, 0]], atol=1e-12
        )
        # Events: .111 and 111. share 2 of 4; of 5 events in all, the column event has 2 TP = 2 of 3 in category 0.
        np.testing.assert_allclose(f_scores(predicted, truth, "event"), [[0.5, 0, (2 / 3 + 0) / 2, 0]], atol=1e-12)

    @pytest.mark.parametrize("level", LEVELS)
    def test_a_clip_of_which_nothing_is_said_and_nothing_true_scores_one(self, level):
        nothing, heard = clip("...", "..."), clip("11.", "...")
        assert f_scores(nothing, nothing, level).tolist() == [[1, 1, 1, 1]]
        assert f_scores(heard, nothing, level).tolist() == [[0, 1, 0, 1]]
        assert f_scores(nothing, heard, level).tolist() == [[0, 1, 0, 1]]
        assert f_scores(heard, heard, level).tolist() == [[1, 1, 1, 1]]

    @pytest.mark.parametrize("level", LEVELS)
    def test_truth_and_prediction_may_be_exchanged(self, level):
        predicted, truth = random_pair(6)
        np.testing.assert_array_equal(f_scores(predicted, truth, level), f_scores(truth, predicted, level))

    @pytest.mark.parametrize("level", LEVELS)
    def test_the_order_of_categories_and_the_direction_of_time_do_not_matter(self, level):
        predicted, truth = random_pair(7)
        whole = f_scores(predicted, truth, level)
        order = np.random.default_rng(0).permutation(truth.shape[2])
        np.testing.assert_allclose(f_scores(predicted[:, :, order], truth[:, :, order], level), whole, atol=1e-12)
        np.testing.assert_array_equal(f_scores(predicted[..., ::-1], truth[..., ::-1], level), whole)

    @pytest.mark.parametrize("level", LEVELS)
    def test_exchanging_sound_and_picture_exchanges_their_columns(self, level):
        predicted, truth = random_pair(8)
        swapped = f_scores(predicted[:, ::-1], truth[:, ::-1], level)
        np.testing.assert_array_equal(swapped[:, [1, 0, 2, 3]], f_scores(predicted, truth, level))

    @pytest.mark.parametrize("level", LEVELS)
    def test_categories_that_no_clip_holds_change_nothing(self, level):
        predicted, truth = random_pair(9)
        padded = [np.pad(array, ((0, 0), (0, 0), (0, 3), (0, 0))) for array in (predicted, truth)]
        np.testing.assert_allclose(f_scores(*padded, level), f_scores(predicted, truth, level), atol=1e-12)

    @pytest.mark.parametrize("level", LEVELS)
    def test_clips_do_not_depend_on_each_other(self, level):
        predicted, truth = random_pair(10)
        alone = [f_scores(predicted[[number]], truth[[number]], level)[0] for number in range(len(truth))]
        np.testing.assert_array_equal(alone, f_scores(predicted, truth, level))


class TestClipScores:
    def test_type_is_the_mean_of_three_columns_and_event_a_column(self):
        predicted, truth = random_pair(11)
        scores = clip_scores(predicted, truth)
        assert list(scores) == SCORES
        for level in LEVELS:
            columns = f_scores(predicted, truth, level)
            for index, name in ((0, "audio"), (1, "visual"), (3, "audio_visual"), (2, "event_at_av")):
                np.testing.assert_array_equal(scores[f"{level}_{name}"], columns[:, index])
            np.testing.assert_allclose(scores[f"{level}_type_at_av"], columns[:, [0, 1, 3]].mean(axis=1), atol=1e-12)

    def test_a_clip_that_is_right_throughout_scores_exactly_one(self):
        truth = random_events(12)
        for values in clip_scores(truth, truth).values():
            assert (values == 1).all()


class TestEvaluate:
    def test_released_scores_are_means_over_clips(self):
        predicted, truth = random_pair(13)
        scores = evaluate(predicted, truth)
        assert list(scores) == [*SCORES, *(f"micro_{name}" for name in SCORES)]
        for name, values in clip_scores(predicted, truth).items():
            assert scores[name] == pytest.approx(100 * values.mean())

    @pytest.mark.parametrize("level", LEVELS)
    def test_the_micro_average_adds_up_first(self, level):
        predicted, truth = random_pair(14)
        counts = np.array(
            [list(slow_columns(*pair, level).values()) for pair in zip(predicted, truth, strict=True)]
        ).sum(axis=(0, 2))
        audio, visual, event, both = (100 * slow_f(column) for column in counts)
        scores = evaluate(predicted, truth)
        names = ("audio", "visual", "audio_visual", "type_at_av", "event_at_av")
        expected = [audio, visual, both, (audio + visual + both) / 3, event]
        assert [scores[f"micro_{level}_{name}"] for name in names] == pytest.approx(expected)

    def test_a_long_mistake_weighs_more_in_the_micro_average_alone(self):
        # Clip 0 is right in one segment; clip 1 invents a category in `length` segments, beside one that is right.
        def scores(length):
            truth = np.concatenate([clip("1....... ........", "........ ........")] * 2)
            predicted = truth.copy()
            predicted[1, 0, 1, :length] = True
            return evaluate(predicted, truth)

        for length in (1, 8):
            assert scores(length)["segment_audio"] == pytest.approx(75)
            assert scores(length)["micro_segment_audio"] == pytest.approx(100 * 4 / (4 + length))

    def test_extremes(self):
        truth = random_events(15)
        assert set(evaluate(truth, truth).values()) == {100.0}
        everywhere = np.ones((3, 2, 4, 5), bool)
        assert set(evaluate(everywhere, ~everywhere).values()) == {0.0}
        assert set(evaluate(~everywhere, everywhere).values()) == {0.0}

    def test_nothing_at_all_is_right(self):
        nothing = np.zeros((3, 2, 4, 5), bool)
        assert set(evaluate(nothing, nothing).values()) == {100.0}

    @pytest.mark.parametrize("name", ["predicted", "truth"])
    def test_what_are_no_events_is_refused_by_its_name(self, name):
        def with_faulty(array):
            good = np.zeros((2, 2, 3, 4), bool)
            return (array, good) if name == "predicted" else (good, array)

        for shape in ((2, 2, 3), (2, 3, 2, 4), (0, 2, 3, 4), (2, 2, 0, 4), (2, 2, 3, 0)):
            with pytest.raises(
                ValueError, match=rf"^{name}: expected shape \(N, 2, C, T\), N, C and T positive, found"
            ):
                evaluate(*with_faulty(np.zeros(shape, bool)))
        with pytest.raises(ValueError, match=f"^{name}: expected booleans, found uint8"):
            evaluate(*with_faulty(np.zeros((2, 2, 3, 4), np.uint8)))

    def test_events_of_other_clips_are_refused(self):
        with pytest.raises(ValueError, match=r"predicted: expected the shape of truth, \(2, 2, 3, 4\), found"):
            evaluate(np.zeros((1, 2, 3, 4), bool), np.zeros((2, 2, 3, 4), bool))


class TestReferenceScores:
    def test_everything_is_claimed_only_where_there_is_media(self):
        # Of four segments with sound, one category is heard in two: F 2/3. The other category is never: F 0.
        truth = clip("11.... ......", "...... ......")
        valid = np.array([[[True] * 4 + [False] * 2, [True] * 3 + [False] * 3]])
        everything = reference_scores(truth, valid=valid)["everything"]
        assert everything["segment_audio"] == pytest.approx(100 * (2 / 3) / 2)
        assert everything["event_audio"] == pytest.approx(50)
        assert everything["micro_segment_audio"] == pytest.approx(100 * 4 / (4 + 6))
        assert everything == evaluate(np.repeat(valid[:, :, None], 2, axis=2), truth)
        assert reference_scores(truth)["everything"] == evaluate(np.ones_like(truth), truth)

    def test_nothing_is_right_of_clips_without_events(self):
        truth = np.concatenate([clip("11.", "..."), clip("...", "..."), clip(".11", "11."), clip("...", "111")])
        nothing = reference_scores(truth)["nothing"]
        expected = {"audio": 50.0, "visual": 50.0, "audio_visual": 75.0, "type_at_av": 175 / 3, "event_at_av": 25.0}
        for level in LEVELS:
            assert {name: nothing[f"{level}_{name}"] for name in expected} == pytest.approx(expected)
            assert nothing[f"micro_{level}_type_at_av"] == 0.0

    def test_a_mask_or_truth_of_another_shape_or_type_is_refused(self):
        truth = np.zeros((2, 2, 3, 4), bool)
        with pytest.raises(ValueError, match=r"valid: expected booleans of shape \(2, 2, 4\)"):
            reference_scores(truth, valid=np.ones((2, 4), bool))
        with pytest.raises(ValueError, match="truth: expected booleans, found int64"):
            reference_scores(truth.astype(np.int64))


class TestPerCategory:
    def test_by_hand(self):
        predicted = np.concatenate(
            [clip("11.. .... .... 1...", "1... .... .... ...."), clip("1... .... .... ....", ".... .... .... ....")]
        )
        truth = np.concatenate(
            [clip("111. .... .... ....", "1... .11. .... ...."), clip("1... .... .... ....", ".... .... .... ....")]
        )
        assert per_category(predicted, truth) == (
            ParsedCategoryScores(0, 2, pytest.approx(100 * 6 / 7), 100.0, 100.0),
            ParsedCategoryScores(1, 1, None, 0.0, None),
            ParsedCategoryScores(2, 0, None, None, None),
            ParsedCategoryScores(3, 0, 0.0, None, None),
        )

    def test_a_single_category_scores_as_the_micro_average(self):
        predicted, truth = random_pair(16)
        scores = evaluate(predicted[:, :, [2]], truth[:, :, [2]])
        row = per_category(predicted, truth)[2]
        assert row.segment_audio == pytest.approx(scores["micro_segment_audio"])
        assert row.segment_visual == pytest.approx(scores["micro_segment_visual"])
        assert row.segment_audio_visual == pytest.approx(scores["micro_segment_audio_visual"])
        assert row.num_clips == truth[:, :, 2].any(axis=(1, 2)).sum()

    def test_events_of_other_clips_are_refused(self):
        with pytest.raises(ValueError, match="predicted: expected the shape of truth"):
            per_category(np.zeros((1, 2, 3, 4), bool), np.zeros((1, 2, 3, 5), bool))

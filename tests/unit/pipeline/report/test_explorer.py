from markupsafe import Markup

from pipeline.report.explorer import Explorer, Row, describe_outcome
from pipeline.report.mistakes import segment_kinds
from pipeline.report.run import Prediction
from pipeline.store.manifest import Clip

B = "background"


def row(truth, predicted, split="test"):
    prediction = Prediction(Clip("a", "a", "a.mp4", "dog", "1" * len(truth), split), truth, predicted, (0.5,))
    kinds = segment_kinds(truth, predicted)
    return Row(prediction, kinds, describe_outcome(prediction, kinds), Markup(), None)


class TestOutcome:
    def test_counts_each_kind_of_mistake(self):
        truth = (B, "dog", "dog", "dog", "dog", B, B, "dog", "dog", B)
        said = ("cat", "cat", "cow", B, "dog", B, B, B, "dog", B)
        assert row(truth, said).outcome == (
            "5 of 10 right",
            "2 taken for cat and cow",
            "1 at a boundary",
            "1 missed",
            "1 false",
        )

    def test_of_a_perfect_clip_is_one_phrase(self):
        assert row((B, "dog"), (B, "dog")).outcome == ("2 of 2 right",)

    def test_codes_are_the_kinds_that_occur_or_right(self):
        assert row((B, B, B, "dog"), ("dog", "dog", B, "cat")).outcome_codes == ("category", "invented")
        assert row(("dog",), ("dog",)).outcome_codes == ("right",)


def test_counts_rows_by_what_they_can_be_filtered_by():
    explorer = Explorer(
        (row(("dog",), ("dog",)), row(("dog",), ("cat",)), row(("dog", B), ("cat", "cat"), "val")), {"test": 0}
    )
    assert explorer.count("outcome") == {"right": 1, "category": 2, "boundary": 0, "missed": 0, "invented": 1}
    assert explorer.count("split") == {"test": 2, "val": 1}
    assert explorer.count("category") == {"dog": 3}
    assert explorer.num_detailed == 0
    assert not explorer.has_media

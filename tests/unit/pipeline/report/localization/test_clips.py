from pipeline.report.localization.clips import describe_outcome
from pipeline.report.localization.run import LocalizationPrediction
from pipeline.report.mistakes import segment_kinds
from pipeline.store.manifest import Clip

B = "background"


def outcome(truth, predicted):
    prediction = LocalizationPrediction(
        Clip("a", "a", "a.mp4", "dog", "1" * len(truth), "test"), truth, predicted, (0.5,)
    )
    return describe_outcome(prediction, segment_kinds(truth, predicted))


def test_counts_each_kind_of_mistake():
    truth = (B, "dog", "dog", "dog", "dog", B, B, "dog", "dog", B)
    said = ("cat", "cat", "cow", B, "dog", B, B, B, "dog", B)
    assert outcome(truth, said) == (
        "5 of 10 right",
        "2 taken for cat and cow",
        "1 at a boundary",
        "1 missed",
        "1 false",
    )


def test_of_a_perfect_clip_is_one_phrase():
    assert outcome((B, "dog"), (B, "dog")) == ("2 of 2 right",)

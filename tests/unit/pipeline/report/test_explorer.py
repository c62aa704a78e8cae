from markupsafe import Markup

from pipeline.report.explorer import Explorer, Row
from pipeline.report.localization.run import LocalizationPrediction
from pipeline.store.manifest import Clip


def row(categories, codes, split="test"):
    prediction = LocalizationPrediction(Clip("a", "a", "a.mp4", "dog", "1", split), ("dog",), ("dog",), (0.5,))
    return Row(prediction, categories, codes, ("words",), Markup())


def test_counts_rows_by_what_they_can_be_filtered_by():
    explorer = Explorer(
        (
            row(("dog",), ("right",)),
            row(("dog", "cat"), ("missed", "category")),
            row(("dog",), ("category", "invented"), "val"),
        ),
        {"test": 0},
        ("right", "category", "boundary", "missed", "invented"),
    )
    assert explorer.count("outcome") == {"right": 1, "category": 2, "boundary": 0, "missed": 1, "invented": 1}
    assert explorer.count("split") == {"test": 2, "val": 1}
    assert explorer.count("category") == {"dog": 3, "cat": 1}
    assert explorer.num_detailed == 0
    assert not explorer.has_media

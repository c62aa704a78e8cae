from pipeline.drawing.palette import colours
from pipeline.report.parsing.clips import build_row, describe_outcome


def rows(run):
    colour_of = colours(run.manifest.categories)
    return [build_row(run, prediction, colour_of, False) for prediction in run.predictions["test"]]


def test_the_outcome_counts_what_was_found_and_each_kind_of_mistake(run):
    assert [describe_outcome(prediction) for prediction in run.predictions["test"]] == [
        ("4 of 4 found",),
        ("2 of 4 found", "2 missed"),
        ("2 of 2 found", "2 wrong modality", "1 at a boundary"),
        ("nothing to find",),
        ("0 of 3 found", "3 missed", "1 false"),
    ]


def test_codes_are_the_kinds_that_occur_or_right(run):
    assert [row.outcome_codes for row in rows(run)] == [
        ("right",),
        ("missed",),
        ("modality", "boundary"),
        ("right",),
        ("missed", "invented"),
    ]


def test_a_clip_is_found_by_all_that_is_true_or_predicted_in_class_order(run):
    assert [row.categories for row in rows(run)] == [("bell",), ("dog", "rain"), ("rain",), (), ("dog", "rain")]

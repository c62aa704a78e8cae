from itertools import product

from pipeline.report.mistakes import RIGHT
from pipeline.report.parsing.mistakes import KINDS, lane_kinds

SIGNS = {RIGHT: ".", "modality": "o", "boundary": "b", "missed": "m", "invented": "i"}


def kinds(truth, predicted, elsewhere="......"):
    """Return a sign per segment."""
    flags = [[mark != "." for mark in text] for text in (truth, predicted, elsewhere[: len(truth)])]
    return "".join(SIGNS[kind] for kind in lane_kinds(*flags))


def test_what_is_there_in_the_other_modality_is_in_the_wrong_one():
    assert kinds("......", ".xxx..", "..xx..") == ".ioo.."


def test_a_wrong_modality_comes_before_a_boundary():
    assert kinds(".xx...", ".xxx..") == "...b.."
    assert kinds(".xx...", ".xxx..", "...x..") == "...o.."


def test_what_is_missed_is_so_wherever_else_it_is():
    assert kinds("x.....", "......", "xxxxxx") == "m....."


def test_every_wrong_segment_has_a_kind_and_no_right_one():
    for marks in product(product(".x", repeat=3), repeat=3):
        truth, predicted, elsewhere = ([mark == "x" for mark in text] for text in marks)
        found = lane_kinds(truth, predicted, elsewhere)
        assert [kind != RIGHT for kind in found] == [a != b for a, b in zip(truth, predicted, strict=True)]
        assert set(found) <= {RIGHT, *KINDS}

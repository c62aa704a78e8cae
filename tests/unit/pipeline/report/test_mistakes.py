from itertools import product

import pytest

from pipeline.report.mistakes import KINDS, RIGHT, count_kinds, segment_kinds

NAMES = {".": "background", "d": "dog", "c": "cat"}
SIGNS = {RIGHT: ".", "category": "c", "boundary": "b", "missed": "m", "invented": "i"}


def kinds(truth, predicted):
    """Return a sign per segment."""
    found = segment_kinds([NAMES[sign] for sign in truth], [NAMES[sign] for sign in predicted])
    return "".join(SIGNS[kind] for kind in found)


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        ("..ddd.", "..ddd.", "......"),
        ("..ddd.", "...dd.", "..b..."),  # late
        ("..ddd.", ".dddd.", ".b...."),  # early
        ("..ddd.", "..dd..", "....b."),  # ends early
        ("..ddd.", "..dddd", ".....b"),  # ends late, at the end of the clip
        ("..ddd.", ".dd...", ".b.mm."),  # one boundary is off by one, the other by two
        ("..ddd.", "....d.", "..mm.."),  # two late
        ("..ddd.", "......", "..mmm."),  # nothing found
        ("..ddd.", "dd.dd.", "iim..."),  # the segment on the other side is wrong too
        ("..ddd.", "dddddd", "ii...b"),
        ("..ddd.", "..ccc.", "..ccc."),
        ("..ddd.", ".cccc.", ".iccc."),  # moved, the segment would still have the wrong name
        ("..ddd.", "..cdd.", "..c..."),
        ("..ddd.", "..d.d.", "...m.."),  # a hole is no boundary
        ("ddd...", ".dd...", "b....."),  # before the clip there is background
        (".ddddd", "dddddd", "b....."),
        ("..d...", "......", "..m..."),  # one segment long: nothing of the event was found
        ("d.....", "......", "m....."),
        ("dd.ddd", "dddddd", "..i..."),  # a gap of one segment
        ("dd..dd", "ddd.dd", "..b..."),
        ("d", ".", "m"),
        (".", "d", "i"),
        ("d", "c", "c"),
    ],
)
def test_a_wrong_segment_is_of_the_kind_worked_out_by_hand(truth, predicted, expected):
    assert kinds(truth, predicted) == expected


def test_every_wrong_segment_is_of_one_kind_and_every_right_one_of_none():
    for truth in product(".d", repeat=4):
        for predicted in product(".dc", repeat=4):
            found = kinds(truth, predicted)
            assert [sign == "." for sign in found] == [a == b for a, b in zip(truth, predicted, strict=True)]


def test_moving_a_boundary_by_one_always_mends_the_segment_and_its_neighbours():
    """What the page says of the kind, tried out on every clip of five segments."""
    seen = 0
    for truth in product(".d", repeat=5):
        for predicted in product(".d", repeat=5):
            for place, sign in enumerate(kinds(truth, predicted)):
                mended = [*predicted[:place], truth[place], *predicted[place + 1 :]]
                around = slice(max(0, place - 1), place + 2)
                if sign == "b":
                    seen += 1
                    assert list(truth[around]) == mended[around]
                    padded = [".", *truth, "."]
                    assert padded[place] != padded[place + 2]
    assert seen


def test_reading_a_clip_backwards_changes_no_kind():
    for truth in product(".d", repeat=4):
        for predicted in product(".dc", repeat=4):
            assert kinds(truth[::-1], predicted[::-1]) == kinds(truth, predicted)[::-1]


def test_counts_are_over_all_clips_and_name_every_kind():
    clips = [("right", "missed", "missed"), ("boundary", "right", "missed")]
    assert count_kinds(clips) == {"category": 0, "boundary": 1, "missed": 3, "invented": 0}
    assert list(count_kinds([])) == list(KINDS)


def test_refuses_to_compare_clips_of_different_length():
    with pytest.raises(ValueError, match="predicted: expected 2 segments, found 1"):
        segment_kinds(("dog", "dog"), ("dog",))

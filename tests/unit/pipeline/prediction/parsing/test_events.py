from collections.abc import Callable
from pathlib import Path

import pytest

PATH = Path("a.mp4")


def test_events_are_the_longest_runs_of_a_category_in_a_modality(make_parsed: Callable) -> None:
    events = make_parsed(PATH, heard="bb2.s", seen="s.bb.").events
    assert [(event.start_seconds, event.end_seconds, event.modality, event.category) for event in events] == [
        (0.0, 3.0, "audio", "bell"),
        (0.0, 1.0, "visual", "siren"),
        (2.0, 4.0, "visual", "bell"),
        (2.0, 3.0, "audio", "siren"),
        (4.0, 5.0, "audio", "siren"),
    ]
    assert [event.probability for event in events] == pytest.approx([0.71, 0.7, 0.725, 0.72, 0.74])


def test_lanes_are_what_is_found_in_class_order_heard_before_seen(make_parsed: Callable) -> None:
    lanes = make_parsed(PATH, heard="s..s", seen="..s.", categories=("bell", "siren")).lanes
    assert [(lane.category, lane.modality, len(lane.events)) for lane in lanes] == [
        ("siren", "audio", 2),
        ("siren", "visual", 1),
    ]
    assert [lane.probability for lane in lanes] == pytest.approx([0.73, 0.72]), "that of the most probable event"


def test_a_modality_is_lacking_where_no_segment_has_it(make_parsed: Callable) -> None:
    prediction = make_parsed(PATH, heard="xx", seen="x.")
    assert prediction.lacks("audio")
    assert not prediction.lacks("visual")


def test_nothing_heard_or_seen_is_no_lane(make_parsed: Callable) -> None:
    prediction = make_parsed(PATH, heard="..x", seen="x..")
    assert (prediction.lanes, prediction.events) == ((), ())

from collections.abc import Callable
from pathlib import Path

import pytest


def test_events_are_the_longest_runs_of_one_category(make_prediction: Callable) -> None:
    events = make_prediction(Path("a.mp4"), "bb.bss..x").events
    assert [(event.category, event.start_seconds, event.end_seconds) for event in events] == [
        ("bell", 0.0, 2.0),
        ("bell", 3.0, 4.0),
        ("siren", 4.0, 6.0),
    ]
    assert [event.relevance for event in events] == pytest.approx([0.755, 0.78, 0.795])


def test_background_alone_has_no_event(make_prediction: Callable) -> None:
    assert make_prediction(Path("a.mp4"), "..x").events == ()

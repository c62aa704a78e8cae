import pytest

from pipeline.annotations.parsing_events import EventRow, Oddities, time_clips
from pipeline.annotations.rules import NANOSECONDS
from pipeline.store.parsing_manifest import ParsedClip

CATEGORIES = ("Dog", "Car", "Speech")
TRAINED = ParsedClip("t", "t", "t.mp4", ("Dog",), None, None, "train")
SCORED = ParsedClip("v", "v", "v.mp4", ("Speech", "Dog"), None, None, "val")
OTHER = ParsedClip("w", "w", "w.mp4", (), None, None, "test")


def row(line: int, clip_id: str, start: float, end: float, category: str = "Dog", modality: str = "audio") -> EventRow:
    return EventRow(line, modality, clip_id, category, round(start * NANOSECONDS), round(end * NANOSECONDS))


@pytest.fixture
def time(dataset_params):
    """Return what gives the clips above their times: `SCORED` with them, and the oddities there are."""

    def time(*rows: EventRow, clip: ParsedClip = SCORED) -> tuple[ParsedClip, Oddities]:
        params = dataset_params(task="parsing", format="llp")
        (trained, timed), oddities = time_clips(iter([TRAINED, clip]), rows, CATEGORIES, params)
        assert trained == TRAINED
        held = {
            kind: {part: texts for part, texts in parts.items() if texts}
            for kind, parts in oddities.items()
            if any(parts.values())
        }
        return timed, held

    return time


def test_segments_are_set_from_start_to_end_per_modality_in_class_order(time) -> None:
    clip, oddities = time(
        row(2, "v", 7, 10, "Speech"), row(3, "v", 0, 2), row(4, "v", 4, 5), row(2, "v", 3, 4, modality="visual")
    )
    assert list(clip.audio_events.items()) == [("Dog", "1100100000"), ("Speech", "0000000111")]
    assert clip.visual_events == {"Dog": "0001000000"}
    assert (clip.tags, clip.split, clip.is_timed) == (("Speech", "Dog"), "val", True)
    assert oddities == {}


def test_rows_that_overlap_or_repeat_set_segments_once_more_and_are_named(time) -> None:
    clip, oddities = time(
        row(2, "v", 0, 8),
        row(3, "v", 2, 3),
        row(4, "v", 5, 9),
        row(5, "v", 2, 3, "Speech"),
        row(6, "v", 2, 3, "Speech"),
    )
    assert clip.audio_events == {"Dog": "1111111110", "Speech": "0010000000"}
    assert oddities == {
        "repeated_rows": {"audio": ["line 6: v, Speech, 2 to 3 s, as line 5"]},
        "overlapping_events": {"audio": ["v, Dog: 0 to 8 s, 2 to 3 s, 5 to 9 s", "v, Speech: 2 to 3 s, 2 to 3 s"]},
        "clips_without_rows": {"visual": ["v (val)"]},
    }


def test_rows_side_by_side_of_two_modalities_or_of_two_categories_do_not_overlap(time) -> None:
    _, oddities = time(
        row(2, "v", 0, 4),
        row(3, "v", 4, 8),
        row(4, "v", 2, 6, "Speech"),
        row(2, "v", 0, 4, modality="visual"),
    )
    assert oddities == {}


def test_an_interval_that_ends_where_or_before_it_starts_takes_nothing_from_another(time) -> None:
    clip, oddities = time(row(2, "v", 9, 0), row(3, "v", 5, 5), row(4, "v", 3, 7), row(5, "v", 2, 2, "Speech"))
    assert clip.audio_events == {"Dog": "0001111000"}
    assert oddities == {
        "empty_intervals": {"audio": ["line 3: v, Dog, 5 to 5 s", "line 5: v, Speech, 2 to 2 s"]},
        "reversed_intervals": {"audio": ["line 2: v, Dog, 9 to 0 s"]},
        "clips_without_rows": {"visual": ["v (val)"]},
    }


def test_an_event_of_less_than_half_a_segment_is_named(time) -> None:
    clip, oddities = time(row(2, "v", 1.2, 1.5), row(3, "v", 6.25, 6.75, "Speech"), row(4, "v", 2.8, 3.2, "Speech"))
    assert clip.audio_events == {"Speech": "0000001000"}
    assert oddities["events_without_segment"] == {"audio": ["v, Dog"]}


def test_tags_are_held_to_the_categories_of_the_rows(time) -> None:
    _, oddities = time(row(2, "v", 3, 3), row(3, "v", 1, 2, "Car", "visual"))
    assert oddities["clips_whose_tags_differ"] == {"val": ["v, tags without a row: Speech; rows without a tag: Car"]}
    _, oddities = time(row(2, "v", 3, 3), row(3, "v", 1, 2, "Speech", "visual"))
    assert "clips_whose_tags_differ" not in oddities


def test_a_scored_clip_without_rows_has_no_event_and_is_named(time) -> None:
    clip, oddities = time(row(2, "nobody", 0, 1), row(3, "t", 0, 1), clip=OTHER)
    assert (clip.audio_events, clip.visual_events) == ({}, {})
    assert oddities == {
        "rows_of_training_clips": {"audio": ["t: 1 row"]},
        "clips_without_rows": {"audio": ["w (test)"], "visual": ["w (test)"]},
    }

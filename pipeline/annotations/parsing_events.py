"""Parsing: from rows of what is heard and seen to the segments of each clip, and to what is odd about the rows.

A row that sets nothing is no fault, as the published files hold such rows and the published scores are those of these
files; it is noted by its line, never left out in silence. Training knows the tags of a clip alone: rows of a clip of
the split train are noted and not used.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from pipeline.annotations.rules import NANOSECONDS, event_segments, segment_nanoseconds
from pipeline.params.schema import DatasetParams
from pipeline.store.parsing_manifest import MODALITIES, ParsedClip

Oddities = Mapping[str, Mapping[str, Sequence[str]]]
"""What is odd, by its kind and then by modality or split: a text per row, name or clip."""

TIMED_SPLITS = ("val", "test")

_Intervals = Mapping[tuple[str, str], Mapping[str, Sequence[tuple[int, int]]]]
"""Start and end of each row, by modality and clip, and then by category."""


@dataclass(frozen=True)
class EventRow:
    """A row: when a category is heard, or seen, in a clip.

    Parameters
    ----------
    line : int
        Of the file, from 1.
    modality : str
        ``audio`` or ``visual``.
    clip_id : str
        As the row has it, whether there is such a clip or not.
    category : str
    start, end : int
        Nanoseconds; the end is outside. An end before the start sets nothing.
    """

    line: int
    modality: str
    clip_id: str
    category: str
    start: int
    end: int

    @property
    def text(self) -> str:
        """The row for people."""
        return f"line {self.line}: {self.clip_id}, {self.category}, {_span(self.start, self.end)}"


@dataclass(frozen=True)
class ParsingAnnotations:
    """What annotation files of parsing say, before anything is known about the videos.

    Parameters
    ----------
    clips : tuple of ParsedClip
        In the order of the lists; those of val and test with their times.
    categories : tuple of str
        Category names in class order.
    num_rows : int
        Rows of the lists of clips.
    num_event_rows : dict of str to int
        Rows by modality.
    truth : str
        What the segment labels are from, in words.
    oddities : dict
        By kind, then by modality or split: what :func:`time_clips` and the reader noted.
    leaks_left_out, chosen_videos : tuple of str
        As those of :class:`pipeline.annotations.rules.Annotations`.
    """

    clips: tuple[ParsedClip, ...]
    categories: tuple[str, ...]
    num_rows: int
    num_event_rows: Mapping[str, int]
    truth: str
    oddities: Oddities = field(default_factory=dict)
    leaks_left_out: tuple[str, ...] = ()
    chosen_videos: tuple[str, ...] = ()


def time_clips(
    clips: Iterable[ParsedClip], rows: Sequence[EventRow], categories: Sequence[str], params: DatasetParams
) -> tuple[tuple[ParsedClip, ...], Oddities]:
    """Give the clips of val and test the segments that their rows set, and note what is odd.

    A category is heard (or seen) in a segment if its intervals together cover at least half of it; with whole seconds
    and segments of 1 s that is ``truth[category, start:end] = 1``. Rows that repeat or overlap set segments once more.

    Returns
    -------
    clips : tuple of ParsedClip
        A clip of val or test without rows has no event. A category of which no segment is set is not among the events.
    oddities : dict
        Of rows, by modality: `empty_intervals`, `reversed_intervals`, `repeated_rows`, `overlapping_events` (of one
        clip and category), `events_without_segment` (too short for half a segment), `rows_of_training_clips`,
        `clips_without_rows`. Of clips, by split: `clips_whose_tags_differ` from the categories of their rows, whether
        these set a segment or not.
    """
    clips = tuple(clips)
    intervals: dict[tuple[str, str], dict[str, list[tuple[int, int]]]] = {}
    for row in rows:
        of_clip = intervals.setdefault((row.modality, row.clip_id), {})
        of_clip.setdefault(row.category, []).append((row.start, row.end))
    timed, too_short = [], []
    for clip in clips:
        if clip.split in TIMED_SPLITS:
            events = {}
            for modality in MODALITIES:
                of_clip = intervals.get((modality, clip.clip_id), {})
                events[modality] = _segments(of_clip, categories, params)
                too_short += [
                    (modality, f"{clip.clip_id}, {category}")
                    for category, spans in of_clip.items()
                    if category not in events[modality] and any(start < end for start, end in spans)
                ]
            clip = replace(clip, audio_events=events["audio"], visual_events=events["visual"])
        timed.append(clip)
    return tuple(timed), {
        "empty_intervals": _by_modality((row.modality, row.text) for row in rows if row.start == row.end),
        "reversed_intervals": _by_modality((row.modality, row.text) for row in rows if row.start > row.end),
        "repeated_rows": _by_modality(_repeated(rows)),
        "overlapping_events": _by_modality(_overlapping(intervals)),
        "events_without_segment": _by_modality(too_short),
        "rows_of_training_clips": _by_modality(_of_training(clips, rows)),
        "clips_without_rows": _by_modality(
            (modality, f"{clip.clip_id} ({clip.split})")
            for modality in MODALITIES
            for clip in clips
            if clip.split in TIMED_SPLITS and (modality, clip.clip_id) not in intervals
        ),
        "clips_whose_tags_differ": _tags_that_differ(clips, intervals),
    }


def _segments(
    intervals: Mapping[str, Sequence[tuple[int, int]]], categories: Sequence[str], params: DatasetParams
) -> dict[str, str]:
    """Return the segments of each category that has any, in class order."""
    segments = {
        category: event_segments(intervals[category], params.num_segments, segment_nanoseconds(params))
        for category in categories
        if category in intervals
    }
    return {category: text for category, text in segments.items() if "1" in text}


def _by_modality(found: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {modality: [] for modality in MODALITIES}
    for modality, text in found:
        texts[modality].append(text)
    return texts


def _repeated(rows: Iterable[EventRow]) -> Iterable[tuple[str, str]]:
    first_line: dict[tuple[object, ...], int] = {}
    for row in rows:
        first = first_line.setdefault((row.modality, row.clip_id, row.category, row.start, row.end), row.line)
        if first != row.line:
            yield row.modality, f"{row.text}, as line {first}"


def _overlapping(intervals: _Intervals) -> Iterable[tuple[str, str]]:
    for (modality, clip_id), of_clip in intervals.items():
        for category, spans in of_clip.items():
            ordered = sorted(span for span in spans if span[0] < span[1])
            if any(later[0] < earlier[1] for earlier, later in pairwise(ordered)):
                yield modality, f"{clip_id}, {category}: {', '.join(_span(*span) for span in ordered)}"


def _of_training(clips: Iterable[ParsedClip], rows: Iterable[EventRow]) -> Iterable[tuple[str, str]]:
    training = {clip.clip_id for clip in clips if clip.split == "train"}
    counts = Counter((row.modality, row.clip_id) for row in rows if row.clip_id in training)
    for (modality, clip_id), count in counts.items():
        yield modality, f"{clip_id}: {count} {'row' if count == 1 else 'rows'}"


def _tags_that_differ(clips: Iterable[ParsedClip], intervals: _Intervals) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {split: [] for split in TIMED_SPLITS}
    for clip in clips:
        if clip.split not in TIMED_SPLITS:
            continue
        in_rows = dict.fromkeys(
            category for modality in MODALITIES for category in intervals.get((modality, clip.clip_id), {})
        )
        parts = (
            ("tags without a row", [tag for tag in clip.tags if tag not in in_rows]),
            ("rows without a tag", [category for category in in_rows if category not in clip.tags]),
        )
        if said := "; ".join(f"{what}: {', '.join(names)}" for what, names in parts if names):
            texts[clip.split].append(f"{clip.clip_id}, {said}")
    return texts


def _span(start: int, end: int) -> str:
    return f"{start / NANOSECONDS:g} to {end / NANOSECONDS:g} s"

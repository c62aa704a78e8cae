"""A data set of one's own for localization: ``clips.csv``, one row per event.

::

    path,category,start,end,split
    dog1.mp4,Bark,0,3.5,train
    dog1.mp4,Bark,6,10,train        a second event of the same clip
    street/bus.mp4,Bus,,,val        a clip in which the event is nowhere both seen and heard
    tram.mp4,Tram,?,?,train         a clip of which only the category is known, for weak training
    rain.mp4,,,,background          a clip of no category at all, for weak training

`path` is relative to the folder of the videos and stays inside it; `start` and `end` are seconds; `split` is train,
val, test or background. Rows of one path are one clip: they share category and split. Both seconds empty says that the
whole clip is background (it still has a category, as AVE's one 0-0 row has); both ``?`` that its times are unknown, as
those of a training clip may be. No other row of such a clip may stand beside it. Of the split background, one row per
clip says nothing but the path.
Columns may stand in any order; empty lines are skipped, spaces around values ignored.

A clip's id is its path without the suffix, with ``__`` for ``/``. Classes are numbered in the order in which the file
first names them, so rows added at the end move nothing. The tables of parsing are read by
:mod:`pipeline.annotations.csv_parsing`.
"""

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.annotations.csv_rows import check_id, check_path, check_split, read_csv_rows, video_id_of
from pipeline.annotations.rules import (
    Annotations,
    Faults,
    event_segments,
    fault_of_name,
    parse_interval,
    segment_nanoseconds,
    videos_folder,
)
from pipeline.core.errors import AnnotationError, explain, shorten
from pipeline.params.schema import DatasetParams
from pipeline.store.manifest import BACKGROUND, SPLITS, UNKNOWN, Clip

COLUMNS = ("path", "category", "start", "end", "split")

_Interval = tuple[int, int] | str | None
"""Start and end of an event in nanoseconds; None for a clip without event, ``?`` for one whose times are unknown."""


@dataclass
class _Clip:
    """The rows of one path: from its first line on, an interval per row, with the row's line."""

    line: int
    video_id: str
    category: str
    split: str
    intervals: dict[_Interval, int] = field(default_factory=dict)


def read_csv_table(params: DatasetParams, raw: Path) -> Annotations:
    """Read ``clips.csv`` from `raw`.

    Raises
    ------
    AnnotationError
        If the file is missing, has no rows or another header, or names every faulty row: the first ten and their
        number.
    """
    path = raw / "clips.csv"
    remedy = f"write it as data/{params.name}/README.md shows"
    faults = Faults(path)
    clips: dict[str, _Clip] = {}
    path_of_id: dict[str, str] = {}
    num_rows = 0
    for line, row in read_csv_rows(path, COLUMNS, faults, others_allowed=False, remedy=remedy):
        num_rows += 1
        if not _check_values(line, row, faults):
            continue
        before = faults.count
        interval = _interval(line, row, params, faults)
        if faults.count > before:
            continue
        clip = clips.get(row["path"])
        if clip is None:
            clip = _Clip(line, video_id_of(row["path"]), row["category"], row["split"])
            clips[row["path"]] = clip
            check_id(line, row["path"], path_of_id, faults)
        _add_event(line, row, clip, interval, faults)
    faults.raise_if_any()
    if not clips:
        raise AnnotationError(explain(path, expected="a row per event", found="none", remedy=remedy))
    segment, folder = segment_nanoseconds(params), videos_folder(params)
    return Annotations(
        clips=tuple(
            Clip(
                clip_id=clip.video_id,
                video_id=clip.video_id,
                path=f"{folder}{name}",
                category=clip.category,
                events=UNKNOWN * params.num_segments
                if UNKNOWN in clip.intervals
                else event_segments(
                    [interval for interval in clip.intervals if isinstance(interval, tuple)],
                    params.num_segments,
                    segment,
                ),
                split=clip.split,
            )
            for name, clip in clips.items()
        ),
        categories=tuple(dict.fromkeys(clip.category for clip in clips.values() if clip.split != BACKGROUND)),
        num_rows=num_rows,
    )


def _check_values(line: int, row: dict[str, str], faults: Faults) -> bool:
    """Note what is wrong with path, category and split; return whether nothing is."""
    before = faults.count
    check_path(line, row["path"], faults)
    if row["split"] == BACKGROUND:
        for key in ("category", "start", "end"):
            if row[key]:
                faults.add(
                    line,
                    expected=f"no {key} of a clip that is {BACKGROUND} throughout",
                    found=shorten(row[key]),
                    remedy="leave it empty, or write the split that the clip belongs to",
                )
    elif fault := UNKNOWN if row["category"] == UNKNOWN else fault_of_name(row["category"]):
        faults.add(
            line,
            expected="a category",
            found=fault,
            remedy="name what happens; leave start and end empty if it is nowhere both seen and heard",
        )
    check_split(line, row["split"], (*SPLITS, BACKGROUND), faults)
    return faults.count == before


def _interval(line: int, row: dict[str, str], params: DatasetParams, faults: Faults) -> _Interval:
    """Return the row's event, or what stands for it; note what is wrong with its times."""
    if not row["start"] and not row["end"]:
        return None
    if row["start"] == row["end"] == UNKNOWN:
        if row["split"] != "train":
            faults.add(
                line,
                expected=f"times of a clip of {row['split']}, which is scored by segment",
                found=f"{UNKNOWN}, which only train may have",
                remedy="write its times, or the split train",
            )
        return UNKNOWN
    interval = parse_interval(row["start"], row["end"], params)
    if isinstance(interval, str):
        faults.add(
            line,
            expected="start and end in seconds within the clip, or both empty, or both ?",
            found=interval,
            remedy="mend the row, or dataset.num_segments if clips are longer",
        )
    return interval


def _add_event(line: int, row: dict[str, str], clip: _Clip, interval: _Interval, faults: Faults) -> None:
    """Add a row to its clip, or note how it contradicts the clip's other rows."""
    for key, value in (("split", clip.split), ("category", clip.category)):
        if row[key] != value and (key == "split" or BACKGROUND not in (row["split"], clip.split)):
            faults.add(
                line,
                expected=f"one {key} per clip, {shorten(value)} as in line {clip.line}",
                found=shorten(row[key]),
                remedy="cut the video in two, or drop one of the rows",
            )
    if interval in clip.intervals:
        faults.add(
            line,
            expected="every event once",
            found=f"line {clip.intervals[interval]} again",
            remedy="delete one of the rows",
        )
    elif alone := {None, UNKNOWN} & {interval, *clip.intervals} if clip.intervals else set():
        faults.add(
            line,
            expected=f"events, or one row with start and end {'empty' if None in alone else UNKNOWN}",
            found=f"both, here and in line {next(iter(clip.intervals.values()))}",
            remedy="delete one of the rows",
        )
    clip.intervals.setdefault(interval, line)

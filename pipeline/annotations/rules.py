"""What every annotation format has to keep to: names, ids, times; and how times become event segments.

Times are whole nanoseconds from here on, so that "at least half of a segment" is exact for any decimal.

segment           0     1     2     3
time      |-----|-----|-----|-----|
event        |===========|              0.6 to 2.5 of segments of 1 s: 0 is covered by 0.4, 1 and 2 by half or more
events      0     1     1     0
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.core.errors import AnnotationError, explain, shorten
from pipeline.params.schema import DatasetParams
from pipeline.store.manifest import BACKGROUND, Clip

FeatureSource = Literal["extracted", "released"]  # as features.source of params.yaml

MAX_NAME_BYTES = 200  # file systems allow 255 for a name with its suffix
MAX_REPORTED_FAULTS = 10

NANOSECONDS = 10**9

_SECONDS = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?")


@dataclass(frozen=True)
class Annotations:
    """What an annotation file says, before anything is known about the videos.

    Parameters
    ----------
    clips : tuple of Clip
        Clips that belong to a split, in the order of the annotation file.
    categories : tuple of str
        Category names in class order: the order in which the annotation file first names them.
    num_rows : int
        Rows of the annotation file.
    rows_without_split : tuple of str
        Rows that no split names, as they are written.
    qualities : dict of str to int
        Rows by the annotators' judgement of the video; empty where the format has none.
    leaks_left_out : tuple of str
        Clips of train and val that `dataset.split` left out: their video is in test too.
    chosen_videos : tuple of str
        For every id that names several files, which one was chosen and which were not, in words.
    label_contradictions : tuple of str
        Rows on which the annotation file and a label file that came with it disagree, in words.
    num_contradicting_segments : int
        Segments in which they do.
    truth : str
        What the segment labels are from, in words.
    event_shares : str
        What the event share of each clip is from: a file, or ``derived`` from its segments.
    """

    clips: tuple[Clip, ...]
    categories: tuple[str, ...]
    num_rows: int
    rows_without_split: tuple[str, ...] = ()
    qualities: dict[str, int] = field(default_factory=dict)
    leaks_left_out: tuple[str, ...] = ()
    chosen_videos: tuple[str, ...] = ()
    label_contradictions: tuple[str, ...] = ()
    num_contradicting_segments: int = 0
    truth: str = "annotations"
    event_shares: str = "derived"


class Faults:
    """Gathers the faults of one file, so that they are reported together: the first ten and their number."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._lines: list[str] = []

    def add(self, line: int, *, expected: str, found: str, remedy: str) -> None:
        """Note a fault of line number `line`, counted from 1; quote what the file says with :func:`.shorten`."""
        self.count += 1
        if len(self._lines) < MAX_REPORTED_FAULTS:
            self._lines.append(explain(f"line {line}", expected=expected, found=found, remedy=remedy))

    def raise_if_any(self) -> None:
        """Raise an AnnotationError that names what was noted, on one line."""
        if not self.count:
            return
        number = "1 fault" if self.count == 1 else f"{self.count} faults"
        first = f", the first {len(self._lines)}" if self.count > len(self._lines) else ""
        raise AnnotationError(f"{self.path} has {number}{first}: {' | '.join(self._lines)}")


def read_text(path: Path, *, remedy: str) -> str:
    """Read a UTF-8 text file, with or without a byte order mark, with any line ends.

    Raises
    ------
    AnnotationError
        If the file is missing or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise AnnotationError(explain(path, expected="an annotation file", found="no file", remedy=remedy)) from error
    except UnicodeDecodeError as error:
        raise AnnotationError(
            explain(path, expected="UTF-8 text", found=f"byte {error.start} that is none", remedy="save it as UTF-8")
        ) from error


def fault_of_name(name: str) -> str | None:
    """Return what is wrong with a category, or None."""
    if not name.strip():
        return "nothing"
    if name.strip().casefold() == BACKGROUND:
        return f"{BACKGROUND!r}, which is the class of segments without an event"
    return _fault_of_characters(name)


def fault_of_id(video_id: str) -> str | None:
    """Return what is wrong with a video id, which becomes a file name, or None."""
    if not video_id.strip():
        return "nothing"
    if "/" in video_id or "\\" in video_id or ".." in video_id:
        return f"{shorten(video_id)}, which leads to another folder"
    return _fault_of_characters(video_id)


def fault_of_path(path: str) -> str | None:
    """Return what is wrong with a path that has to stay inside a folder, or None."""
    if not path.strip():
        return "nothing"
    if "\\" in path:
        return f"{shorten(path)}, with a backslash"
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        return f"{shorten(path)}, which is absolute"
    parts = path.split("/")
    if ".." in parts:
        return f"{shorten(path)}, which leads out of the folder"
    if "" in parts or "." in parts:
        return f"{shorten(path)}, with an empty part"
    return next(filter(None, map(_fault_of_characters, parts)), None)


def _fault_of_characters(name: str) -> str | None:
    plain = name.isascii() and name.isprintable()
    if not plain and any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
        return f"{shorten(name)}, with a control character"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"{shorten(name)}, longer than {MAX_NAME_BYTES} bytes"
    return None


def parse_interval(
    start: str, end: str, params: DatasetParams, *, may_be_reversed: bool = False
) -> tuple[int, int] | str:
    """Return start and end of an event in nanoseconds, or what is wrong with them.

    An event may end up to half a segment after the clip (clips of 10.03 s are annotated so): that piece could
    never have made a segment an event. With `may_be_reversed` a start after its end is no fault; where the end is then
    the smaller number, :func:`event_segments` takes nothing from it.
    """
    times = []
    for text in (start, end):
        match = _SECONDS.fullmatch(text)
        if match is None:
            return f"{shorten(text)}, {'which is negative' if text.startswith('-') else 'not a plain number'}"
        times.append(int(match[1]) * NANOSECONDS + int((match[2] or "").ljust(9, "0")))
    first, last = times
    if first > last and not may_be_reversed:
        return f"start {start} after end {end}"
    if 2 * max(times) >= (2 * params.num_segments + 1) * segment_nanoseconds(params):
        beyond = f"end {end}" if last >= first else f"start {start}"
        return f"{beyond} after the clip's {params.num_segments * params.segment_seconds:g} s"
    return first, last


def segment_nanoseconds(params: DatasetParams) -> int:
    """Return the length of a segment."""
    return round(params.segment_seconds * NANOSECONDS)


def event_segments(intervals: Iterable[tuple[int, int]], num_segments: int, length: int) -> str:
    """Return one character per segment: ``1`` where the intervals together cover at least half of it.

    Parameters
    ----------
    intervals : iterable of (start, end)
        In the unit of `length`; an end is outside its interval; intervals may overlap.
    num_segments : int
        T.
    length : int
        Length of a segment.

    Examples
    --------
    >>> event_segments([(6, 25)], num_segments=4, length=10)
    '0110'
    """
    covered = [0] * num_segments
    done = 0
    for start, end in sorted(intervals):
        start = max(start, done)
        done = max(done, end)
        for segment in range(start // length, min(-(-end // length), num_segments)):
            covered[segment] += max(0, min(end, (segment + 1) * length) - max(start, segment * length))
    return "".join("1" if 2 * part >= length else "0" for part in covered)


def videos_folder(params: DatasetParams) -> str:
    """Return ``dataset.videos`` as what paths in the manifest start with: ``videos/``, or nothing for ``.``.

    Raises
    ------
    AnnotationError
        If it is no folder inside ``raw``.
    """
    if params.videos == ".":
        return ""
    folder = params.videos.removesuffix("/")
    if fault := fault_of_path(folder):
        raise AnnotationError(
            explain(
                "dataset.videos",
                expected="a folder inside raw, such as videos or clips/train, or a dot",
                found=fault,
                remedy="move or link the videos there",
            )
        )
    return f"{folder}/"

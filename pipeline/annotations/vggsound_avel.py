"""VGGSound-AVEL100k and 50k: a table of clips, the categories, and a vector of 0 and 1 per clip.

In ``raw``, names in any case:

one ``*.csv``
    Columns ``video_id``, ``category``, ``split`` (train, val or test) in any order; others are ignored.
``*categor*.txt`` or ``*categor*.json``
    Optional: a category per line, or an object of which they are the keys. Their order is the order of the classes,
    also of those that the table never names. Without the file it is the order in which the table first names them.
the labels, in one of these forms
    - one ``*.json``: an object of video ids, or a list of such objects. A label is ``[0, 1, …]``, ``"01…"`` or
      ``"[0, 1, …]"``, or an object with such a ``label``. Names with ``categor`` are no labels, nor are those that
      end in ``_dict.json``, which in the release hold the categories of clips once more.
    - one ``*.npy``, (N, T) in the order of the table's rows
    - the folder ``labels`` or the archive ``labels.zip``: an array (T,) or (1, T) per clip, see
      :mod:`pipeline.store.clip_arrays`

Videos are named as in VGGSound, ``<video_id>_<start>.mp4`` with the start as six digits, or ``<video_id>.mp4``. The
table has no starts. Where VGGSound has several clips of an id, ``dataset.ambiguous_videos`` decides: ``largest`` is the
largest start, which an author advises (https://github.com/jasongief/CPSP/issues/5).
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.annotations.csv_rows import read_csv_rows
from pipeline.annotations.rules import (
    Annotations,
    Faults,
    fault_of_id,
    fault_of_name,
    read_text,
    videos_folder,
)
from pipeline.annotations.videos import chosen_among, media_names, refuse_several
from pipeline.core.errors import AnnotationError, explain, shorten
from pipeline.params.schema import DatasetParams
from pipeline.store.arrays import read_array
from pipeline.store.clip_arrays import MAX_BYTES, ClipArrays
from pipeline.store.manifest import SPLITS, Clip

COLUMNS = ("video_id", "category", "split")

_START = re.compile(r"_[0-9]{6}$")
_CHARACTERS = {0: "0", 1: "1"}  # also of 0.0, 1.0 and truth values
_BRACKETS = str.maketrans("", "", "[], ")


@dataclass(frozen=True)
class _Row:
    """A row of the table, with its line number from 1."""

    line: int
    video_id: str
    category: str
    split: str


@dataclass(frozen=True)
class _Sources:
    """The files of ``raw`` by what they hold; `labels` is a JSON or npy file, a folder or an archive."""

    table: Path
    categories: Path | None
    labels: Path


def read_vggsound_avel(params: DatasetParams, raw: Path) -> Annotations:
    """Read the table, the categories and the labels from `raw`, and find the videos.

    A clip's id is its video id. A clip without any event is kept.

    Raises
    ------
    AnnotationError
        If a file is missing or one of several could be meant, or names every faulty row: the first ten and their
        number; or if an id names several videos and `dataset.ambiguous_videos` is ``error``.
    ShardError
        If labels are stored one per clip, or as ``.npy``, and a file of theirs cannot be read.
    """
    remedy = f"put the data set's files there, see data/{params.name}/README.md"
    folder = videos_folder(params)
    sources = _find_sources(raw, remedy=remedy)
    rows = _read_table(sources.table, remedy=remedy)
    listed = _read_categories(sources.categories, remedy=remedy) if sources.categories else None
    faults = Faults(sources.table)
    _check_rows(rows, listed, sources.categories, faults)
    events = _read_events(sources.labels, rows, params.num_segments, faults)
    faults.raise_if_any()
    names, chosen = _find_videos(raw / folder, [row.video_id for row in rows], ambiguous=params.ambiguous_videos)
    return Annotations(
        clips=tuple(
            Clip(
                clip_id=row.video_id,
                video_id=row.video_id,
                path=f"{folder}{names.get(row.video_id, f'{row.video_id}.mp4')}",
                category=row.category,
                events=vector,
                split=row.split,
            )
            for row, vector in zip(rows, events, strict=True)
        ),
        categories=listed or tuple(dict.fromkeys(row.category for row in rows)),
        num_rows=len(rows),
        chosen_videos=chosen,
    )


def _find_sources(raw: Path, *, remedy: str) -> _Sources:
    """Tell the files of `raw` apart by their names."""
    names = sorted(path.name for path in raw.iterdir() if not path.name.startswith("."))
    tables, categories, labels = [], [], []
    for name in names:
        lower = name.casefold()
        if lower.endswith(".csv"):
            tables.append(name)
        elif "categor" in lower and lower.endswith((".txt", ".json")):
            categories.append(name)
        elif lower in ("labels", "labels.zip") or (
            lower.endswith((".json", ".npy")) and not lower.endswith("_dict.json")
        ):
            labels.append(name)
    _require_one(raw, tables, "one table, *.csv", remedy=remedy)
    _require_one(raw, labels, "labels in one form: *.json, *.npy, labels.zip or the folder labels", remedy=remedy)
    if categories:
        _require_one(raw, categories, "at most one *categor*.txt or *categor*.json", remedy=remedy)
    return _Sources(raw / tables[0], raw / categories[0] if categories else None, raw / labels[0])


def _require_one(raw: Path, names: list[str], expected: str, *, remedy: str) -> None:
    if len(names) != 1:
        raise AnnotationError(
            explain(
                raw,
                expected=expected,
                found=", ".join(map(shorten, names)) or "none",
                remedy="leave the one that is meant" if names else remedy,
            )
        )


def _read_table(path: Path, *, remedy: str) -> list[_Row]:
    faults = Faults(path)
    table = read_csv_rows(path, COLUMNS, faults, others_allowed=True, remedy=remedy)
    faults.raise_if_any()
    if not table:
        raise AnnotationError(explain(path, expected="a row per clip", found="none", remedy=remedy))
    return [_Row(line, *(values[column] for column in COLUMNS)) for line, values in table]


def _read_categories(path: Path, *, remedy: str) -> tuple[str, ...]:
    """Return the categories in class order."""
    if path.suffix.casefold() == ".json":
        content = _read_json(path, remedy=remedy)
        if not isinstance(content, dict):
            raise AnnotationError(
                explain(
                    path,
                    expected="an object whose keys are the categories",
                    found=type(content).__name__,
                    remedy="write it so, or a *categor*.txt with a category per line",
                )
            )
        names = list(content)
    else:
        names = [line.strip() for line in read_text(path, remedy=remedy).split("\n")]
    while names and not names[-1]:
        names.pop()
    faults = Faults(path)
    line_of: dict[str, int] = {}
    for line, name in enumerate(names, start=1):
        if fault := fault_of_name(name):
            faults.add(line, expected="a category", found=fault, remedy="name what happens")
        elif name in line_of:
            faults.add(line, expected="every category once", found=f"line {line_of[name]} again", remedy="delete one")
        line_of.setdefault(name, line)
    faults.raise_if_any()
    if not names:
        raise AnnotationError(explain(path, expected="a category per line", found="none", remedy=remedy))
    return tuple(names)


def _check_rows(rows: list[_Row], listed: tuple[str, ...] | None, list_path: Path | None, faults: Faults) -> None:
    """Note what is wrong with ids, categories and splits."""
    known = set(listed or ())
    first: dict[str, _Row] = {}
    for row in rows:
        if fault := fault_of_id(row.video_id):
            faults.add(
                row.line, expected="an id that can be a file name", found=fault, remedy="rename the video and its row"
            )
        if fault := fault_of_name(row.category):
            faults.add(row.line, expected="a category", found=fault, remedy="name what happens")
        elif list_path and row.category not in known:
            faults.add(
                row.line,
                expected=f"a category that {list_path.name} lists",
                found=shorten(row.category),
                remedy="use the files of one release",
            )
        if row.split not in SPLITS:
            faults.add(
                row.line,
                expected="split train, val or test",
                found=shorten(row.split) if row.split else "nothing",
                remedy="write one of them in lower case",
            )
        other = first.setdefault(row.video_id, row)
        if other is row:
            continue
        if (row.category, row.split) == (other.category, other.split):
            faults.add(row.line, expected="every row once", found=f"line {other.line} again", remedy="delete one")
        else:
            faults.add(
                row.line,
                expected="every id once",
                found=f"{shorten(row.video_id)}, as line {other.line}, {shorten(other.category)} of {other.split}",
                remedy="delete the row that is not meant: nothing but the id leads to label and video",
            )


def _read_events(path: Path, rows: list[_Row], num_segments: int, faults: Faults) -> list[str]:
    """Return the events of each row, one character per segment; note what is wrong with labels."""
    suffix = path.suffix.casefold()
    if suffix == ".json":
        labels = _labels_by_id(path)
        return _events(rows, labels.get, num_segments, faults)
    if suffix == ".npy":
        if path.stat().st_size > MAX_BYTES:
            raise AnnotationError(
                explain(path, expected=f"at most {MAX_BYTES} bytes", found=path.stat().st_size, remedy="fetch it again")
            )
        array = read_array(path.read_bytes(), path)
        if array.shape != (len(rows), num_segments):
            raise AnnotationError(
                explain(
                    path,
                    expected=f"shape {(len(rows), num_segments)}, rows of the table by dataset.num_segments",
                    found=f"{array.shape}",
                    remedy="use the files of one release, or mend dataset.num_segments",
                )
            )
        by_row = dict(zip((row.video_id for row in rows), array.tolist(), strict=True))
        return _events(rows, by_row.get, num_segments, faults)
    with ClipArrays(path) as arrays:
        return _events(rows, lambda id_: _label_in(arrays, id_, num_segments), num_segments, faults)


def _label_in(arrays: ClipArrays, video_id: str, num_segments: int) -> object:
    """Return a clip's label as a list, its shape in words if it cannot be one, None if there is none."""
    if video_id not in arrays:
        return None
    array = arrays.read(video_id)
    return array.tolist() if array.size <= 2 * num_segments else f"an array of shape {array.shape}"


def _events(rows: Iterable[_Row], label_of: Callable[[str], object], num_segments: int, faults: Faults) -> list[str]:
    events = []
    for row in rows:
        label = label_of(row.video_id)
        vector = _vector(label)
        if label is None:
            found = f"none for {shorten(row.video_id)}"
        elif vector is None:
            found = shorten(str(label))
        elif len(vector) != num_segments:
            found = f"{len(vector)} for {shorten(row.video_id)}"
        else:
            events.append(vector)
            continue
        faults.add(
            row.line,
            expected=f"a label of {num_segments} values, each 0 or 1",
            found=found,
            remedy="use the files of one release, or mend dataset.num_segments",
        )
    return events


def _vector(label: object) -> str | None:
    """Return a label as one character per segment; None if it is not of 0 and 1 alone."""
    if isinstance(label, dict):
        label = label.get("label")
    if isinstance(label, str):
        digits = label.translate(_BRACKETS)
        return digits if not digits.strip("01") else None
    if isinstance(label, list) and len(label) == 1 and isinstance(label[0], list):
        (label,) = label
    if not isinstance(label, list):
        return None
    try:
        return "".join(_CHARACTERS[value] for value in label)
    except (KeyError, TypeError):
        return None


def _labels_by_id(path: Path) -> dict[str, object]:
    content = _read_json(path, remedy="put the data set's labels there")
    parts = content if isinstance(content, list) else [content]
    labels: dict[str, object] = {}
    for part in parts:
        if not isinstance(part, dict):
            raise AnnotationError(
                explain(
                    path,
                    expected="an object of video ids, or a list of such objects",
                    found=type(part).__name__,
                    remedy="put the data set's labels there",
                )
            )
        for video_id, label in part.items():
            if labels.setdefault(video_id, label) != label:
                raise AnnotationError(
                    explain(
                        path,
                        expected="one label per video id",
                        found=f"two for {shorten(video_id)}",
                        remedy="delete the one that is not meant",
                    )
                )
    return labels


def _read_json(path: Path, *, remedy: str) -> Any:
    text = read_text(path, remedy=remedy)
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _object(path, pairs))
    except (ValueError, RecursionError) as error:
        raise AnnotationError(explain(path, expected="JSON", found=error, remedy="fetch it again")) from error


def _object(path: Path, pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return a JSON object; of a key that stands there twice, JSON would silently keep the last value."""
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise AnnotationError(
            explain(path, expected="every key once", found=f"{shorten(twice)} twice", remedy="delete one of them")
        )
    return values


def _find_videos(folder: Path, video_ids: Iterable[str], *, ambiguous: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the file name of each video that is there, and a sentence about each that was chosen among several."""
    wanted = dict.fromkeys(video_ids)
    files: defaultdict[str, list[str]] = defaultdict(list)
    for name in media_names(folder):
        stem = name.removesuffix(".mp4")
        files[stem if stem in wanted else _START.sub("", stem)].append(name)
    several = {video_id: files[video_id] for video_id in wanted if len(files.get(video_id, ())) > 1}
    if several and ambiguous == "error":
        refuse_several(folder, several)
    names = {video_id: found[0] for video_id, found in files.items()}
    sentences = []
    for video_id, found in several.items():
        latest, *others = sorted(found, reverse=True)  # starts have one width; a name without one comes last
        names[video_id] = latest
        sentences.append(chosen_among(video_id, latest, others))
    return names, tuple(sentences)

"""AVE as distributed: ``Annotations.txt`` and a split, either as row numbers or as rows.

``Annotations.txt``
    ``Category&VideoID&Quality&Start&End``, seconds; the official archive starts with a header line, the copies
    that go with the released features do not.
``train_order.h5``, ``val_order.h5``, ``test_order.h5``
    Data set ``order``: row numbers of ``Annotations.txt`` from 0, not counting the header.
``trainSet.txt``, ``valSet.txt``, ``testSet.txt``
    Rows as in ``Annotations.txt``.

``mil_labels.h5``, ``right_labels.h5`` (also ``right_label.h5``, ``labels.h5``)
    Data set ``avadataset``, a row per row of ``Annotations.txt``: the category (rows, C + 1), and the class of each
    segment (rows, T, C + 1).
``labels_noisy.h5``
    The same for clips of background alone that come with the released features: (rows, C + 1), background set.

Either form of the split will do; where both are present they must agree. Label files are not needed; where one is
present, a row of another category is refused, since then the features that came with it are in another order too.
Segments on which it differs are noted, and stay as annotated.

Class order: a category's class index is its place in the order in which ``Annotations.txt`` first names it (Church
bell 0, Male speech 1, Bark 2, …, Mandolin 27; not alphabetical), and background is index 28, last. Checked: labels
derived so equal the released ``mil_labels.h5`` (4143, 29) row for row. New categories at the end of the file move no
old one.

The rendered data set (format ``synthetic``) is written in the same form.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from pipeline.annotations.rules import (
    Annotations,
    Faults,
    FeatureSource,
    event_segments,
    fault_of_id,
    fault_of_name,
    parse_interval,
    read_text,
    segment_nanoseconds,
    videos_folder,
)
from pipeline.core.errors import AnnotationError, explain, shorten
from pipeline.params.schema import DatasetParams
from pipeline.store.manifest import BACKGROUND, SPLITS, Clip

FIELDS = ("Category", "VideoID", "Quality", "Start", "End")

CATEGORY_LABELS = "mil_labels.h5"
SEGMENT_LABELS = ("right_labels.h5", "right_label.h5", "labels.h5")
BACKGROUND_LABELS = "labels_noisy.h5"
BACKGROUND_FEATURES = ("audio_feature_noisy.h5", "visual_feature_noisy.h5")

_ONE_RELEASE = "use the Annotations.txt, the labels and the features of one release"


@dataclass(frozen=True)
class Row:
    """One line of ``Annotations.txt`` as it is written, with its line number from 1."""

    line: int
    fields: tuple[str, ...]

    @property
    def text(self) -> str:
        """The line."""
        return "&".join(self.fields)


def read_ave(params: DatasetParams, raw: Path, source: FeatureSource = "extracted") -> Annotations:
    """Read ``Annotations.txt`` and the split from `raw`, and hold the label files there to them.

    A row's `clip_id` is its video id; further rows of the same video are ``<video_id>~2``, ``<video_id>~3``. If
    `source` is ``released``, the clips of ``labels_noisy.h5`` follow in the split ``background``, without a path.

    Raises
    ------
    AnnotationError
        If a file is missing or contradicts the format, two forms of the split disagree, or a label file is of other
        rows.
    """
    remedy = f"put the data set's files there, see data/{params.name}/README.md"
    path = raw / "Annotations.txt"
    folder = videos_folder(params)
    rows = read_rows(path, remedy=remedy)
    if not rows:
        raise AnnotationError(explain(path, expected="a row per clip", found="none", remedy=remedy))
    parsed = _check_rows(path, rows, params)
    splits = _read_splits(raw, rows, remedy=remedy)
    categories = tuple(dict.fromkeys(row.fields[0] for row in rows))
    contradictions = _check_labels(raw, rows, parsed, categories)

    clips, clip_ids = [], set()
    num_rows_of_video: Counter[str] = Counter()
    for row, events, split in zip(rows, parsed, splits, strict=True):
        category, video_id = row.fields[:2]
        num_rows_of_video[video_id] += 1
        number = num_rows_of_video[video_id]
        clip_id = video_id if number == 1 else f"{video_id}~{number}"
        if clip_id in clip_ids:
            raise AnnotationError(
                explain(
                    f"{path} line {row.line}",
                    expected="an id of its own for every clip",
                    found=f"{shorten(clip_id)} twice",
                    remedy="rename the video whose id ends so",
                )
            )
        clip_ids.add(clip_id)
        if split is not None:
            clips.append(Clip(clip_id, video_id, f"{folder}{video_id}.mp4", category, events, split))
    if source == "released":
        clips += _read_background(raw, rows, categories, params.num_segments)
    return Annotations(
        clips=tuple(clips),
        categories=categories,
        num_rows=len(rows),
        rows_without_split=tuple(row.text for row, split in zip(rows, splits, strict=True) if split is None),
        qualities=dict(Counter(row.fields[2] for row in rows).most_common()),
        label_contradictions=tuple(contradictions),
    )


def read_video_ids(path: Path) -> list[str]:
    """Return the video id of each row of ``Annotations.txt``, which is the order of the released feature files.

    Raises
    ------
    AnnotationError
        If the file is missing or has a row of another form.
    """
    return [row.fields[1] for row in read_rows(path, remedy="put the release's Annotations.txt there")]


def background_video_ids(count: int) -> list[str]:
    """Return the ids given to the clips of the released ``*_noisy.h5`` files, whose own were never published.

    >>> background_video_ids(2)
    ['noisy-000', 'noisy-001']
    """
    return [f"noisy-{number:03d}" for number in range(count)]


def read_rows(path: Path, *, remedy: str) -> list[Row]:
    """Read a file of ``Category&VideoID&Quality&Start&End`` lines; a header line is skipped."""
    lines = read_text(path, remedy=remedy).split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    faults = Faults(path)
    rows = []
    for number, line in enumerate(lines, start=1):
        fields = tuple(part.strip() for part in line.split("&"))
        if len(fields) != len(FIELDS):
            # An empty line is refused, not skipped: row numbers of the split count lines.
            faults.add(
                number, expected="&".join(FIELDS), found=shorten(line), remedy="write five fields separated by &"
            )
        elif number > 1 or fields[1].casefold() != "videoid":
            rows.append(Row(number, fields))
    faults.raise_if_any()
    return rows


def _check_rows(path: Path, rows: list[Row], params: DatasetParams) -> list[str]:
    """Refuse faulty rows, all together; return the events of each."""
    faults = Faults(path)
    first_line: dict[tuple[str, ...], int] = {}
    events = []
    for row in rows:
        category, video_id, _, start, end = row.fields
        if fault := fault_of_name(category):
            faults.add(row.line, expected="a category", found=fault, remedy="name what happens")
        if fault := fault_of_id(video_id):
            faults.add(
                row.line,
                expected="an id that can be a file name",
                found=fault,
                remedy="rename the video and its row",
            )
        if row.fields in first_line:
            faults.add(
                row.line,
                expected="every row once",
                found=f"line {first_line[row.fields]} again",
                remedy="delete one",
            )
        first_line.setdefault(row.fields, row.line)
        interval = parse_interval(start, end, params)
        if isinstance(interval, str):
            faults.add(
                row.line,
                expected="start and end in seconds within the clip",
                found=interval,
                remedy="mend the row, or dataset.num_segments if clips are longer",
            )
            continue
        events.append(event_segments([interval], params.num_segments, segment_nanoseconds(params)))
    faults.raise_if_any()
    return events


def _read_splits(raw: Path, rows: list[Row], *, remedy: str) -> list[str | None]:
    """Return the split of each row, None where no split names it."""
    order_paths = [raw / f"{split}_order.h5" for split in SPLITS]
    set_paths = [raw / f"{split}Set.txt" for split in SPLITS]
    found = {path for path in (*order_paths, *set_paths) if path.exists()}
    orders, sets = found & set(order_paths), found & set(set_paths)
    if not found or (orders and len(orders) < len(SPLITS)) or (sets and len(sets) < len(SPLITS)):
        names = ", ".join(path.name for path in sorted(found)) or "none of them"
        raise AnnotationError(
            explain(
                raw,
                expected="trainSet.txt, valSet.txt, testSet.txt, or train_order.h5, val_order.h5, test_order.h5",
                found=names,
                remedy=remedy,
            )
        )
    from_orders = _splits_from_orders(order_paths, rows) if orders else None
    from_sets = _splits_from_sets(set_paths, rows, remedy=remedy) if sets else None
    if from_orders is None:
        return from_sets or []
    if from_sets is None:
        return from_orders
    for row, by_order, by_set in zip(rows, from_orders, from_sets, strict=True):
        if by_order != by_set:
            raise AnnotationError(
                explain(
                    f"{raw / 'Annotations.txt'} line {row.line}, {shorten(row.text)}",
                    expected=f"the same split in both forms, {by_order or 'none'} by *_order.h5",
                    found=f"{by_set or 'none'} by *Set.txt",
                    remedy="delete the form that is wrong",
                )
            )
    return from_orders


def _splits_from_orders(paths: list[Path], rows: list[Row]) -> list[str | None]:
    splits: list[str | None] = [None] * len(rows)
    for split, path in zip(SPLITS, paths, strict=True):
        for place, number in enumerate(_read_order(path)):
            if not 0 <= number < len(rows):
                found, expected = f"row {number}", f"row numbers from 0 to {len(rows) - 1}"
            elif (other := splits[number]) is not None:
                found, expected = f"row {number}, which is in {other} already", "every row in one split, once"
            else:
                splits[number] = split
                continue
            raise AnnotationError(
                explain(
                    f"{path} place {place}",
                    expected=expected,
                    found=found,
                    remedy="use the Annotations.txt and the orders of one release",
                )
            )
    return splits


def _read_order(path: Path) -> list[int]:
    order = _read_array(
        path,
        ("order",),
        expected="data set `order`, whole numbers in one row",
        remedy="download it again",
        fits=lambda data: data.ndim == 1 and np.issubdtype(data.dtype, np.integer),
    )
    return [int(number) for number in order]


def _splits_from_sets(paths: list[Path], rows: list[Row], *, remedy: str) -> list[str | None]:
    place = {row.fields: index for index, row in enumerate(rows)}
    splits: list[str | None] = [None] * len(rows)
    for split, path in zip(SPLITS, paths, strict=True):
        faults = Faults(path)
        for row in read_rows(path, remedy=remedy):
            index = place.get(row.fields)
            if index is None:
                faults.add(
                    row.line,
                    expected="a row of Annotations.txt",
                    found=shorten(row.text),
                    remedy="use the files of one release",
                )
            elif (other := splits[index]) is not None:
                faults.add(
                    row.line,
                    expected="every row in one split, once",
                    found=f"{shorten(row.text)}, which is in {other} already",
                    remedy="delete one",
                )
            else:
                splits[index] = split
        faults.raise_if_any()
    return splits


def _check_labels(raw: Path, rows: list[Row], events: list[str], categories: Sequence[str]) -> list[str]:
    """Refuse label files of other rows than `rows`; return in words where segment labels are not `events`."""
    classes = np.array([categories.index(row.fields[0]) for row in rows])
    num_segments, num_classes = len(events[0]), len(categories) + 1
    path = raw / CATEGORY_LABELS
    if path.exists():
        labels = _read_labels(path, (num_classes,), rows=rows)
        wrong = (labels != np.eye(num_classes, dtype=bool)[classes]).any(axis=1)
        _refuse_other_categories(path, labels, wrong, rows, categories)
    contradictions = []
    for path in filter(Path.exists, (raw / name for name in SEGMENT_LABELS)):
        labels = _read_labels(path, (num_segments, num_classes), rows=rows)
        # Some rows of the first release are said to name a second category; with the right one there, so is the order.
        named = labels[:, :, :-1].max(axis=1)
        wrong = named.any(axis=1) & ~named[np.arange(len(rows)), classes]
        _refuse_other_categories(path, named, wrong, rows, categories)
        for number, text in enumerate(_events_as_labelled(labels, classes)):
            if text != events[number]:
                row = rows[number]
                unclear = " (?: another class, several or none)" if "?" in text else ""
                contradictions.append(
                    f"row {number}, line {row.line}, {row.fields[1]}: Annotations.txt says {events[number]}, "
                    f"{path.name} says {text}{unclear}"
                )
    return contradictions


def _events_as_labelled(labels: np.ndarray, classes: np.ndarray) -> list[str]:
    """Return the events that segment labels give to each row: ``?`` where neither event nor background is said.

    Parameters
    ----------
    labels : numpy.ndarray
        (rows, T, C + 1), bool, background last.
    classes : numpy.ndarray
        (rows,), the category of each row.
    """
    one_class = labels.sum(axis=2) == 1
    event = labels[np.arange(len(labels)), :, classes]
    characters = np.select([one_class & event, one_class & labels[:, :, -1]], ["1", "0"], default="?")
    return ["".join(row) for row in characters]


def _refuse_other_categories(
    path: Path, labels: np.ndarray, wrong: np.ndarray, rows: list[Row], categories: Sequence[str]
) -> None:
    """Raise for the first row that `wrong` (rows,) marks; `labels` (rows, classes) says what is found there."""
    if not wrong.any():
        return
    number = int(wrong.argmax())
    row = rows[number]
    raise AnnotationError(
        explain(
            f"{path} row {number}",
            expected=f"{shorten(row.fields[0])}, as Annotations.txt says in line {row.line}",
            found=f"{_names_of_classes(labels[number], categories)} (rows that differ: {wrong.sum()})",
            remedy=f"the labels are in another order or of another release: {_ONE_RELEASE}",
        )
    )


def _names_of_classes(labels: np.ndarray, categories: Sequence[str]) -> str:
    names = (*map(shorten, categories), BACKGROUND)
    return " and ".join(names[index] for index in np.flatnonzero(labels)) or "no class"


def _read_background(raw: Path, rows: list[Row], categories: Sequence[str], num_segments: int) -> list[Clip]:
    """Return the clips that come with the released features and are background alone; none if there are no such."""
    path = raw / BACKGROUND_LABELS
    if not path.exists():
        features = [name for name in BACKGROUND_FEATURES if (raw / name).exists()]
        if features:
            raise AnnotationError(
                explain(
                    path,
                    expected=f"labels that say {' and '.join(features)} are of background",
                    found="no file",
                    remedy=f"put it there too, or move {' and '.join(features)} away",
                )
            )
        return []
    labels = _read_labels(path, (len(categories) + 1,))
    wrong = ~labels[:, -1] | labels[:, :-1].any(axis=1)
    if wrong.any():
        number = int(wrong.argmax())
        raise AnnotationError(
            explain(
                f"{path} row {number}",
                expected=f"{BACKGROUND} alone, the last class",
                found=_names_of_classes(labels[number], categories),
                remedy=_ONE_RELEASE,
            )
        )
    ids = background_video_ids(len(labels))
    taken = set(ids)
    for row in rows:
        if row.fields[1] in taken:
            raise AnnotationError(
                explain(
                    f"{raw / 'Annotations.txt'} line {row.line}",
                    expected=f"another id than those that the clips of {path.name} get, {ids[0]} to {ids[-1]}",
                    found=shorten(row.fields[1]),
                    remedy="rename the video and its row",
                )
            )
    return [Clip(video_id, video_id, "", "", "0" * num_segments, BACKGROUND) for video_id in ids]


def _read_labels(path: Path, shape: tuple[int, ...], *, rows: Sequence[Row] | None = None) -> np.ndarray:
    """Read labels of 0 and 1, one row per row of `rows` where these are given.

    Returns
    -------
    numpy.ndarray
        (rows, *shape), bool.
    """
    values = _read_array(
        path,
        ("avadataset", "dataset"),
        expected=f"data set `avadataset`, numbers of shape (rows, {', '.join(map(str, shape))})",
        remedy=_ONE_RELEASE,
        fits=lambda data: data.ndim == 1 + len(shape) and data.shape[1:] == shape and data.dtype.kind in "biuf",
    )
    if rows is not None and len(values) != len(rows):
        _refuse_number_of_rows(path, len(values), rows)
    other = np.argwhere((values != 0) & (values != 1))
    if len(other):
        number, *segment, class_ = (int(index) for index in other[0])
        place = f"row {number}{f' segment {segment[0]}' if segment else ''} class {class_}"
        raise AnnotationError(
            explain(
                f"{path} {place}",
                expected="0 or 1",
                found=f"{values[tuple(other[0])]:g}",
                remedy="put the labels as released there",
            )
        )
    labels: np.ndarray = values.astype(bool)
    return labels


def _refuse_number_of_rows(path: Path, num_labels: int, rows: Sequence[Row]) -> None:
    if num_labels < len(rows):
        row = rows[num_labels]
        partner = f"row {num_labels}, line {row.line} {shorten(row.text)}, is the first without labels"
    else:
        partner = f"row {len(rows)} is the first without a line"
    raise AnnotationError(
        explain(
            path,
            expected=f"a row for each of the {len(rows)} in Annotations.txt",
            found=f"{num_labels}, {partner}",
            remedy=_ONE_RELEASE,
        )
    )


def _read_array(
    path: Path, names: Sequence[str], *, expected: str, remedy: str, fits: Callable[[h5py.Dataset], bool]
) -> np.ndarray:
    """Return the first data set of an HDF5 file that has one of the `names`, if it `fits`."""
    try:
        with h5py.File(path, "r") as file:
            data = next((file[name] for name in names if isinstance(file.get(name), h5py.Dataset)), None)
            if data is None:
                found = f"{sorted(file)}"
            elif not fits(data):
                found = f"shape {data.shape}, {data.dtype}"
            else:
                values: np.ndarray = data[:]
                return values
    except OSError as error:
        raise AnnotationError(
            explain(path, expected="an HDF5 file", found="none that can be read", remedy="download it again")
        ) from error
    raise AnnotationError(explain(path, expected=expected, found=found, remedy=remedy))

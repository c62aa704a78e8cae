"""AVE as distributed: ``Annotations.txt`` and a split, either as row numbers or as rows.

``Annotations.txt``
    ``Category&VideoID&Quality&Start&End``, seconds; the official archive starts with a header line, the copies
    that go with the released features do not.
``train_order.h5``, ``val_order.h5``, ``test_order.h5``
    Data set ``order``: row numbers of ``Annotations.txt`` from 0, not counting the header. The authors of AVE train in
    this order, which goes from category to category as the rows do, but is drawn within each.
``trainSet.txt``, ``valSet.txt``, ``testSet.txt``
    Rows as in ``Annotations.txt``.

Label files
    May stand beside them, and are held against the rows, see :mod:`pipeline.annotations.ave_labels`. With
    ``dataset.labels: released`` the segments of ``right_labels.h5`` are the truth where it is there, as in the authors'
    code; the category stays that of the row.
``prob_label.h5``
    Share of the segments per class, see :mod:`pipeline.annotations.ave_shares`.

Either form of the split will do; where both are present they must agree.

Class order: a category's class index is its place in the order in which ``Annotations.txt`` first names it (Church
bell 0, Male speech 1, Bark 2, …, Mandolin 27; not alphabetical), and background is index 28, last. Checked: labels
derived so equal the released ``mil_labels.h5`` (4143, 29) row for row. New categories at the end of the file move no
old one.

The rendered data set (format ``synthetic``) is written in the same form.
"""

from collections import Counter
from itertools import repeat
from pathlib import Path

import numpy as np

from pipeline.annotations.ave_background import read_background_videos
from pipeline.annotations.ave_labels import (
    SEGMENT_LABELS,
    check_category_labels,
    count_differing_segments,
    differences,
    read_array,
    read_background,
    read_segment_labels,
)
from pipeline.annotations.ave_rows import Row, read_rows
from pipeline.annotations.ave_shares import EVENT_SHARES, read_event_shares
from pipeline.annotations.rules import (
    Annotations,
    Faults,
    FeatureSource,
    event_segments,
    fault_of_id,
    fault_of_name,
    parse_interval,
    segment_nanoseconds,
    videos_folder,
)
from pipeline.core.errors import AnnotationError, explain, shorten
from pipeline.params.schema import DatasetParams
from pipeline.store.manifest import SPLITS, Clip


def read_ave(params: DatasetParams, raw: Path, source: FeatureSource = "extracted") -> Annotations:
    """Read ``Annotations.txt`` and the split from `raw`, and hold the label files there to them.

    A row's `clip_id` is its video id; further rows of the same video are ``<video_id>~2``, ``<video_id>~3``. Where
    there are ``*_order.h5``, the clips of a split come in their order, as the code of AVE and PSP trains. Clips of the
    split ``background`` follow: if `source` is ``released``, those of ``labels_noisy.h5``, without a path; if it is
    ``extracted``, the videos in ``raw/background``.

    Raises
    ------
    AnnotationError
        If a file is missing or contradicts the format, two forms of the split disagree, a label file is of other rows,
        or two files of segment labels differ where ``dataset.labels`` is ``released``.
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
    check_category_labels(raw, rows, categories)
    labelled = read_segment_labels(raw, rows, categories, params.num_segments)
    truth, truth_name = _choose_truth(raw, parsed, labelled, params)
    shares = read_event_shares(raw, rows, categories)

    clip_of_row: dict[int, Clip] = {}
    clip_ids = set()
    num_rows_of_video: Counter[str] = Counter()
    for place, (row, events, share) in enumerate(zip(rows, truth, shares or repeat(None, len(rows)), strict=True)):
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
        if split := splits.get(place):
            path_of_video = f"{folder}{video_id}.mp4"
            clip_of_row[place] = Clip(clip_id, video_id, path_of_video, category, events, split, share)
    clips = [clip_of_row[place] for place in _as_listed(splits)]
    if source == "released":
        clips += read_background(raw, rows, categories, params.num_segments)
    else:
        clips += read_background_videos(raw, {*clip_ids, *num_rows_of_video}, params.num_segments)
    return Annotations(
        clips=tuple(clips),
        categories=categories,
        num_rows=len(rows),
        rows_without_split=tuple(row.text for place, row in enumerate(rows) if place not in splits),
        qualities=dict(Counter(row.fields[2] for row in rows).most_common()),
        label_contradictions=tuple(
            text for name, events in labelled.items() for text in differences(name, events, parsed, rows)
        ),
        num_contradicting_segments=sum(count_differing_segments(events, parsed) for events in labelled.values()),
        truth=truth_name,
        event_shares=EVENT_SHARES if shares else "derived",
    )


def _choose_truth(
    raw: Path, annotated: list[str], labelled: dict[str, list[str]], params: DatasetParams
) -> tuple[list[str], str]:
    """Return the events of each row that count, as ``dataset.labels`` says, and in words where they are from."""
    if params.labels == "annotations":
        return annotated, "Annotations.txt"
    if not labelled:
        return annotated, f"Annotations.txt, as none of {', '.join(SEGMENT_LABELS)} is there"
    (name, truth), *others = labelled.items()
    for other, events in others:
        if events != truth:
            number = next(row for row, pair in enumerate(zip(truth, events, strict=True)) if pair[0] != pair[1])
            raise AnnotationError(
                explain(
                    f"{raw / other} row {number}",
                    expected=f"{truth[number]}, as {name} says, where dataset.labels is released",
                    found=events[number],
                    remedy="leave the file that is right",
                )
            )
    return truth, name


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


def _as_listed(splits: dict[int, str]) -> list[int]:
    """Return the rows with those of each split in its order, at the places that its rows have in ``Annotations.txt``.

    >>> _as_listed({2: "train", 0: "train", 1: "val"})
    [2, 1, 0]
    """
    listed = {split: iter([row for row, of_row in splits.items() if of_row == split]) for split in SPLITS}
    return [next(listed[splits[row]]) for row in sorted(splits)]


def _read_splits(raw: Path, rows: list[Row], *, remedy: str) -> dict[int, str]:
    """Return the split of each row that is in one, in the order of ``*_order.h5``, or of the rows without these."""
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
        return from_sets or {}
    if from_sets is None:
        return from_orders
    for place, row in enumerate(rows):
        by_order, by_set = from_orders.get(place), from_sets.get(place)
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


def _splits_from_orders(paths: list[Path], rows: list[Row]) -> dict[int, str]:
    splits: dict[int, str] = {}
    for split, path in zip(SPLITS, paths, strict=True):
        for place, number in enumerate(_read_order(path)):
            if not 0 <= number < len(rows):
                found, expected = f"row {number}", f"row numbers from 0 to {len(rows) - 1}"
            elif other := splits.get(number):
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
    order = read_array(
        path,
        ("order",),
        expected="data set `order`, whole numbers in one row",
        remedy="download it again",
        fits=lambda data: data.ndim == 1 and np.issubdtype(data.dtype, np.integer),
    )
    return [int(number) for number in order]


def _splits_from_sets(paths: list[Path], rows: list[Row], *, remedy: str) -> dict[int, str]:
    place = {row.fields: index for index, row in enumerate(rows)}
    splits: dict[int, str] = {}
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
            elif other := splits.get(index):
                faults.add(
                    row.line,
                    expected="every row in one split, once",
                    found=f"{shorten(row.text)}, which is in {other} already",
                    remedy="delete one",
                )
            else:
                splits[index] = split
        faults.raise_if_any()
    return dict(sorted(splits.items()))

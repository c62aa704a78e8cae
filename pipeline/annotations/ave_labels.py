"""What comes with ``Annotations.txt`` as HDF5: labels, which show whether all of it is of one order and release.

``mil_labels.h5``, ``right_labels.h5`` (also ``right_label.h5``, ``labels.h5``)
    Data set ``avadataset``, a row per row of ``Annotations.txt``: the category (rows, C + 1), and the class of each
    segment (rows, T, C + 1).
``labels_noisy.h5``
    The same for clips of background alone that come with the released features: (rows, C + 1), background set.

Label files are not needed; where one is present, a row of another category is refused, since then the features that
came with it are in another order too. Segments on which it differs are counted and named; whether the file or
``Annotations.txt`` is right there is for ``dataset.labels`` to say.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np

from pipeline.annotations.ave_rows import Row, background_video_ids
from pipeline.core.errors import AnnotationError, explain, shorten
from pipeline.store.manifest import BACKGROUND, Clip

CATEGORY_LABELS = "mil_labels.h5"
SEGMENT_LABELS = ("right_labels.h5", "right_label.h5", "labels.h5")
BACKGROUND_LABELS = "labels_noisy.h5"
BACKGROUND_FEATURES = ("audio_feature_noisy.h5", "visual_feature_noisy.h5")

_ONE_RELEASE = "use the Annotations.txt, the labels and the features of one release"


def check_category_labels(raw: Path, rows: Sequence[Row], categories: Sequence[str]) -> None:
    """Refuse ``mil_labels.h5``, if it is there, where it is not of `rows`.

    Parameters
    ----------
    raw : Path
        Folder of the label files.
    rows : sequence of Row
        Of ``Annotations.txt``, at least one.
    categories : sequence of str
        In class order.

    Raises
    ------
    AnnotationError
        If the file is damaged, of another shape, or of other rows.
    """
    path = raw / CATEGORY_LABELS
    if path.exists():
        labels = _read_labels(path, (len(categories) + 1,), rows=rows)
        wrong = (labels != _one_hot(rows, categories)).any(axis=1)
        _refuse_other_categories(path, labels, wrong, rows, categories)


def read_segment_labels(
    raw: Path, rows: Sequence[Row], categories: Sequence[str], num_segments: int
) -> dict[str, list[str]]:
    """Return what the files of segment labels say, by file name in the order of :data:`SEGMENT_LABELS`.

    Returns
    -------
    dict of str to list of str
        The events of each row, one character per segment, ``1`` where the event is; empty where there is no such file.

    Raises
    ------
    AnnotationError
        If a file is damaged, of another shape, gives a segment several classes or none, or a row another category than
        ``Annotations.txt``.
    """
    events = {}
    for path in filter(Path.exists, (raw / name for name in SEGMENT_LABELS)):
        labels = _read_labels(path, (num_segments, len(categories) + 1), rows=rows)
        _refuse_unclear_segments(path, labels, categories)
        named: np.ndarray = labels[:, :, :-1].max(axis=1)
        wrong = (named & ~_one_hot(rows, categories)[:, :-1]).any(axis=1)
        _refuse_other_categories(path, named, wrong, rows, categories)
        events[path.name] = ["".join("10"[int(background)] for background in row) for row in labels[:, :, -1]]
    return events


def differences(name: str, labelled: Sequence[str], annotated: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each row whose events in the label file `name` are not those of ``Annotations.txt``."""
    return [
        f"row {number}, line {row.line}, {row.fields[1]}: Annotations.txt says {annotation}, {name} says {label}"
        for number, (row, annotation, label) in enumerate(zip(rows, annotated, labelled, strict=True))
        if annotation != label
    ]


def count_differing_segments(labelled: Sequence[str], annotated: Sequence[str]) -> int:
    """Return in how many segments two lists of events differ.

    >>> count_differing_segments(["0110", "1111"], ["0100", "0110"])
    3
    """
    pairs = zip("".join(labelled), "".join(annotated), strict=True)
    return sum(one != other for one, other in pairs)


def _one_hot(rows: Sequence[Row], categories: Sequence[str]) -> np.ndarray:
    """Return the category of each row, (rows, C + 1) bool."""
    classes = [categories.index(row.fields[0]) for row in rows]
    one_hot: np.ndarray = np.eye(len(categories) + 1, dtype=bool)[classes]
    return one_hot


def _refuse_unclear_segments(path: Path, labels: np.ndarray, categories: Sequence[str]) -> None:
    """Raise for the first segment of `labels` (rows, T, C + 1) that has not one class."""
    unclear = labels.sum(axis=2) != 1
    if unclear.any():
        number, segment = (int(index) for index in np.argwhere(unclear)[0])
        raise AnnotationError(
            explain(
                f"{path} row {number} segment {segment}",
                expected="one class",
                found=f"{_names_of_classes(labels[number, segment], categories)} (such segments: {unclear.sum()})",
                remedy=f"{_ONE_RELEASE}, or move the file away",
            )
        )


def _refuse_other_categories(
    path: Path, labels: np.ndarray, wrong: np.ndarray, rows: Sequence[Row], categories: Sequence[str]
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


def read_background(raw: Path, rows: list[Row], categories: Sequence[str], num_segments: int) -> list[Clip]:
    """Return the clips that come with the released features and are background alone; none if there are no such.

    Raises
    ------
    AnnotationError
        If there are features of such clips without labels, a label names a category, or a row has the id of such a
        clip.
    """
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
    values = read_array(
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


def read_array(
    path: Path, names: Sequence[str] | None, *, expected: str, remedy: str, fits: Callable[[h5py.Dataset], bool]
) -> np.ndarray:
    """Return the first data set of an HDF5 file that has one of the `names`, if it `fits`.

    Parameters
    ----------
    path : Path
    names : sequence of str, optional
        Without them the file holds one data set, of any name.
    expected, remedy : str
        What the file should hold, and what to do if it does not.
    fits : callable
        Whether shape and type of a data set are right; only then it is read.

    Raises
    ------
    AnnotationError
        If it is no HDF5 file, or has no such data set.
    """
    try:
        with h5py.File(path, "r") as file:
            known = names or (file if len(file) == 1 else ())
            data = next((file[name] for name in known if isinstance(file.get(name), h5py.Dataset)), None)
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

"""Feature files as the authors of a data set distribute them: opened, checked and read.

AVE's form is a file per modality with a row per row of ``Annotations.txt``, in the order of that file::

    visual_feature.h5   avadataset  (N, T, H, W, C)   floats; VGG19: H = W = 7, C = 512
    audio_feature.h5    avadataset  (N, T, 128)

Newer scripts call the data set `dataset`. The order is nowhere written down in a file, so it is put to two tests:
rows of one video must be alike (:func:`check_same_video`), and rows of one category more alike than others
(:func:`check_categories`). Rows and segments count from 0.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from pipeline.annotations.ave_rows import pairs_of_rows
from pipeline.core.errors import ShardError, explain, one_line
from pipeline.features.recipes import Modality

DATA_SETS = ("avadataset", "dataset")
"""Names that the data set of a released HDF5 file may have."""

AUDIO_CHANNELS = 128

BLOCK_BYTES = 32 * 2**20
LARGEST_BLOCK_BYTES = 256 * 2**20
"""Of rows that are read at once: enough to be fast, more only where compressed chunks span more rows."""
LARGEST_CHUNK_BYTES = 256 * 2**20

SAME_VIDEO_TOLERANCE = 1e-3
"""Largest difference of two rows of one video, as a share of their largest magnitude."""

MOST_DIFFERING = 0.1
"""Share of the videos with several rows whose rows may differ before the order is taken to be another one."""

NUM_PERMUTATIONS = 199
LARGEST_P_VALUE = 0.01
MIN_ROWS = 100
"""With fewer, features that are in order may seem not to be."""
NUM_COMPONENTS = 64

_ONE_RELEASE = "use the Annotations.txt and the features of one release, as they were downloaded"


def is_channels_first(
    shape: tuple[int, ...], modality: Modality, subject: object, *, may_be_vectors: bool = False
) -> bool:
    """Return whether the features of a clip are maps (T, C, H, W) instead of (T, H, W, C).

    Maps are square, so that the two equal sides tell which axis is which. With `may_be_vectors`, visual features may
    also be a vector per segment (T, C), or a stack of them (T, K, C).

    >>> is_channels_first((10, 1024, 7, 7), "visual", "a clip")
    True

    Raises
    ------
    ShardError
        If they are of no such form, it cannot be told, or audio is not (T, 128).
    """
    expected = f"(T, {AUDIO_CHANNELS})"
    if modality == "visual":
        vectors = "(T, C), (T, K, C), " if may_be_vectors else ""
        expected = f"{vectors}(T, H, W, C) or (T, C, H, W), H = W and another C,"
    if 0 not in shape:
        if modality == "audio" and len(shape) == 2 and shape[1] == AUDIO_CHANNELS:
            return False
        if modality == "visual" and len(shape) == 4 and (shape[1] == shape[2]) != (shape[2] == shape[3]):
            return shape[2] == shape[3]
        if modality == "visual" and len(shape) in (2, 3) and may_be_vectors:
            return False
    raise ShardError(
        explain(
            subject,
            expected=f"{modality} features {expected} per clip",
            found=shape,
            remedy=f"put the {modality} features there, or bring them into that form",
        )
    )


def channels_last(features: np.ndarray, *, is_channels_first: bool) -> np.ndarray:
    """Return the features of a clip with the channels as the last axis."""
    return np.moveaxis(features, 1, -1) if is_channels_first else features


class ReleasedFile:
    """An HDF5 file of one modality's features, a row per clip; iterable row by row, and a context manager.

    Parameters
    ----------
    path : Path
    modality : {"visual", "audio"}
    num_segments : int
        T, which every row must have.

    Attributes
    ----------
    shape : tuple of int
        As in the file, (N, T, ...).
    dtype : numpy.dtype
        float16, float32 or float64.
    is_channels_first : bool
        Whether maps are (C, H, W); rows are read as they are.
    feature_shape : tuple of int
        Of one segment, channels last.

    Raises
    ------
    ShardError
        If it is no HDF5 file, holds nothing under a known name, or what it holds are not such features.
    """

    def __init__(self, path: Path, modality: Modality, num_segments: int) -> None:
        self.path = path
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            found = "none that can be read"
            if h5py.is_hdf5(path):
                found = f"an incomplete or damaged one of {path.stat().st_size} bytes"
            raise self._fault("an HDF5 file", found, "download it again") from error
        try:
            self._data = self._find()
            self.shape: tuple[int, ...] = tuple(self._data.shape or ())
            self.dtype: np.dtype[Any] = self._data.dtype
            self._check_rows(num_segments)
            self.is_channels_first = is_channels_first(self.shape[1:], modality, path)
            first, *others = self.shape[2:]
            self.feature_shape = (*others, first) if self.is_channels_first else (first, *others)
            self._rows_per_block = self._choose_block()
        except BaseException:
            self.close()
            raise

    def _find(self) -> h5py.Dataset:
        for name in DATA_SETS:
            if isinstance(data := self._file.get(name), h5py.Dataset):
                return data
        found = ", ".join(sorted(self._file)) or "nothing"
        raise self._fault(f"a data set {' or '.join(DATA_SETS)}", found, "name the data set so, or use another file")

    def _check_rows(self, num_segments: int) -> None:
        if self.dtype.kind != "f" or self.dtype.itemsize > 8 or len(self.shape) < 3 or not self.num_rows:
            raise self._fault(
                "rows (T, ...) of float16, float32 or float64", f"{self.shape} {self.dtype}", "put the features there"
            )
        if self.shape[1] != num_segments:
            raise self._fault(
                f"{num_segments} segments per row (dataset.num_segments)",
                f"{self.shape[1]} in {self.shape}",
                "use features of clips of that length, or set dataset.num_segments",
            )

    def _choose_block(self) -> int:
        """Return how many rows are read at once: whole chunks, lest each is unpacked several times."""
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        num_rows = max(1, BLOCK_BYTES // row_bytes)
        if self._data.chunks:
            chunk_bytes = math.prod(self._data.chunks) * self.dtype.itemsize
            if chunk_bytes > LARGEST_CHUNK_BYTES:  # HDF5 unpacks a chunk as a whole
                raise self._fault(
                    f"chunks of at most {LARGEST_CHUNK_BYTES >> 20} MiB",
                    f"{self._data.chunks} of {chunk_bytes >> 20} MiB",
                    "write it again with a chunk per row, or without",
                )
            rows_per_chunk = self._data.chunks[0]
            whole_chunks = max(1, num_rows // rows_per_chunk) * rows_per_chunk
            num_rows = min(whole_chunks, max(1, LARGEST_BLOCK_BYTES // row_bytes))
        return num_rows

    def _fault(self, expected: str, found: str, remedy: str) -> ShardError:
        return ShardError(explain(self.path, expected=expected, found=found, remedy=remedy))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def num_rows(self) -> int:
        """N."""
        return self.shape[0]

    def row(self, number: int) -> np.ndarray:
        """Read one row, (T, ...) as in the file."""
        row: np.ndarray = self._read(slice(number, number + 1))[0]
        return row

    def __iter__(self) -> Iterator[np.ndarray]:
        """Read all rows, some at a time."""
        for start in range(0, self.num_rows, self._rows_per_block):
            yield from self._read(slice(start, start + self._rows_per_block))

    def _read(self, rows: slice) -> np.ndarray:
        try:
            values: np.ndarray = self._data[rows]
            return values
        except OSError as error:
            expected = f"readable rows {rows.start} to {min(rows.stop, self.num_rows) - 1}"
            raise self._fault(expected, one_line(error), "download it again") from error


class Values:
    """What the values of a release are, and what storing them changes, gathered clip by clip.

    Parameters
    ----------
    storage : numpy.dtype
        float16 or float32, what features are rounded to.
    may_be_negative : bool
        Where not, a negative value is refused.
    """

    def __init__(self, storage: np.dtype[Any], *, may_be_negative: bool) -> None:
        self.storage = storage
        self.may_be_negative = may_be_negative
        self.minimum, self.maximum = math.inf, -math.inf
        self.num_values = self.num_zeros = self.num_zero_segments = 0
        self.largest_error = self.sum_of_errors = 0.0

    def add(self, features: np.ndarray, subject: str) -> np.ndarray:
        """Check the features (T, ...) of one clip, count them in, and return them as they are stored.

        Raises
        ------
        ShardError
            Naming `subject` and the first segment with a value that is not finite, beyond the range of the storage
            type, or negative where none may be.
        """
        segments = features.reshape(len(features), -1)
        with np.errstate(invalid="ignore"):
            lowest, highest = segments.min(axis=1), segments.max(axis=1)
        self._require_values(lowest, highest, subject)
        self.minimum = min(self.minimum, float(lowest.min()))
        self.maximum = max(self.maximum, float(highest.max()))
        self.num_values += features.size
        self.num_zeros += features.size - int(np.count_nonzero(features))
        self.num_zero_segments += int(((lowest == 0) & (highest == 0)).sum())
        stored = features.astype(self.storage)
        if not np.can_cast(features.dtype, self.storage):
            errors = np.subtract(stored, features, dtype=np.float64)
            np.abs(errors, out=errors)
            self.largest_error = max(self.largest_error, float(errors.max()))
            self.sum_of_errors += float(errors.sum())
        return stored

    def _require_values(self, lowest: np.ndarray, highest: np.ndarray, subject: str) -> None:
        limit = float(np.finfo(self.storage).max)
        extremes = np.stack([lowest, highest]).astype(np.float64)
        if (faulty := ~np.isfinite(extremes)).any():
            expected, remedy = "finite values", "download it again, or compute the features again"
        elif (faulty := np.abs(extremes) > limit).any():
            expected = f"values up to {limit:g}, the range of {self.storage}"
            remedy = "store float32" if self.storage == np.float16 else "these are no features"
        elif (faulty := extremes < 0).any() and not self.may_be_negative:
            expected = "values of zero or more, as after a ReLU"
            remedy = "use another file, and ask `python -m pipeline doctor FILE` what this one is"
        else:
            return
        segment = int(faulty.any(axis=0).argmax())
        found = extremes[faulty[:, segment], segment][0]
        raise ShardError(explain(f"{subject} segment {segment}", expected=expected, found=f"{found:g}", remedy=remedy))

    def facts(self) -> dict[str, Any]:
        """Return what was gathered, as it is written into ``import.json``."""
        magnitude = max(abs(self.minimum), abs(self.maximum))
        return {
            "minimum": self.minimum,
            "maximum": self.maximum,
            "share_of_zeros": self.num_zeros / self.num_values,
            "num_zero_segments": self.num_zero_segments,
            "rounding": {
                "storage": str(self.storage),
                "largest_error": self.largest_error,
                "mean_error": self.sum_of_errors / self.num_values,
                "largest_error_by_largest_magnitude": self.largest_error / magnitude if magnitude else 0.0,
            },
        }


def check_same_video(file: ReleasedFile, video_ids: Sequence[str]) -> dict[str, Any]:
    """Compare the rows that are of one video: in another order than `video_ids` they are of different ones.

    Parameters
    ----------
    file : ReleasedFile
    video_ids : sequence of str
        (N,), the video that each row should be of.

    Returns
    -------
    dict
        ``num_pairs``, and ``differing``: video and rows of the pairs that differ, a tenth of them at the most.

    Raises
    ------
    ShardError
        If more than :data:`MOST_DIFFERING` of the pairs differ; if they agree with the rows sorted by video id, it says
        so.
    """
    pairs = pairs_of_rows(video_ids)
    differing = [pair for pair in pairs if _differ(file, *pair)]
    if len(differing) > MOST_DIFFERING * len(pairs):
        first, second = differing[0]
        found = f"different features there, and in {len(differing)} of all {len(pairs)} such pairs"
        place = {row: place for place, row in enumerate(_sorted_rows(video_ids))}
        if sum(_differ(file, place[one], place[other]) for one, other in pairs) <= MOST_DIFFERING * len(pairs):
            found += "; the file looks sorted by video id"
        raise ShardError(
            explain(
                file.path,
                expected=f"rows in the order of Annotations.txt, where rows {first} and {second} are both of video "
                f"{video_ids[first]}",
                found=found,
                remedy=_ONE_RELEASE,
            )
        )
    return {
        "num_pairs": len(pairs),
        "differing": [{"video_id": video_ids[pair[0]], "rows": list(pair)} for pair in differing],
    }


def _sorted_rows(video_ids: Sequence[str]) -> list[int]:
    """Return which row of ``Annotations.txt`` each place of a file sorted by video id would hold."""
    return sorted(range(len(video_ids)), key=video_ids.__getitem__)


def _differ(file: ReleasedFile, one: int, other: int) -> bool:
    first, second = (file.row(row).astype(np.float64) for row in (one, other))
    with np.errstate(invalid="ignore"):  # what is not finite is refused as that
        difference = np.abs(first - second).max()
        return bool(difference > SAME_VIDEO_TOLERANCE * max(np.abs(first).max(), np.abs(second).max()))


def check_categories(
    path: Path, means: np.ndarray, video_ids: Sequence[str], categories: Sequence[str]
) -> dict[str, Any]:
    """Check that rows of one category are more alike than chance would make them in this order.

    That a whole file is in another order is found with near certainty. A part of it is not: with half of the rows in
    order the features still say much about the categories.

    Parameters
    ----------
    path : Path
        The file, for the error.
    means : ndarray
        (N, C), the mean of each row over segments and places.
    video_ids, categories : sequence of str
        (N,), of each row if the file is in the order of ``Annotations.txt``.

    Returns
    -------
    dict
        ``num_permutations`` and ``p_value``, which is None where categories cannot tell orders apart.

    Raises
    ------
    ShardError
        If there are :data:`MIN_ROWS` and nothing to be seen of the categories (p above :data:`LARGEST_P_VALUE`).
    """
    p_value = category_p_value(means, categories)
    if p_value is not None and p_value > LARGEST_P_VALUE and len(means) >= MIN_ROWS:
        found = f"features that say nothing about the categories in this order (p = {p_value:.3g})"
        in_sorted_order = category_p_value(means, [categories[row] for row in _sorted_rows(video_ids)])
        if in_sorted_order is not None and in_sorted_order <= LARGEST_P_VALUE:
            found += "; the file looks sorted by video id"
        raise ShardError(
            explain(path, expected="rows in the order of Annotations.txt", found=found, remedy=_ONE_RELEASE)
        )
    return {"num_permutations": NUM_PERMUTATIONS, "p_value": p_value}


def category_p_value(means: np.ndarray, categories: Sequence[str]) -> float | None:
    """Return how often permuted categories explain as much of the features as the given ones do.

    The statistic is the share of variance between categories in the leading principal components, once as the
    components are and once with all made equal: a difference that is in all dimensions, say of loudness, hides the
    categories from the first, and what is in one component only is lost in the second. Of both, each in standard
    deviations from its mean over the permutations, the larger counts; as it is computed alike for every permutation,
    the p-value is exact.

    Parameters
    ----------
    means : ndarray
        (N, C).
    categories : sequence of str
        (N,).

    Returns
    -------
    float, optional
        A multiple of 1 / (:data:`NUM_PERMUTATIONS` + 1), never 0. None if there is one category, or one per row.
    """
    _, labels, counts = np.unique(np.asarray(categories), return_inverse=True, return_counts=True)
    num_rows = len(labels)
    if not 1 < len(counts) < num_rows:
        return None
    varying = means[:, np.ptp(means, axis=0) > 0].astype(np.float64)
    if not varying.size:
        return 1.0
    components, variances = _components((varying - varying.mean(axis=0)) / varying.std(axis=0))
    membership = (labels == np.arange(len(counts))[:, None]) / np.sqrt(counts)[:, None]
    rng = np.random.default_rng(0)
    orders = [np.arange(num_rows), *(rng.permutation(num_rows) for _ in range(NUM_PERMUTATIONS))]
    between = np.stack([np.square(membership[:, order] @ components).sum(axis=0) for order in orders])
    statistics = np.stack([between @ variances, between.sum(axis=1)])
    spread = statistics.std(axis=1, keepdims=True)
    scores = ((statistics - statistics.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)).max(axis=0)
    return float(np.mean(scores >= scores[0]))


def _components(dimensions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the leading principal components (N, K) of (N, C), each scaled to variance 1, and their variances (K,)."""
    num_rows = len(dimensions)
    variances, directions = np.linalg.eigh(dimensions.T @ dimensions / num_rows)
    num_kept = min(NUM_COMPONENTS, max(1, num_rows // 4), int((variances > 1e-9 * variances[-1]).sum()))
    kept, leading = variances[-num_kept:], directions[:, -num_kept:]
    return dimensions @ leading / np.sqrt(kept), kept

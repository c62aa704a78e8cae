"""Feature files of every kind behind one interface: rows are read a few at a time, never the file as a whole."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.core.errors import ShardError, explain
from pipeline.released.files import DATA_SETS
from pipeline.store.shards import SCHEMA, Shard, load_index

MAX_ROW_BYTES = 1 << 28
"""Limit for one row. A clip of ten maps of 16 frames each takes 64 MB in float64; a file may claim anything."""

CLIP_AXES = (2, 4)
"""A `.npy` with so many axes holds one clip, (T, D) or (T, H, W, C), and is named by its video."""

REMEDY = "name a shard, a folder of shards, a released HDF5 file or a .npy array"

Read = Callable[[int, int], np.ndarray]


@dataclass(frozen=True)
class FeatureFile:
    """Rows of features as they are stored.

    Parameters
    ----------
    path : Path
    kind : str
        Kind of file, in words.
    shape : tuple of int
        (N, T, ...): rows, segments, and the features of one segment.
    dtype : np.dtype
    block_rows : int
        How many rows are stored together, so that reading one of them costs as much as reading all.
    read : callable
        ``read(start, stop)`` returns rows (stop - start, T, ...).
    video_ids : tuple of str, optional
        Video of each row, where the file says so.
    valid : np.ndarray, optional
        Shape (N, T), bool: segments that had media, where the file says so.
    recipe : dict, optional
        Recipe of the features, where the file says so.
    """

    path: Path
    kind: str
    shape: tuple[int, ...]
    dtype: np.dtype
    block_rows: int
    read: Read
    video_ids: tuple[str, ...] | None = None
    valid: np.ndarray | None = None
    recipe: dict[str, Any] | None = None

    @property
    def num_rows(self) -> int:
        """N, the number of rows."""
        return self.shape[0]

    @property
    def num_segments(self) -> int:
        """T, the number of segments per row."""
        return self.shape[1]

    @property
    def segment_shape(self) -> tuple[int, ...]:
        """Shape of the features of one segment."""
        return self.shape[2:]


def frames_by_segment(file: FeatureFile, num_segments: int) -> FeatureFile:
    """Return rows (N, T · K, D), a vector per frame, as (N, T, K, D); others, and shards, come back as they are.

    LLP's features of frames are so: (80, 2048) for ten segments.

    Parameters
    ----------
    file : FeatureFile
        Of vectors of single frames.
    num_segments : int
        T.
    """
    num_frames, rest = divmod(file.num_segments, num_segments)
    if rest or num_frames < 2 or file.valid is not None:  # shards say which segments there are
        return file
    shape = (num_segments, num_frames, *file.segment_shape)
    return replace(
        file, shape=(file.num_rows, *shape), read=lambda start, stop: file.read(start, stop).reshape(-1, *shape)
    )


def open_features(path: Path) -> FeatureFile:
    """Open the features that `path` holds; values are read when they are asked for.

    Raises
    ------
    ShardError
        If it is no shard, folder of shards, released HDF5 file or array of numbers, (N, T, ...) or (T, ...).
    """
    if path.is_dir():
        file = _open_folder(path)
    elif not path.is_file():
        raise ShardError(explain(path, expected="a file of features", found="no file", remedy=REMEDY))
    elif path.suffix == ".npy":
        file = _open_array(path)
    elif h5py.is_hdf5(path):
        file = _open_hdf5(path)
    else:
        raise ShardError(explain(path, expected="HDF5 or .npy", found="another format", remedy=REMEDY))
    row_bytes = math.prod(file.shape[1:]) * file.dtype.itemsize
    if len(file.shape) < 3 or not 0 < row_bytes <= MAX_ROW_BYTES or not file.num_rows or file.dtype.kind not in "fiu":
        raise ShardError(
            explain(
                path,
                expected=f"numbers of shape (rows, segments, ...), at most {MAX_ROW_BYTES >> 20} MB a row",
                found=f"{file.dtype} of shape {file.shape}",
                remedy="name a file of features",
            )
        )
    return file


def _open_hdf5(path: Path) -> FeatureFile:
    try:
        opened = h5py.File(path, "r")
    except OSError as error:
        raise ShardError(
            explain(path, expected="an HDF5 file", found="one that is cut off or damaged", remedy="fetch it again")
        ) from error
    with opened as file:
        if "schema" in file.attrs:
            return _open_shards(path, [path], f"{SCHEMA} shard", _recipe_of(path, file.attrs.get("recipe")))
        name = next((name for name in DATA_SETS if isinstance(file.get(name), h5py.Dataset)), None)
        if name is None:
            raise ShardError(
                explain(
                    path,
                    expected=f"a shard, or a data set named {' or '.join(DATA_SETS)}",
                    found=", ".join(sorted(file)[:10]) or "nothing",
                    remedy=REMEDY,
                )
            )
        data = file[name]
        block_rows = data.chunks[0] if data.chunks else 1
        return FeatureFile(
            path,
            f"HDF5, data set `{name}`",
            data.shape or (),
            data.dtype,
            block_rows,
            lambda start, stop: _read_hdf5(path, name, start, stop),
        )


def _read_hdf5(path: Path, name: str, start: int, stop: int) -> np.ndarray:
    try:
        with h5py.File(path, "r") as file:
            rows: np.ndarray = file[name][start:stop]
            return rows
    except OSError as error:
        raise ShardError(
            explain(
                path,
                expected=f"rows {start} to {stop - 1}",
                found="damaged data, or a compression that is not installed",
                remedy="fetch it again, or write it without compression",
            )
        ) from error


def _recipe_of(path: Path, text: object) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        recipe = json.loads(str(text))
        if not isinstance(recipe, dict):
            raise ValueError("no object")
    except ValueError as error:
        raise ShardError(
            explain(path, expected="a recipe in JSON", found=repr(text)[:60], remedy="extract the features again")
        ) from error
    return recipe


def _open_folder(folder: Path) -> FeatureFile:
    index = load_index(folder)
    if not index.shards:
        raise ShardError(explain(folder, expected="shards", found="an index of none", remedy=REMEDY))
    return _open_shards(folder, [folder / shard.file for shard in index.shards], f"{SCHEMA} folder", index.recipe)


def _open_shards(path: Path, shards: Sequence[Path], kind: str, recipe: dict[str, Any] | None) -> FeatureFile:
    video_ids: list[str] = []
    valid, starts, layouts = [], [0], []
    for shard_path in shards:
        with Shard(shard_path) as shard:
            layouts.append((shard.features.shape[1:], shard.features.dtype))
            valid.append(shard.valid)
            video_ids += shard.video_ids
        starts.append(len(video_ids))
        if layouts[-1] != layouts[0]:
            raise ShardError(
                explain(shard_path, expected=layouts[0], found=layouts[-1], remedy="extract all videos with one recipe")
            )

    def read(start: int, stop: int) -> np.ndarray:
        parts = [
            _read_hdf5(shard_path, "features", max(start - first, 0), stop - first)
            for shard_path, first, last in zip(shards, starts[:-1], starts[1:], strict=True)
            if start < last and first < stop
        ]
        return np.concatenate(parts)

    shape, dtype = layouts[0]
    return FeatureFile(
        path,
        kind,
        (len(video_ids), *shape),
        dtype,
        1,
        read,
        tuple(video_ids),
        np.concatenate(valid),
        recipe,
    )


def _open_array(path: Path) -> FeatureFile:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("an archive of arrays")
    except (ValueError, OSError, EOFError) as error:  # NumPy's own text advises to unpickle the file after all
        raise ShardError(
            explain(
                path,
                expected="an array of numbers",
                found="a damaged file, an archive, or Python objects, which are not loaded",
                remedy="save the features with `numpy.save`",
            )
        ) from error
    is_clip = array.ndim in CLIP_AXES
    if is_clip:
        array = array[np.newaxis]
    return FeatureFile(
        path,
        "NumPy array of one clip" if is_clip else "NumPy array",
        array.shape,
        array.dtype,
        1,
        lambda start, stop: np.array(array[start:stop]),
        (path.stem,) if is_clip else None,
    )

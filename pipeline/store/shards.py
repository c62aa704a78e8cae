"""HDF5 feature shards: a file format with a version, its recipe and a mask, and a distinct error for each fault.

A shard holds the features of some hundred videos of one modality::

    features  (N, T, ...)  float16 or float32, one video per chunk
    video_id  (N,)         UTF-8
    valid     (N, T)       bool: segments that really had media; features are zero elsewhere
    sha256    (N,)         of the media file each row was computed from

with the attributes `schema`, `modality`, `recipe` (JSON: every parameter that changes a value), `recipe_hash`,
`weights_sha256` and `code`. The same rows give the same bytes. A folder of shards carries an ``index.json`` that
names them with their hashes, and a ``ledger.csv`` with a row per video, also for those without a shard row.
"""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.core.errors import ShardError, explain
from pipeline.core.files import atomic_write, read_csv, sha256_of_file, write_csv, write_json
from pipeline.core.fingerprints import fingerprint

SCHEMA = "avel-features/1"
LEDGER_COLUMNS = ("video_id", "status", "reason", "valid", "seconds", "detail", "sampling_offset")


@dataclass(frozen=True)
class LedgerRow:
    """The outcome of one video.

    Parameters
    ----------
    video_id : str
    status : str
        ``ok`` (all segments valid), ``partial`` (some), ``failed`` (none: no shard row).
    reason : str
        ``ok`` or a key of :data:`pipeline.media.container.REASONS`.
    valid : str
        One character per segment, ``1`` where it had media.
    seconds : str
        Duration of the media found, seconds with two decimals; empty if unknown.
    detail : str
        For people.
    sampling_offset : str
        Largest distance of a frame chosen by number from the one chosen by time, in seconds with three decimals; empty
        for audio and where nothing was decoded.
    """

    video_id: str
    status: str
    reason: str
    valid: str
    seconds: str
    detail: str
    sampling_offset: str = ""


@dataclass(frozen=True)
class ShardRow:
    """Features of one video: `features` (T, ...), `valid` (T,) bool, `sha256` of its media file."""

    video_id: str
    sha256: str
    features: np.ndarray
    valid: np.ndarray


def write_shard(
    path: Path, rows: Iterable[ShardRow], attributes: Mapping[str, str], *, num_rows: int | None = None
) -> None:
    """Write one shard atomically; equal rows and attributes give equal bytes.

    The shard is held in memory as it is written, the rows are not: an iterator may make each on demand.

    Parameters
    ----------
    path : Path
    rows : iterable of ShardRow
        Taken one after the other, once.
    attributes : mapping of str to str
    num_rows : int, optional
        How many `rows` there are; to be given where `rows` does not know its length.

    Raises
    ------
    ShardError
        If there is no row, or a row has another shape or dtype than the first or holds a value that is not finite.
    """
    if num_rows is None:
        rows = list(rows)
        num_rows = len(rows)
    if not num_rows:
        raise ShardError(explain(path, expected="at least one row", found="none", remedy="write no shard"))
    rows = iter(rows)
    first = next(rows)
    shape, dtype = first.features.shape, first.features.dtype
    video_ids, hashes, valid = [], [], []
    buffer = io.BytesIO()  # HDF5 answers a full disk with several errors of its own
    with h5py.File(buffer, "w", track_order=False) as file:
        for name, value in sorted({"schema": SCHEMA, **attributes}.items()):
            file.attrs[name] = value
        features = file.create_dataset(
            "features", (num_rows, *shape), dtype, chunks=(1, *shape), track_times=False, fillvalue=0
        )
        for position, row in zip(range(num_rows), chain([first], rows), strict=True):
            if row.features.shape != shape or row.features.dtype != dtype:
                raise ShardError(
                    explain(
                        f"features of {row.video_id}",
                        expected=f"{shape} {dtype}",
                        found=f"{row.features.shape} {row.features.dtype}",
                        remedy="extract all videos with one recipe",
                    )
                )
            require_finite(row.video_id, row.features)
            features[position] = row.features
            video_ids.append(row.video_id)
            hashes.append(row.sha256)
            valid.append(row.valid)
        file.create_dataset("valid", data=np.stack(valid), track_times=False)
        for name, values in (("video_id", video_ids), ("sha256", hashes)):
            file.create_dataset(name, data=np.array([v.encode() for v in values], dtype="S"), track_times=False)
    with atomic_write(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def require_finite(video_id: str, features: np.ndarray) -> None:
    """Check that `features` hold no NaN and no infinity, which a value too large for float16 becomes.

    Raises
    ------
    ShardError
        If a value is not finite; the video is named.
    """
    if not np.isfinite(features).all():
        raise ShardError(
            explain(
                f"features of {video_id}",
                expected=f"finite {features.dtype} values",
                found="infinity or NaN",
                remedy="store as float32, compute in float32, or check the weights",
            )
        )


class Shard:
    """One shard opened for reading; also a context manager."""

    def __init__(self, path: Path) -> None:
        """Open `path` and check its layout.

        Raises
        ------
        ShardError
            If the file is missing, no HDF5, of another schema, or its arrays do not belong together.
        """
        self.path = path
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise ShardError(
                explain(
                    path, expected="a feature shard", found="no readable HDF5 file", remedy="run the extraction again"
                )
            ) from error
        schema = self._file.attrs.get("schema")
        if schema != SCHEMA:
            self.close()
            raise ShardError(
                explain(path, expected=f"schema {SCHEMA}", found=schema, remedy="extract the features again")
            )
        layout = {name: _layout(self._file.get(name)) for name in ("features", "valid", "video_id", "sha256")}
        _, shape = layout["features"]
        expected = [("f", shape), ("b", shape[:2]), ("S", shape[:1]), ("S", shape[:1])]
        if len(shape) < 2 or list(layout.values()) != expected:
            self.close()
            raise ShardError(
                explain(
                    path,
                    expected="features (N, T, ...), valid (N, T), video_id (N,), sha256 (N,)",
                    found=", ".join(f"{name} {kind}{shape}" for name, (kind, shape) in layout.items()),
                    remedy="extract the features again",
                )
            )
        self.video_ids = [name.decode() for name in self._file["video_id"][:]]
        self.content_hashes = [name.decode() for name in self._file["sha256"][:]]
        self.valid: np.ndarray = self._file["valid"][:]

    def __enter__(self) -> "Shard":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def features(self) -> h5py.Dataset:
        """The features on disk, (N, T, ...); index it to read."""
        return self._file["features"]

    def row(self, position: int) -> ShardRow:
        """Read one video."""
        return ShardRow(
            self.video_ids[position], self.content_hashes[position], self.features[position], self.valid[position]
        )


def _layout(item: object) -> tuple[str, tuple[int, ...]]:
    """Return the kind of type and the shape of a data set; ``none`` and no axes for anything else."""
    return (item.dtype.kind, item.shape) if isinstance(item, h5py.Dataset) else ("none", ())


@dataclass(frozen=True)
class ShardFile:
    """A shard as the index names it."""

    file: str
    sha256: str
    num_videos: int


@dataclass(frozen=True)
class ShardIndex:
    """``index.json``: what a folder of shards holds and what made it."""

    modality: str
    recipe: dict[str, Any]
    weights_sha256: str
    num_videos: int
    shards: tuple[ShardFile, ...]

    @property
    def recipe_hash(self) -> str:
        """Short hash of the recipe."""
        return fingerprint(self.recipe)

    @property
    def origin(self) -> str:
        """What the features were made with: the name of the weights, or ``released``."""
        return str(self.recipe.get("weights", self.recipe.get("source")))

    def save(self, folder: Path) -> None:
        """Write ``index.json`` into `folder`."""
        write_json(folder / "index.json", {"schema": SCHEMA, **asdict(self), "recipe_hash": self.recipe_hash})


def load_index(folder: Path) -> ShardIndex:
    """Read ``index.json`` of `folder`.

    Raises
    ------
    ShardError
        If it is missing, no JSON, of another schema, or a key is missing.
    """
    path = folder / "index.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        content.pop("recipe_hash")
        content["shards"] = tuple(ShardFile(**shard) for shard in content["shards"])
        return ShardIndex(**content)
    except FileNotFoundError as error:
        raise ShardError(
            explain(
                path,
                expected="an index of shards",
                found="no file",
                remedy="run `dvc repro extract_visual extract_audio`",
            )
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        found = f"{type(error).__name__}: {error}"
        raise ShardError(
            explain(path, expected=f"a {SCHEMA} index", found=found, remedy="extract the features again")
        ) from error


def require_recipe(folder: Path, expected: Mapping[str, Any]) -> ShardIndex:
    """Return the index of `folder` if its features were made by the `expected` recipe.

    Raises
    ------
    ShardError
        If the recipe is another; every parameter that differs is named.
    """
    index = load_index(folder)
    differences = [
        f"{key} is {index.recipe.get(key)!r} instead of {expected.get(key)!r}"
        for key in sorted({*expected, *index.recipe})
        if index.recipe.get(key) != expected.get(key)
    ]
    if differences:
        raise ShardError(
            explain(
                folder,
                expected="features made by the recipe in params.yaml",
                found=", ".join(differences),
                remedy="run `dvc repro`, or put the parameters back",
            )
        )
    return index


def verify_shard(path: Path, sha256: str) -> None:
    """Check a shard's bytes against the hash its index holds.

    Raises
    ------
    ShardError
        If they differ or the file is missing.
    """
    if not path.is_file():
        raise ShardError(explain(path, expected="a shard", found="no file", remedy="run the extraction again"))
    if (found := sha256_of_file(path)) != sha256:
        raise ShardError(
            explain(
                path,
                expected=f"sha256 {sha256[:12]}…",
                found=f"{found[:12]}…: the file was changed or damaged",
                remedy="delete it, with its copy in .dvc/cache, and run the extraction again",
            )
        )


def save_ledger(path: Path, rows: Sequence[LedgerRow]) -> None:
    """Write ``ledger.csv``."""
    write_csv(path, LEDGER_COLUMNS, (asdict(row) for row in rows))


def load_ledger(path: Path) -> list[LedgerRow]:
    """Read ``ledger.csv``.

    Raises
    ------
    ShardError
        If it is missing, has other columns, or a row has fewer values.
    """
    try:
        ledger = [LedgerRow(**row) for row in read_csv(path)]
        found = "a row of fewer values" if any(None in vars(row).values() for row in ledger) else ""
    except (FileNotFoundError, TypeError, UnicodeDecodeError) as error:
        ledger, found = [], "no file" if isinstance(error, FileNotFoundError) else "others"
    if found:
        raise ShardError(
            explain(
                path,
                expected=f"a ledger with the columns {', '.join(LEDGER_COLUMNS)}",
                found=found,
                remedy="run the extraction again",
            )
        )
    return ledger

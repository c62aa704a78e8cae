"""What every form of a release has in common: it is opened, checked, and gives one video's features after the other."""

import hashlib
from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from pipeline.features.recipes import Modality
from pipeline.params.schema import Params
from pipeline.store.shards import LedgerRow, ShardRow


class Released(NamedTuple):
    """What was released for one video, as it goes into shard and ledger; no shard row where it cannot be used."""

    shard_row: ShardRow | None
    ledger_row: LedgerRow


class Release(ABC):
    """One modality's features as they were released; opened with what can be checked without reading much.

    Attributes
    ----------
    feature_shape : tuple of int
        Of one segment, channels last.
    missing : dict of str to str
        Videos without features, and why.
    may_be_damaged : bool
        Whether what one video has may turn out to be unusable when it is taken.
    """

    feature_shape: tuple[int, ...]
    missing: dict[str, str]
    may_be_damaged: bool

    def __init__(self, params: Params, modality: Modality, raw: Path) -> None:
        self.modality = modality
        self.storage = np.dtype(getattr(params, modality).storage)
        self.num_segments = params.dataset.num_segments
        self.raw = raw
        self.remedy = f"put the released features there, see data/{params.dataset.name}/README.md"
        self.files = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.files.close()

    @abstractmethod
    def start(self) -> None:
        """Check what need not wait until all is read."""

    @abstractmethod
    def take(self, video_id: str) -> Released:
        """Read the features of a video that is not missing."""

    @abstractmethod
    def finish(self) -> dict[str, Any]:
        """Check what is known at the end only, and return what ``import.json`` holds."""

    def name_of(self, path: Path) -> str:
        """Return what ``import.json`` calls a file."""
        return path.relative_to(self.raw).as_posix()


def content_hash(*arrays: np.ndarray) -> str:
    """Return the SHA-256 of the bytes that the files hold for one video, one array after the other."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def usable(video_id: str, sha256: str, features: np.ndarray, valid: np.ndarray, detail: str) -> Released:
    """Return features (T, ...), channels last, usable where `valid` (T,), as they go into shard and ledger."""
    status, reason = ("ok", "ok") if valid.all() else ("partial", "short")
    mask = "".join("01"[int(is_valid)] for is_valid in valid)
    ledger_row = LedgerRow(video_id=video_id, status=status, reason=reason, valid=mask, seconds="", detail=detail)
    return Released(ShardRow(video_id, sha256, features, valid), ledger_row)


def failed_row(video_id: str, reason: str, detail: str) -> LedgerRow:
    """Return what the ledger says of a video without usable features."""
    return LedgerRow(video_id=video_id, status="failed", reason=reason, valid="", seconds="", detail=detail)

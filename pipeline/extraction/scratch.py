"""The scratch folder of one recipe: finished videos, finished shards, and the way from these to those.

DVC deletes a stage's outputs before it runs the stage, so finished work lives in a folder named by what determines
the values (recipe, weights, code)::

    data/.work/extract_visual/<fingerprint>/
        parts/<sha256 of the media file>.safetensors    one video each, as they are finished
        shards/<hash of the video list>.h5 + .json      complete shards; their parts are deleted

A rerun takes rows from finished shards and parts and computes only what is missing: a killed run loses the videos
it was working on, ten new videos cost ten videos.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pipeline.core.errors import ShardError, explain
from pipeline.core.files import atomic_write, sha256_of_file, write_json
from pipeline.core.fingerprints import fingerprint
from pipeline.features.contract import AnyExtractor
from pipeline.store.manifest import VideoFile
from pipeline.store.shards import LedgerRow, Shard, ShardRow, write_shard

RETRIED_REASONS = ("missing", "unreadable", "timed_out", "crashed")
"""Failures that may be the machine's and not the file's: the next run tries again."""


class Parts:
    """Finished videos, a file each, named by the hash of the media; several processes may write at once.

    A file is checked by its hash when it is read, so it need not be flushed to disk (`is_durable`) unless the run
    that counts on it would outlive its writer's machine.
    """

    def __init__(self, folder: Path, *, is_durable: bool = False) -> None:
        self._folder, self._is_durable = folder, is_durable

    def _path(self, content_hash: str) -> Path:
        return self._folder / f"{content_hash}.safetensors"

    def save(self, content_hash: str, row: LedgerRow, features: np.ndarray | None, valid: np.ndarray | None) -> None:
        """Write one video: its ledger row, and features (T, ...) with mask (T,) unless nothing of it can be used."""
        arrays = {} if features is None or valid is None else {"features": features, "valid": valid}
        text = json.dumps(asdict(row))
        content = save(arrays, metadata={"row": text, "sha256": _digest(text, arrays)})
        with atomic_write(self._path(content_hash), durable=self._is_durable) as temporary:
            temporary.write_bytes(content)

    def load(self, content_hash: str) -> tuple[LedgerRow, ShardRow | None] | None:
        """Read one video; a damaged file is deleted and counts as not there."""
        path = self._path(content_hash)
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata()
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if metadata["sha256"] != _digest(metadata["row"], arrays):
                raise ValueError("other bytes than were written")
            row = LedgerRow(**json.loads(metadata["row"]))
        except FileNotFoundError:
            return None
        except (SafetensorError, ValueError, KeyError, TypeError):
            path.unlink()
            return None
        return row, ShardRow(row.video_id, content_hash, **arrays) if arrays else None

    def finished(self) -> set[str]:
        """Return the hashes of the videos that need not be computed again."""
        found = [(path.stem, self.load(path.stem)) for path in self._folder.glob("*.safetensors")]
        return {content_hash for content_hash, part in found if part and part[0].reason not in RETRIED_REASONS}

    def delete(self, content_hash: str) -> None:
        """Delete one video, if it is there."""
        self._path(content_hash).unlink(missing_ok=True)


def _digest(row: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(row.encode())
    for name in sorted(arrays):
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


class Scratch:
    """What the scratch folder of one recipe holds; one process at a time opens it so."""

    def __init__(self, folder: Path, extractor: AnyExtractor) -> None:
        self.parts_folder, self._shards = folder / "parts", folder / "shards"
        for subfolder in (self.parts_folder, self._shards):
            subfolder.mkdir(exist_ok=True)
            for left_over in subfolder.glob(".*.tmp"):  # by a killed run
                left_over.unlink()
        self._attributes = {
            "modality": extractor.modality,
            "recipe": json.dumps(extractor.recipe, sort_keys=True),
            "recipe_hash": fingerprint(extractor.recipe),
            "weights_sha256": extractor.weights_sha256,
            "code": extractor.code,
        }
        self._places: dict[str, tuple[Path, dict[str, str]]] = {}  # media hash → (finished shard, ledger row)
        self._finished_shards: set[Path] = set()  # their records
        for record in sorted(self._shards.glob("*.json")):
            self._find_rows(record)
        self._parts = Parts(self.parts_folder)
        self._finished_parts = self._parts.finished()

    def _find_rows(self, record: Path) -> None:
        """Note what a finished shard holds, or delete it if its hash is another: a link can be written through."""
        shard = record.with_suffix(".h5")
        try:
            content = json.loads(record.read_text(encoding="utf-8"))
            sha256, rows = content["sha256"], content["videos"]
            is_intact = sha256 is None or sha256_of_file(shard) == sha256
        except (ValueError, KeyError, TypeError, FileNotFoundError):
            is_intact = False
        if not is_intact:
            record.unlink()
            shard.unlink(missing_ok=True)
            return
        usable = {content_hash: row for content_hash, row in rows.items() if row["reason"] not in RETRIED_REASONS}
        self._places |= {content_hash: (shard, row) for content_hash, row in usable.items()}
        if len(usable) == len(rows):
            self._finished_shards.add(record)

    def _record(self, group: Sequence[VideoFile]) -> Path:
        names = [[video.video_id, video.sha256] for video in group]
        return self._shards / f"{fingerprint(names)}.json"

    def has_shard(self, group: Sequence[VideoFile]) -> bool:
        """Return whether `group` is finished as a shard."""
        return self._record(group) in self._finished_shards

    def has_videos(self, group: Sequence[VideoFile]) -> bool:
        """Return whether every existing video of `group` is finished."""
        return all(v.sha256 in self._places or v.sha256 in self._finished_parts for v in group if v.sha256)

    def add_part(self, content_hash: str) -> None:
        """Note that another process has written the part of this video."""
        self._finished_parts.add(content_hash)

    def _load(self, video: VideoFile) -> tuple[LedgerRow, ShardRow | None]:
        """Return what is known of a video, under its present id."""
        if video.sha256 is None:
            lost = LedgerRow(
                video_id=video.video_id, status="failed", reason="missing", valid="", seconds="", detail="no such file"
            )
            return lost, None
        if video.sha256 in self._finished_parts and (part := self._parts.load(video.sha256)):
            row, shard_row = part
        elif video.sha256 not in self._places:
            raise ShardError(
                explain(
                    self.parts_folder / video.sha256,
                    expected="the features that were written there",
                    found="that they were deleted or damaged",
                    remedy="let nothing else write to data/.work, and run the same command again",
                )
            )
        else:
            path, fields = self._places[video.sha256]
            row, shard_row = LedgerRow(**fields), None
            if row.status != "failed":
                with Shard(path) as shard:
                    shard_row = shard.row(shard.content_hashes.index(video.sha256))
        if shard_row is not None:
            shard_row = replace(shard_row, video_id=video.video_id)
        return replace(row, video_id=video.video_id), shard_row

    def assemble(self, group: Sequence[VideoFile]) -> None:
        """Turn the parts of `group` into one finished shard and delete them.

        May run in a thread beside the other methods: a video is always among the places or among the parts.
        """
        loaded = [self._load(video) for video in group]
        rows = [shard_row for _, shard_row in loaded if shard_row is not None]
        record = self._record(group)
        shard = record.with_suffix(".h5")
        if rows:
            write_shard(shard, rows, self._attributes)
        ledger = {v.sha256: asdict(row) for v, (row, _) in zip(group, loaded, strict=True) if v.sha256}
        write_json(
            record,
            {
                "sha256": sha256_of_file(shard) if rows else None,
                "num_videos": len(rows),
                "videos": ledger,
                "ledger": [asdict(row) for row, _ in loaded],
            },
        )
        self._finished_shards.add(record)
        for video in group:
            if video.sha256:
                self._places[video.sha256] = shard, ledger[video.sha256]
                self._parts.delete(video.sha256)
                self._finished_parts.discard(video.sha256)

    def finished(self, group: Sequence[VideoFile]) -> tuple[Path, dict[str, Any]]:
        """Return the file of a finished shard, which is missing where no video could be used, and its record."""
        record = self._record(group)
        return record.with_suffix(".h5"), json.loads(record.read_text(encoding="utf-8"))

"""From videos to a folder of shards: any extractor, resumable, one ledger row per video.

DVC deletes a stage's outputs before it runs the stage, so finished work lives in a scratch folder named by what
determines the values (recipe, weights, code)::

    data/.work/extract_visual/<fingerprint>/
        parts/<sha256 of the media file>.safetensors    one video each, as they are finished
        shards/<hash of the video list>.h5 + .json      complete shards; their parts are deleted

A rerun takes rows from finished shards and parts and computes only what is missing: a killed run loses the video
it was working on, ten new videos cost ten videos. Complete shards are then linked into the stage's output.
"""

import hashlib
import json
import logging
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from tqdm import tqdm

from pipeline.annotations.manifest import VideoFile
from pipeline.errors import MediaError, PipelineError, explain
from pipeline.features import Extractor, Prepared
from pipeline.files import (
    atomic_write,
    fingerprint,
    link_or_copy,
    locked,
    scratch_folder,
    sha256_of_file,
    source_fingerprint,
    write_json,
)
from pipeline.segments import NO_FRAME, segment_valid
from pipeline.shards import LedgerRow, Shard, ShardFile, ShardIndex, ShardRow, require_finite, save_ledger, write_shard

logger = logging.getLogger(__name__)

CODE = ("pipeline/extraction.py", "pipeline/shards.py", "pipeline/weights.py")
"""What every modality's values and files depend on, beside its own `code`."""

RETRIED_REASONS = ("missing", "unreadable")
"""Failures of the machine and not of the file's content: the next run tries again."""


def extract(
    extractor: Extractor,
    videos: Sequence[VideoFile],
    raw: Path,
    output: Path,
    *,
    batch_size: int,
    num_workers: int,
    shard_size: int,
    max_failed_fraction: float,
) -> ShardIndex:
    """Extract one modality of all `videos` into `output`.

    Parameters
    ----------
    extractor : Extractor
    videos : sequence of VideoFile
        In append-only order: it decides which shard a video is in.
    raw : Path
        Folder that the videos' paths are relative to.
    output : Path
        Gets the shards, ``ledger.csv`` and ``index.json``.
    batch_size : int
        Inputs per network call at the most; a call holds inputs of one video.
    num_workers : int
        Decoding threads; 0 chooses by the number of cores.
    shard_size : int
        Videos per shard.
    max_failed_fraction : float
        Share of videos without any usable segment above which the run fails.

    Raises
    ------
    PipelineError
        If too many videos failed (the first ten are listed), or another run holds the same scratch folder and does
        not finish.
    """
    identity = {
        "recipe": extractor.recipe,
        "weights": extractor.weights_sha256,
        "code": [extractor.code, source_fingerprint(*CODE)],
        "versions": [av.__version__, torch.__version__],
    }
    scratch = scratch_folder(f"extract_{extractor.modality}", fingerprint(identity))
    with locked(scratch):
        store = _Scratch(scratch, extractor)
        groups = [videos[start : start + shard_size] for start in range(0, len(videos), shard_size)]
        pending = deque(group for group in groups if not store.has_shard(group))
        missing = _distinct([v for group in pending for v in group if v.sha256 and not store.has_video(v)])
        logger.info("extract %s: %d videos, %d to compute", extractor.modality, len(videos), len(missing))
        with tqdm(total=len(missing), unit="video", desc=f"extract {extractor.modality}", disable=None) as progress:
            store.assemble_complete(pending)
            with closing(_decoded(extractor, missing, raw, num_workers or default_workers())) as decoded:
                for video, prepared in decoded:
                    store.save_part(video, *_features(extractor, video, prepared, batch_size))
                    store.assemble_complete(pending)
                    progress.update()
        return _publish(store, groups, output, extractor, max_failed_fraction)


def default_workers() -> int:
    """Return how many decoding threads to use: all cores but one, which feeds the network, 16 at the most."""
    return max(1, min(16, torch.get_num_threads() - 1))


def _distinct(videos: Sequence[VideoFile]) -> list[VideoFile]:
    """Return the first video of each content."""
    first: dict[str | None, VideoFile] = {}
    for video in videos:
        first.setdefault(video.sha256, video)
    return list(first.values())


def _decoded(
    extractor: Extractor, videos: Sequence[VideoFile], raw: Path, num_workers: int
) -> Generator[tuple[VideoFile, Prepared | MediaError], None, None]:
    """Yield videos in order with what decoding made of them, some decoded ahead by worker threads.

    Closing it drops what waits to be decoded.
    """

    def task(video: VideoFile) -> Prepared | MediaError:
        path = raw / video.path
        try:
            if path.is_file() and path.stat().st_size != video.size_bytes:
                raise PipelineError(
                    explain(
                        video.path,
                        expected=f"{video.size_bytes} bytes, as when its hash was taken",
                        found=f"{path.stat().st_size}",
                        remedy="let nothing write to the videos while the pipeline runs, and run `dvc repro` again",
                    )
                )
            return extractor.prepare(path)
        except MediaError as error:
            return error
        except Exception as error:
            error.add_note(f"while decoding {video.path}")
            raise

    queue: deque[tuple[VideoFile, Future[Prepared | MediaError]]] = deque()
    with ThreadPoolExecutor(num_workers, thread_name_prefix="decode") as pool:
        try:
            for video in videos:
                queue.append((video, pool.submit(task, video)))
                if len(queue) > 2 * num_workers:
                    ready, future = queue.popleft()
                    yield ready, future.result()
            while queue:
                ready, future = queue.popleft()
                yield ready, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _features(
    extractor: Extractor, video: VideoFile, prepared: Prepared | MediaError, batch_size: int
) -> tuple[LedgerRow, np.ndarray | None, np.ndarray | None]:
    """Return the ledger row, and features (T, ...) with mask (T,) unless nothing of the video can be used."""
    if isinstance(prepared, MediaError):
        # Without the file's name: the row also stands for other files of the same content.
        detail = str(prepared).removeprefix(f"{Path(video.path).name}: ")
        return LedgerRow(video.video_id, "failed", prepared.reason, "", "", detail), None, None
    available = prepared.rows != NO_FRAME
    valid = segment_valid(prepared.rows)
    mask = "".join("01"[int(flag)] for flag in valid)
    status = "ok" if valid.all() else "partial" if valid.any() else "failed"
    row = LedgerRow(video.video_id, status, prepared.reason, mask, f"{prepared.seconds:.2f}", prepared.detail)
    if not valid.any():
        return row, None, None
    outputs = torch.cat([extractor.network(batch) for batch in prepared.inputs.split(batch_size)]).numpy()
    features = np.zeros((len(valid), *outputs.shape[1:]), np.float32)
    for segment in np.flatnonzero(valid):
        features[segment] = outputs[prepared.rows[segment][available[segment]]].mean(0, dtype=np.float64)
    with np.errstate(over="ignore"):
        stored = features.astype(extractor.storage)
    require_finite(video.video_id, stored)
    return row, stored, valid


class _Scratch:
    """The scratch folder of one recipe: finished shards, finished videos, and the way from these to those."""

    def __init__(self, folder: Path, extractor: Extractor) -> None:
        self._parts, self._shards = folder / "parts", folder / "shards"
        for subfolder in (self._parts, self._shards):
            subfolder.mkdir(exist_ok=True)
            for left_over in subfolder.glob(".*.tmp"):  # by a killed run; nobody else writes here
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
        self._finished_parts: set[str] = set()  # media hashes
        for part in self._parts.glob("*.safetensors"):
            if (loaded := self._load_part(part)) and loaded[0].reason not in RETRIED_REASONS:
                self._finished_parts.add(part.stem)

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

    def _part(self, content_hash: str) -> Path:
        return self._parts / f"{content_hash}.safetensors"

    def has_shard(self, group: Sequence[VideoFile]) -> bool:
        return self._record(group) in self._finished_shards

    def has_video(self, video: VideoFile) -> bool:
        return video.sha256 in self._places or video.sha256 in self._finished_parts

    def save_part(
        self, video: VideoFile, row: LedgerRow, features: np.ndarray | None, valid: np.ndarray | None
    ) -> None:
        assert video.sha256 is not None
        arrays = {} if features is None or valid is None else {"features": features, "valid": valid}
        text = json.dumps(asdict(row))
        content = save(arrays, metadata={"row": text, "sha256": _digest(text, arrays)})
        with atomic_write(self._part(video.sha256)) as temporary:
            temporary.write_bytes(content)
        self._finished_parts.add(video.sha256)

    @staticmethod
    def _load_part(path: Path) -> tuple[LedgerRow, ShardRow | None] | None:
        """Read one finished video; a damaged part is deleted and counts as not there."""
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata()
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if metadata["sha256"] != _digest(metadata["row"], arrays):
                raise ValueError("other bytes than were written")
            row = LedgerRow(**json.loads(metadata["row"]))
        except (SafetensorError, ValueError, KeyError, TypeError):
            path.unlink()
            return None
        shard_row = ShardRow(row.video_id, path.stem, **arrays) if arrays else None
        return row, shard_row

    def _load(self, video: VideoFile) -> tuple[LedgerRow, ShardRow | None]:
        """Return what is known of a video, under its present id."""
        if video.sha256 is None:
            return LedgerRow(video.video_id, "failed", "missing", "", "", "no such file"), None
        if video.sha256 in self._finished_parts and (part := self._load_part(self._part(video.sha256))):
            row, shard_row = part
        else:
            path, fields = self._places[video.sha256]
            row, shard_row = LedgerRow(**fields), None
            if row.status != "failed":
                with Shard(path) as shard:
                    shard_row = shard.row(shard.content_hashes.index(video.sha256))
        if shard_row is not None:
            shard_row = replace(shard_row, video_id=video.video_id)
        return replace(row, video_id=video.video_id), shard_row

    def assemble_complete(self, pending: deque[Sequence[VideoFile]]) -> None:
        """Assemble and remove from the front of `pending` the groups of which every video is finished."""
        while pending and all(self.has_video(video) for video in pending[0] if video.sha256):
            self._assemble(pending.popleft())

    def _assemble(self, group: Sequence[VideoFile]) -> None:
        """Turn the parts of `group` into one finished shard and delete them."""
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
                self._part(video.sha256).unlink(missing_ok=True)
                self._finished_parts.discard(video.sha256)

    def finished(self, group: Sequence[VideoFile]) -> tuple[Path, dict[str, Any]]:
        record = self._record(group)
        return record.with_suffix(".h5"), json.loads(record.read_text(encoding="utf-8"))


def _digest(row: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(row.encode())
    for name in sorted(arrays):
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def _publish(
    store: _Scratch,
    groups: Sequence[Sequence[VideoFile]],
    output: Path,
    extractor: Extractor,
    max_failed_fraction: float,
) -> ShardIndex:
    """Link the finished shards into `output` and write ledger and index; refuse if too many videos failed.

    What an earlier run left there is removed first, its index before all else.
    """
    output.mkdir(parents=True, exist_ok=True)
    for name in ("index.json", "ledger.csv", "shard-*.h5", ".*.tmp"):
        for left_over in output.glob(name):
            left_over.unlink()
    ledger: list[LedgerRow] = []
    shards: list[ShardFile] = []
    for group in groups:
        path, record = store.finished(group)
        ledger += [LedgerRow(**row) for row in record["ledger"]]
        if record["num_videos"]:
            name = f"shard-{len(shards):05d}.h5"
            link_or_copy(path, output / name)
            shards.append(ShardFile(name, record["sha256"], record["num_videos"]))
    save_ledger(output / "ledger.csv", ledger)
    _refuse_failures(ledger, extractor.modality, max_failed_fraction)
    index = ShardIndex(
        extractor.modality, extractor.recipe, extractor.weights_sha256, sum(s.num_videos for s in shards), tuple(shards)
    )
    index.save(output)
    num_partial = sum(row.status == "partial" for row in ledger)
    logger.info(
        "extract %s: %d videos in %d shards, %d of them in part, %d failed",
        extractor.modality,
        index.num_videos,
        len(shards),
        num_partial,
        len(ledger) - index.num_videos,
    )
    return index


def _refuse_failures(ledger: Sequence[LedgerRow], modality: str, max_failed_fraction: float) -> None:
    failed = [row for row in ledger if row.status == "failed"]
    if len(failed) > max_failed_fraction * len(ledger):
        listed = "; ".join(f"{row.video_id} ({row.reason}: {row.detail})" for row in failed[:10])
        more = f"; and {len(failed) - 10} more" if len(failed) > 10 else ""
        raise PipelineError(
            explain(
                f"{modality} features",
                expected=f"at most {max_failed_fraction:.2%} of {len(ledger)} videos to fail",
                found=f"{len(failed)}: {listed}{more}",
                remedy=f"mend or remove the files, or raise {modality}.max_failed_fraction",
            )
        )

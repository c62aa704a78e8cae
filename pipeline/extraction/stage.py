"""From videos to a folder of shards: any extractor, any engine, resumable, one ledger row per video.

What is finished lies in a scratch folder (:mod:`pipeline.extraction.scratch`); an engine computes what is missing
(:mod:`pipeline.extraction.local_engine`, :mod:`pipeline.extraction.ray_engine`), and complete shards are linked into
the stage's output.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import torch
from tqdm import tqdm

from pipeline.core.devices import choose_devices, describe_device
from pipeline.core.errors import ParamsError, PipelineError, explain
from pipeline.core.files import link_or_copy, locked, require_space, scratch_folder
from pipeline.core.fingerprints import fingerprint, source_fingerprint
from pipeline.extraction.decode_pool import default_num_workers
from pipeline.extraction.local_engine import compute_here, compute_in_processes
from pipeline.extraction.scratch import RETRIED_REASONS, Scratch
from pipeline.extraction.worker import Finished, WorkerSettings, library_versions
from pipeline.features.contract import AnyExtractor, BuildExtractor, streams_of
from pipeline.params.schema import ExtractParams
from pipeline.store.ledger import describe, summarise_ledger
from pipeline.store.manifest import VideoFile
from pipeline.store.placing import shard_groups
from pipeline.store.shards import LedgerRow, ShardFile, ShardIndex, save_ledger

logger = logging.getLogger(__name__)

MODULES = ("pipeline.extraction.worker", "pipeline.extraction.scratch")
"""What computes a video and what stores it, beside the extractor's own code; the engine that calls them counts not."""

Groups = Sequence[Sequence[VideoFile]]


def extract(
    build: BuildExtractor,
    videos: Sequence[VideoFile],
    raw: Path,
    output: Path,
    *,
    params: ExtractParams,
    max_failed_fraction: float,
) -> ShardIndex:
    """Extract one modality of all `videos` into `output`.

    Parameters
    ----------
    build : callable
        Makes the extractor for a device.
    videos : sequence of VideoFile
        In append-only order; :mod:`pipeline.store.placing` decides which shard a video is in.
    raw : Path
        Folder that the videos' paths are relative to.
    output : Path
        Gets the shards, ``ledger.csv`` and ``index.json``.
    params : ExtractParams
        How to use the machine.
    max_failed_fraction : float
        Share of videos without any usable segment above which the run fails.

    Raises
    ------
    PipelineError
        If the disk cannot hold the features, a file changed since its hash was taken, or too many videos failed (the
        first ten are listed).
    """
    devices = choose_devices(params.device) if params.engine == "local" else [torch.device("cpu")]
    # With several devices this process only needs to know what the extractor is: theirs have their own.
    extractor = build(devices[0] if len(devices) == 1 else torch.device("cpu"))
    identity = {
        "recipe": extractor.recipe,
        "weights": extractor.weights_sha256,
        "code": [extractor.code, source_fingerprint(*MODULES)],
        "versions": library_versions(),
    }
    folder = scratch_folder(f"extract_{extractor.modality}", fingerprint(identity))
    with locked(folder):
        scratch = Scratch(folder, extractor)
        groups: Groups = shard_groups(videos, params.shard_size, int(extractor.recipe["num_segments"]))
        pending = deque(group for group in groups if not scratch.has_shard(group))
        missing = _missing(pending, scratch)
        num_missing = sum(len(group) for group in missing)
        logger.info("extract %s: %d videos, %d to compute", extractor.modality, len(videos), num_missing)
        if pending:
            _require_space(folder, extractor, sum(len(group) for group in pending))
        busy = devices[: max(1, len(missing))]
        finished = _computed(build, extractor, busy, missing, raw, scratch.parts_folder, params)
        _collect(scratch, pending, finished, extractor.modality, num_missing)
        return _publish(scratch, videos, groups, output, extractor, max_failed_fraction)


def _missing(pending: Groups, scratch: Scratch) -> list[list[VideoFile]]:
    """Return what is to be computed of each group: the first video of each content."""
    seen: set[str] = set()
    missing: list[list[VideoFile]] = []
    for group in pending:
        new = []
        for video in group:
            if video.sha256 and video.sha256 not in seen and not scratch.has_videos([video]):
                seen.add(video.sha256)
                new.append(video)
        if new:
            missing.append(new)
    return missing


def _require_space(folder: Path, extractor: AnyExtractor, num_videos: int) -> None:
    values = int(extractor.recipe["num_segments"]) * math.prod(extractor.feature_shape)
    require_space(
        folder,
        num_videos * values * extractor.storage.itemsize,
        task=f"extract {extractor.modality}",
        subject=f"{extractor.modality} features of {num_videos} videos",
        remedy="make room, or store float16; what is finished is kept",
    )


def _computed(
    build: BuildExtractor,
    extractor: AnyExtractor,
    devices: Sequence[torch.device],
    missing: Groups,
    raw: Path,
    parts: Path,
    params: ExtractParams,
) -> Generator[Finished, None, None]:
    """Choose what is left to be chosen, print it, and run the engine."""
    if not missing:
        return
    if params.engine == "ray":
        yield from _ray_engine()(build, missing, raw, parts, params)
        return
    is_here = len(devices) == 1 and extractor.device == devices[0]
    settings = WorkerSettings(
        raw=raw,
        parts=parts,
        batch_size=params.batch_size,
        num_workers=params.num_workers or default_num_workers(len(devices)),
        timeout_seconds=params.timeout_seconds,
    )
    automatic = " and ".join(str(stream.batch_size) for stream in streams_of(extractor))
    logger.info(
        "extract %s: %s; batches of %s, %d decoding process%s%s",
        extractor.modality,
        ", ".join(describe_device(device) for device in devices),
        params.batch_size or (f"{automatic} (automatic)" if is_here else "automatic size"),
        settings.num_workers,
        "es" * (settings.num_workers > 1) + " each" * (len(devices) > 1),
        " (automatic)" * (params.num_workers == 0),
    )
    if is_here:
        yield from compute_here(extractor, missing, settings)
    else:
        yield from compute_in_processes(build, devices, missing, settings)


def _ray_engine() -> Callable[..., Generator[Finished, None, None]]:
    try:
        from pipeline.extraction.ray_engine import compute_on_ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ParamsError(
            explain(
                "extract.engine",
                expected="the extra `ray` for engine ray",
                found="that it is not installed",
                remedy="run `pip install 'avel-pipeline[ray]'`, or write local",
            )
        ) from error
    return compute_on_ray


def _collect(
    scratch: Scratch,
    pending: deque[Sequence[VideoFile]],
    finished: Generator[Finished, None, None],
    modality: str,
    num_missing: int,
) -> None:
    """Assemble shards, beside the computation, as soon as all of their videos are finished."""
    assembling: deque[Future[None]] = deque()

    def assemble_complete() -> None:
        while pending and scratch.has_videos(pending[0]):
            assembling.append(assembler.submit(scratch.assemble, pending.popleft()))
        while assembling and assembling[0].done():
            assembling.popleft().result()

    progress = tqdm(total=num_missing, unit="video", desc=f"extract {modality}", disable=None)
    with progress, ThreadPoolExecutor(1, thread_name_prefix="assemble") as assembler, closing(finished):
        try:
            assemble_complete()
            num_inputs, start = 0, time.monotonic()
            for done in finished:
                assert done.video.sha256 is not None
                scratch.add_part(done.video.sha256)
                assemble_complete()
                num_inputs += done.num_inputs
                progress.update()
                rate = num_inputs / (time.monotonic() - start)
                progress.set_postfix_str(f"{rate:.1f} inputs/s", refresh=False)
        except BaseException:
            assembler.shutdown(cancel_futures=True)  # the next run assembles them
            raise
    for assembled in assembling:
        assembled.result()


def _publish(
    scratch: Scratch,
    videos: Sequence[VideoFile],
    groups: Groups,
    output: Path,
    extractor: AnyExtractor,
    max_failed_fraction: float,
) -> ShardIndex:
    """Link the finished shards into `output` and write ledger and index; refuse if too many videos failed.

    What an earlier run left there is removed first, its index before all else.
    """
    output.mkdir(parents=True, exist_ok=True)
    for name in ("index.json", "import.json", "ledger.csv", "shard-*.h5", ".*.tmp"):
        for left_over in output.glob(name):
            left_over.unlink()
    rows: dict[str, LedgerRow] = {}
    shards: list[ShardFile] = []
    for group in groups:
        path, record = scratch.finished(group)
        rows |= {row["video_id"]: LedgerRow(**row) for row in record["ledger"]}
        if record["num_videos"]:
            name = f"shard-{len(shards):05d}.h5"
            link_or_copy(path, output / name)
            shards.append(ShardFile(name, record["sha256"], record["num_videos"]))
    ledger = [rows[video.video_id] for video in videos]
    save_ledger(output / "ledger.csv", ledger)
    summary = summarise_ledger(ledger, int(extractor.recipe["num_segments"]))
    logger.info("extract %s: %s", extractor.modality, describe(summary))
    _mention_retries(ledger, extractor.modality)
    _refuse_failures(ledger, extractor.modality, max_failed_fraction)
    index = ShardIndex(
        extractor.modality, extractor.recipe, extractor.weights_sha256, sum(s.num_videos for s in shards), tuple(shards)
    )
    index.save(output)
    return index


def _mention_retries(ledger: Sequence[LedgerRow], modality: str) -> None:
    """Say how to try again what may have failed for the machine's sake: DVC runs no stage that has succeeded."""
    num_retried = sum(row.reason in RETRIED_REASONS and row.reason != "missing" for row in ledger)
    if num_retried:
        logger.warning(
            "extract %s: %d videos failed for reasons that may be the machine's; `dvc repro --single-item --force "
            "extract_%s` tries only them again",
            modality,
            num_retried,
            modality,
        )


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

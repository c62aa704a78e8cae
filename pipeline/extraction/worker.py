"""What one device does: decode, compute, write a part for each video. The same code for every engine."""

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pipeline.core.errors import MediaError
from pipeline.extraction.batching import Computed, compute_features
from pipeline.extraction.decode_pool import DecodePool
from pipeline.extraction.scratch import Parts
from pipeline.features.contract import AnyExtractor
from pipeline.media.segments import segment_valid
from pipeline.store.manifest import VideoFile
from pipeline.store.shards import LedgerRow, require_finite

NUM_WRITERS = 4
"""Threads that write parts: a write waits for the disk, the network should not."""


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that the values depend on."""
    return {name: version(name) for name in ("av", "numpy", "opencv-python-headless", "pillow", "soxr", "torch")}


@dataclass(frozen=True)
class WorkerSettings:
    """How a worker uses its machine.

    Parameters
    ----------
    raw : Path
        Folder that the videos' paths are relative to.
    parts : Path
        Folder that gets the parts.
    batch_size : int
        Inputs per network call; 0 is what suits the extractor's device.
    num_workers : int
        Decoding processes.
    timeout_seconds : float
        For one video.
    is_durable : bool
        Flush each part to disk: a run outlives the machine of this worker.
    """

    raw: Path
    parts: Path
    batch_size: int
    num_workers: int
    timeout_seconds: float
    is_durable: bool = False


@dataclass(frozen=True)
class Finished:
    """A video of which the part is written, and how many network inputs it took."""

    video: VideoFile
    num_inputs: int


def compute(
    extractor: AnyExtractor, videos: Iterable[VideoFile], settings: WorkerSettings
) -> Generator[Finished, None, None]:
    """Compute `videos` and yield them, in any order, as their parts are written.

    Raises
    ------
    PipelineError
        If a file changed since its hash was taken, or memory is too small.
    ShardError
        If a feature is not finite.
    """
    pool = DecodePool(
        extractor.decoder,
        settings.raw,
        num_workers=settings.num_workers,
        timeout_seconds=settings.timeout_seconds,
    )
    parts = Parts(settings.parts, is_durable=settings.is_durable)
    writing: deque[Future[Finished]] = deque()
    with pool, ThreadPoolExecutor(NUM_WRITERS, thread_name_prefix="write") as writers:
        for computed in compute_features(extractor, pool.decode(videos), settings.batch_size):
            writing.append(writers.submit(_write, parts, computed))
            while writing and (writing[0].done() or len(writing) > 2 * NUM_WRITERS):
                yield writing.popleft().result()
        while writing:
            yield writing.popleft().result()


def _write(parts: Parts, computed: Computed) -> Finished:
    row, content_hash = ledger_row(computed), computed.video.sha256
    assert content_hash is not None
    num_inputs = 0
    if computed.features is None or isinstance(computed.prepared, MediaError):
        parts.save(content_hash, row, None, None)
    else:
        require_finite(computed.video.video_id, computed.features)
        num_inputs = len(computed.prepared.inputs)
        parts.save(content_hash, row, computed.features, segment_valid(computed.prepared.rows))
    return Finished(computed.video, num_inputs)


def ledger_row(computed: Computed) -> LedgerRow:
    """Return what the ledger says of a video."""
    video, prepared = computed.video, computed.prepared
    if isinstance(prepared, MediaError):
        # Without the file's name: the row also stands for other files of the same content.
        detail = str(prepared).removeprefix(f"{Path(video.path).name}: ")
        return LedgerRow(
            video_id=video.video_id, status="failed", reason=prepared.reason, valid="", seconds="", detail=detail
        )
    valid = segment_valid(prepared.rows)
    mask = "".join("01"[int(flag)] for flag in valid)
    status = "ok" if valid.all() else "partial" if valid.any() else "failed"
    offset = prepared.sampling_offset_seconds
    return LedgerRow(
        video_id=video.video_id,
        status=status,
        reason=prepared.reason,
        valid=mask,
        seconds=f"{prepared.seconds:.2f}",
        detail=prepared.detail,
        sampling_offset="" if offset is None else f"{offset:.3f}",
    )

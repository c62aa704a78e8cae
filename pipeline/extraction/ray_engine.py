"""Extraction on a Ray cluster: a task for each shard's videos, which Ray schedules, retries and moves.

Paths go in and what comes out is files: a task decodes, computes and writes a part for each video into a folder that
all nodes share; over the network go the videos' names and which parts are written::

    driver                               worker process, on whichever node Ray chooses
    task([video 7, video 8])  ────────>  decode, compute, write parts/<sha256>.safetensors
    <──────────  Finished, Finished

A task whose process or node dies is started again by Ray, elsewhere if need be, and leaves out the videos of which the
part is written. A node that joins is used at once.
"""

import functools
import logging
import os
import pickle
import socket
import sys
import uuid
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ray
import torch
from ray.exceptions import RayError, RayTaskError

from pipeline.core.errors import ParamsError, PipelineError, explain, one_line
from pipeline.core.files import repository_root
from pipeline.extraction.decode_pool import MAX_WORKERS
from pipeline.extraction.scratch import RETRIED_REASONS, Parts
from pipeline.extraction.worker import Finished, WorkerSettings, compute, library_versions
from pipeline.features.contract import AnyExtractor, BuildExtractor
from pipeline.params.schema import ExtractParams
from pipeline.store.manifest import VideoFile

logger = logging.getLogger(__name__)

MAX_RETRIES = 3
"""How often Ray starts a task again whose process or node died; one that raises an exception has ended."""

TASKS_PER_GPU = 2
"""One computes while the other starts, or decodes its last videos: a GPU that had one task would wait in between."""

MAX_IN_FLIGHT = 256
"""Tasks that Ray is given at a time: more than a cluster runs at once, so that nodes find work as soon as they join."""

SILENT_SECONDS = 180.0
"""After so long without a result it is asked whether any node is left."""


def compute_on_ray(
    build: BuildExtractor, groups: Sequence[Sequence[VideoFile]], raw: Path, parts: Path, params: ExtractParams
) -> Generator[Finished, None, None]:
    """Compute the videos of all `groups` on a Ray cluster and yield them as their parts are written.

    The cluster is the one that this process has joined, else that of ``RAY_ADDRESS``, else one that runs on this
    machine, else this machine alone.

    Parameters
    ----------
    build : callable
        Makes the extractor for a device; every node must be able to import it.
    groups : sequence of sequences of VideoFile
        The videos of each task.
    raw, parts : Path
        Folders of the videos and of the parts, on a file system that all nodes share.
    params : ExtractParams

    Raises
    ------
    PipelineError
        As :func:`pipeline.extraction.worker.compute`; or if there is no such cluster, it has nothing to compute with,
        or a task cannot be computed on it.
    """
    if params.device not in ("auto", "cpu", "cuda"):
        expected, remedy = "auto, cpu or cuda (every GPU of the cluster) for engine ray", "write one, or engine local"
        raise ParamsError(explain("extract.device", expected=expected, found=params.device, remedy=remedy))
    raw, parts = raw.resolve(), parts.resolve()
    token = parts / f".ray-{uuid.uuid4().hex}.tmp"  # so named, a killed run's is deleted by the next
    with _connected():
        share = choose_share(ray.nodes(), params.device)
        num_workers = params.num_workers or max(1, min(MAX_WORKERS, share.num_cpus - 1))
        chosen = (share.num_tasks(ray.nodes()), share.num_gpus, share.num_cpus, num_workers)
        logger.info("extract: Ray, %d tasks at once, each with %g GPUs, %d cores, %d decoding processes", *chosen)
        settings = WorkerSettings(raw, parts, params.batch_size, num_workers, params.timeout_seconds, is_durable=True)
        order = _Order(build, Path.cwd(), token, settings, max(1, share.num_cpus), library_versions())
        token.touch()
        try:
            yield from _run(order, share, groups)
        finally:
            token.unlink(missing_ok=True)


@dataclass(frozen=True)
class Share:
    """What each task reserves, on every node the same: on CPUs the bytes depend on the number of threads."""

    num_gpus: float
    num_cpus: int

    def num_tasks(self, nodes: Iterable[Mapping[str, Any]]) -> int:
        """Return how many tasks the living ones of `nodes`, as ``ray.nodes()`` returns them, can run at once."""
        wanted = {"GPU": self.num_gpus, "CPU": self.num_cpus}
        return sum(
            min(int(node["Resources"].get(name, 0) / number) for name, number in wanted.items() if number)
            for node in nodes
            if node["Alive"]
        )


def choose_share(nodes: Iterable[Mapping[str, Any]], device: str) -> Share:
    """Return what a task gets: half a GPU with its share of the cores, or all cores of the smallest node.

    Raises
    ------
    PipelineError
        If no node has what `device` (``auto``, ``cpu`` or ``cuda``) asks for.
    """
    offers = [node["Resources"] for node in nodes if node["Alive"]]
    with_gpu = [offer for offer in offers if offer.get("GPU", 0) >= 1]
    if with_gpu and device != "cpu":
        cores = min(int(offer.get("CPU", 0) / (TASKS_PER_GPU * int(offer["GPU"]))) for offer in with_gpu)
        return Share(1 / TASKS_PER_GPU, cores)
    with_cores = [offer for offer in offers if offer.get("CPU", 0) >= 1]
    if device == "cuda" or not with_cores:
        raise _nothing_to_compute_with("GPU" if device == "cuda" else "core", len(offers))
    return Share(0, min(int(offer["CPU"]) for offer in with_cores))


def _nothing_to_compute_with(resource: str, num_nodes: int) -> PipelineError:
    expected = f"a node with a {resource} for the extraction"
    remedy = "see `ray status`, add one and run the same command; what is finished is kept"
    return PipelineError(explain("Ray cluster", expected=expected, found=f"{num_nodes} without", remedy=remedy))


@contextmanager
def _connected() -> Iterator[None]:
    """Join a cluster, and leave it in the end unless this process had joined it before."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_task_oom_retries", str(MAX_RETRIES))  # else one that is too large is tried for ever
    address = _find_address()
    try:
        host, _, port = address.rpartition("//")[2].rpartition(":")
        if port.isdecimal():  # knock at its door: where nobody answers, Ray itself would try for many minutes
            socket.create_connection((host.strip("[]"), int(port)), timeout=10.0).close()
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (RayError, OSError, RuntimeError, ValueError) as error:
        subject, expected = f"Ray cluster {address or 'of this machine'}", "one that can be joined"
        remedy = "correct RAY_ADDRESS or RAY_AUTH_MODE, or run `ray stop` here if that cluster is gone"
        raise PipelineError(explain(subject, expected=expected, found=one_line(error), remedy=remedy)) from error
    try:
        yield
    finally:
        ray.shutdown()


def _find_address() -> str:
    """Return the address of the cluster that Ray is about to join; empty where it starts one."""
    address = os.environ.get("RAY_ADDRESS", "auto")
    if address != "auto":
        return "" if address == "local" else address
    temporary = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    place = Path(temporary) / "ray" / "ray_current_cluster"  # by `ray start`; `ray stop` deletes it
    return place.read_text(encoding="utf-8").strip() if place.is_file() else ""


@dataclass(frozen=True)
class _Order:
    """What every task is told; `token` is a file of the driver's among the parts."""

    build: BuildExtractor
    folder: Path
    token: Path
    settings: WorkerSettings
    num_threads: int
    versions: dict[str, str]


def _run(order: _Order, share: Share, groups: Sequence[Sequence[VideoFile]]) -> Generator[Finished, None, None]:
    """Give Ray a task for each group, and end those that the run leaves unfinished."""
    environment = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(order.folder), os.environ.get("PYTHONPATH")])),
        "DVC_ROOT": str(repository_root()),
        # A process that keeps its network cannot be shown another GPU as its only one: it chooses among all.
        "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1",
    }
    task = ray.remote(
        num_cpus=share.num_cpus,
        num_gpus=share.num_gpus,
        num_returns="streaming",
        max_calls=0,  # else Ray ends a process after each task on a GPU, and every shard would load the network
        max_retries=MAX_RETRIES,
        scheduling_strategy="SPREAD",
        runtime_env={"env_vars": environment},
    )(_compute_group)
    waiting, pickled = deque(groups), pickle.dumps(order)
    running: dict[Any, dict[str | None, VideoFile]] = {}  # a task's stream of results → its videos without one
    try:
        while waiting or running:
            while waiting and len(running) < MAX_IN_FLIGHT:
                videos = waiting.popleft()
                running[task.remote(pickled, videos)] = {video.sha256: video for video in videos}
            ready, _ = ray.wait(list(running), timeout=SILENT_SECONDS)
            if not ready and not share.num_tasks(nodes := ray.nodes()):
                raise _nothing_to_compute_with("GPU" if share.num_gpus else "core", sum(n["Alive"] for n in nodes))
            for stream in ready:
                yield from _receive(stream, running[stream])
                if not running[stream]:
                    del running[stream]
    finally:
        for stream in running:
            ray.cancel(stream, force=True)


def _receive(stream: Any, unfinished: dict[str | None, VideoFile]) -> Generator[Finished, None, None]:
    """Take the next result of a task and yield it; at the end all that was not yielded.

    A task that was started again counts from the first video, in another order: Ray drops as many results as came
    before, whichever they are.
    """
    try:
        if (reference := next(stream, None)) is not None:
            finished = ray.get(reference)
            if unfinished.pop(finished.video.sha256, None):
                yield finished
            return
    except RayTaskError as error:
        raise _original(error) from None
    except RayError as error:
        names = [video.video_id for video in unfinished.values()]
        subject = f"shard task with {len(names)} videos left, {names[0]} to {names[-1]}"
        expected = f"a process that survives it, in {MAX_RETRIES + 1} tries"
        remedy = "free memory if they were killed for that, or see Ray's logs; run it again: what is finished is kept"
        raise PipelineError(explain(subject, expected=expected, found=one_line(error), remedy=remedy)) from error
    while unfinished:
        yield Finished(unfinished.popitem()[1], 0)


def _original(error: RayTaskError) -> Exception:
    """Return what a task raised: a fault of the user's as it is, one of the program's with its traceback."""
    cause: Exception = error.cause
    if "failed to import on the worker" in str(cause):
        expected, found = "the project and its environment at the same place as here", one_line(cause)
        return PipelineError(explain("Ray node", expected=expected, found=found, remedy="mount them there"))
    if not isinstance(cause, PipelineError):
        cause.add_note(f"in a Ray task:\n{error}")
    return cause


def _compute_group(pickled: bytes, videos: Sequence[VideoFile]) -> Iterator[Finished]:
    """Compute the videos without a part; runs in a worker process of Ray."""
    order, extractor = _prepared(pickled, _device())
    parts, missing = Parts(order.settings.parts), []
    for video in videos:
        # Looked up here and not by the driver: file systems remember for a while that a file was not there.
        part = parts.load(str(video.sha256))
        if part is None or part[0].reason in RETRIED_REASONS:
            missing.append(video)
        else:
            yield Finished(video, 0)
    yield from compute(extractor, missing, order.settings)


def _device() -> torch.device:
    """Return the GPU that Ray gave this task, counted as torch counts, or else the CPU."""
    if not (given := ray.get_gpu_ids()):
        return torch.device("cpu")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return torch.device("cuda", visible.split(",").index(str(given[0])) if visible else int(given[0]))


@functools.lru_cache(maxsize=1)
def _prepared(pickled: bytes, device: torch.device) -> tuple[_Order, AnyExtractor]:
    """Build the network, once in a process, or refuse where it would not compute what the driver would."""
    order, node = pickle.loads(pickled), os.uname().nodename
    for path in (order.folder, order.settings.raw, order.token):
        if not path.exists():
            expected, found = "a folder that all nodes of the cluster share", f"that {node} has another or none"
            subject, remedy = path.parent if path is order.token else path, "mount it there at the same place"
            raise PipelineError(explain(subject, expected=expected, found=found, remedy=remedy))
    if differing := sorted(order.versions.items() - library_versions().items()):
        expected = " and ".join(f"{name} {number}" for name, number in differing)
        found = " and ".join(f"{name} {version(name)}" for name, _ in differing)
        remedy = "use the same environment on all nodes: the bytes depend on it"
        raise PipelineError(explain(f"Ray node {node}", expected=expected, found=found, remedy=remedy))
    os.chdir(order.folder)  # paths in params.yaml are relative to it
    # Decoding processes would run the main module, which is Ray's: a second and 60 MB for each of them.
    vars(sys.modules["__main__"]).pop("__file__", None)
    torch.set_num_threads(order.num_threads)
    return order, order.build(device)

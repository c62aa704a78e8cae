"""Extraction on a Ray cluster: an actor for each GPU, or for each node of a cluster without GPUs.

A task is a shard's videos. Paths go in and what comes out is files: an actor decodes, computes and writes a part for
each video into a folder that all nodes share; over the network go the videos' names and which parts are written. An
actor asks for its next task when it begins to decode the last video of the one before, so that no network waits
between tasks::

    driver                                 actor
    exchange([task 7])        ──────────>  decode, compute, write parts/<sha256>.safetensors
    <──────────  [Finished, Finished, Question]
    exchange([task 9])        ──────────>
    <──────────  [Finished, Finished]

An actor that dies, alone or with its node, loses what it was computing: what is left of its tasks goes to others, and
a node that joins gets actors of its own. A task that dies again and again without finishing a video stops the run.
"""

import logging
import os
import re
import socket
import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import ray
import torch
from ray.exceptions import ActorUnavailableError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.core.errors import ParamsError, PipelineError, explain
from pipeline.core.files import repository_root
from pipeline.extraction.decode_pool import MAX_WORKERS
from pipeline.extraction.scratch import RETRIED_REASONS, Parts
from pipeline.extraction.worker import Finished, WorkerSettings, compute, library_versions
from pipeline.features.contract import BuildExtractor
from pipeline.params.schema import ExtractParams
from pipeline.store.manifest import VideoFile

logger = logging.getLogger(__name__)

MAX_RETRIES = 3
"""How often a task that finishes no video is tried again, and an actor that does not start is started again."""

NODE_SECONDS = 180.0
"""How long the run goes on without any node that works."""

CONNECT_SECONDS = 10.0
"""How long the cluster may take to answer at all."""

LOOK_SECONDS = 2.0
"""How often the cluster is asked for new nodes."""

BEAT_SECONDS = 10.0
"""How long an actor at work is silent at the most."""


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
        raise ParamsError(
            explain(
                "extract.device",
                expected="auto, cpu or cuda (every GPU of the cluster) for engine ray",
                found=params.device,
                remedy="write one of these, or engine local",
            )
        )
    order = _Order(build, Path.cwd(), raw.resolve(), parts.resolve(), params, library_versions())
    with _connected():
        fleet = _Fleet(order, groups)
        try:
            yield from fleet.run()
        except RayError as error:
            raise PipelineError(
                explain(
                    "Ray cluster",
                    expected="one that stays",
                    found=describe_loss(error),
                    remedy="start it and run the same command again; what is finished is kept",
                )
            ) from error
        finally:
            fleet.dismiss()


@contextmanager
def _connected() -> Iterator[None]:
    """Join a cluster, and leave it in the end unless this process had joined it before."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = _find_address()
    try:
        if address:
            _require_answer(address)
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (RayError, OSError, RuntimeError, ValueError) as error:
        raise PipelineError(
            explain(
                f"Ray cluster {address or 'of this machine'}",
                expected="one that can be joined",
                found=describe_loss(error),
                remedy="correct RAY_ADDRESS or RAY_AUTH_MODE, or run `ray stop` here if that cluster is gone",
            )
        ) from error
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


def _require_answer(address: str) -> None:
    """Knock at the cluster's door: where nobody answers, Ray itself would try for many minutes."""
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()


@dataclass(frozen=True)
class Slot:
    """A place for one actor: a GPU of a node with its share of the cores, or a whole node.

    Parameters
    ----------
    node_id : str
    host : str
        The node's name for people.
    number : int
        Which of the node's GPUs; 0 for a whole node.
    has_gpu : bool
    num_cpus : int
        Cores that are reserved; 0 where there are fewer than GPUs.
    """

    node_id: str
    host: str
    number: int
    has_gpu: bool
    num_cpus: int


def computes_on_gpus(nodes: Iterable[Mapping[str, Any]], device: str) -> bool:
    """Return whether actors get GPUs: for ``auto`` if any living node has one."""
    return device == "cuda" or (device == "auto" and any(n["Alive"] and n["Resources"].get("GPU") for n in nodes))


def find_slots(nodes: Iterable[Mapping[str, Any]], on_gpus: bool) -> list[Slot]:
    """Return the slots of all living nodes, the first of every node before the second of any.

    Parameters
    ----------
    nodes : iterable of mappings
        As ``ray.nodes()`` returns them.
    on_gpus : bool
        A slot is a GPU; nodes without one have none. Else it is a node.
    """
    slots: list[Slot] = []
    for node in nodes:
        if not node["Alive"]:
            continue
        node_id, host = node["NodeID"], node["NodeManagerHostname"]
        num_cpus, num_gpus = (int(node["Resources"].get(resource, 0)) for resource in ("CPU", "GPU"))
        if on_gpus:
            slots += [Slot(node_id, host, number, True, num_cpus // num_gpus) for number in range(num_gpus)]
        elif num_cpus:
            slots.append(Slot(node_id, host, 0, False, num_cpus))
    return sorted(slots, key=lambda slot: slot.number)


def describe_loss(error: BaseException) -> str:
    """Return the one line of Ray's errors that says what happened: without ids, traceback and advice."""
    if isinstance(error, ActorUnavailableError):
        return "it does not answer"
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(("\t", "The actor never ran"))]
    line = lines[-1] if lines else type(error).__name__
    return line.partition("Worker exit detail: ")[2].partition(" Some common causes")[0] or line.strip()[:500]


@dataclass(frozen=True)
class _Order:
    """What every actor is told: what to compute, from where to where, and how."""

    build: BuildExtractor
    folder: Path
    raw: Path
    parts: Path
    params: ExtractParams
    versions: dict[str, str]


@dataclass(frozen=True)
class _Ready:
    """An actor's first word, when its network is built."""

    modality: str
    settings: WorkerSettings


@dataclass
class _Task:
    """What is left of a group of videos, by content hash, and how often it was lost since it last made progress."""

    videos: dict[str, VideoFile]
    num_losses: int = 0

    def __str__(self) -> str:
        names = [video.video_id for video in self.videos.values()]
        return f"video {names[0]}" if len(names) == 1 else f"{len(names)} videos from {names[0]} to {names[-1]}"


@dataclass(frozen=True)
class _Question:
    """An actor asks for a task: for more beside what it has, or, idle, for anything."""

    is_idle: bool


_Work = tuple[list[VideoFile], bool]
"""A task on its way to an actor: its videos, and whether it was lost before."""

_Message = Finished | _Ready | _Question | Exception


class _Worker:
    """The actor: computes in a thread of its own, which the driver talks to with :meth:`exchange`."""

    def __init__(self, order: _Order, has_gpu: bool, num_cpus: int) -> None:
        self._answers: SimpleQueue[_Work | None] = SimpleQueue()
        self._messages: SimpleQueue[_Message] = SimpleQueue()
        device = torch.device("cuda", 0) if has_gpu else torch.device("cpu")
        Thread(target=self._serve, args=[order, device, max(1, num_cpus)], daemon=True).start()

    def exchange(self, answers: Sequence[_Work | None]) -> list[_Message]:
        """Take answers to questions; return what there is to say, at the latest after some seconds.

        The answer None stands for "nothing now, finish what you have".
        """
        for answer in answers:
            self._answers.put(answer)
        messages = []
        with suppress(Empty):
            messages.append(self._messages.get(timeout=BEAT_SECONDS))
            while True:
                messages.append(self._messages.get_nowait())
        return messages

    def _serve(self, order: _Order, device: torch.device, num_cpus: int) -> None:
        try:
            self._compute(order, device, num_cpus)
        except PipelineError as error:
            self._messages.put(error)
        except Exception:
            self._messages.put(RuntimeError(f"in a Ray actor:\n{traceback.format_exc()}"))

    def _compute(self, order: _Order, device: torch.device, num_cpus: int) -> None:
        params = order.params
        for folder in (order.folder, order.raw, order.parts):
            if not folder.is_dir():
                raise PipelineError(
                    explain(
                        folder,
                        expected="a folder that all nodes of the cluster share",
                        found=f"that {os.uname().nodename} does not have it",
                        remedy="mount it there at the same place",
                    )
                )
        if differing := order.versions.items() - library_versions().items():
            raise PipelineError(
                explain(
                    f"Ray node {os.uname().nodename}",
                    expected=" and ".join(f"{name} {number}" for name, number in sorted(differing)),
                    found=" and ".join(f"{name} {version(name)}" for name, _ in sorted(differing)),
                    remedy="use the same environment on all nodes: the bytes depend on it",
                )
            )
        os.chdir(order.folder)  # paths in params.yaml are relative to it
        # Decoding processes would run the main module, which is Ray's: a second and 60 MB for each of them.
        vars(sys.modules["__main__"]).pop("__file__", None)
        torch.set_num_threads(num_cpus)
        extractor = order.build(device)
        settings = WorkerSettings(
            raw=order.raw,
            parts=order.parts,
            batch_size=params.batch_size or extractor.batch_size,
            num_workers=params.num_workers or max(1, min(MAX_WORKERS, num_cpus - 1)),
            timeout_seconds=params.timeout_seconds,
            is_durable=True,
        )
        parts = Parts(order.parts)
        self._messages.put(_Ready(extractor.modality, settings))
        while True:
            work = self._ask(is_idle=True)
            for finished in compute(extractor, self._videos(work, parts), settings):
                self._messages.put(finished)

    def _ask(self, is_idle: bool) -> _Work | None:
        self._messages.put(_Question(is_idle))
        return self._answers.get()

    def _videos(self, work: _Work | None, parts: Parts) -> Iterator[VideoFile]:
        """Yield the videos of `work` and of what comes after it, until there is nothing."""
        while work is not None:
            videos, was_lost = work
            for video in videos:
                # Looked up here and not by the driver: file systems remember for a while that a file was not there.
                if was_lost and _is_written(parts, video):
                    self._messages.put(Finished(video, 0))
                else:
                    yield video
            work = self._ask(is_idle=False)


def _is_written(parts: Parts, video: VideoFile) -> bool:
    assert video.sha256 is not None
    part = parts.load(video.sha256)
    return part is not None and part[0].reason not in RETRIED_REASONS


@dataclass(eq=False)
class _Actor:
    """The driver's view of an actor: what it holds, and the call that it will answer.

    `call` is None while the actor is idle and there is no work.
    """

    slot: Slot
    handle: Any
    call: Any
    tasks: list[_Task] = field(default_factory=list)
    is_alive: bool = False
    is_ready: bool = False

    def note_finished(self, content_hash: str) -> None:
        """Take a video off the list."""
        for task in self.tasks:
            if task.videos.pop(content_hash, None):
                task.num_losses = 0
        self.tasks = [task for task in self.tasks if task.videos]


class _Fleet:
    """The driver's side: hands out tasks to actors, and replaces what is lost."""

    def __init__(self, order: _Order, groups: Sequence[Sequence[VideoFile]]) -> None:
        self._order = order
        self._waiting = deque(_Task({str(video.sha256): video for video in group}) for group in groups)
        self._actors: list[_Actor] = []
        self._num_failed_starts: Counter[Slot] = Counter()
        self._failed_start: Exception | None = None
        self._on_gpus = computes_on_gpus(ray.nodes(), order.params.device)
        self._next_look = self._last_sign = time.monotonic()
        self._is_announced = False
        environment = {
            "PYTHONPATH": os.pathsep.join(filter(None, [str(order.folder), os.environ.get("PYTHONPATH")])),
            "DVC_ROOT": str(repository_root()),
        }
        self._worker = ray.remote(max_restarts=0, runtime_env={"env_vars": environment})(_Worker)

    def run(self) -> Generator[Finished, None, None]:
        """Compute all tasks."""
        while self._waiting or any(actor.tasks for actor in self._actors):
            self._recruit()
            for actor in self._actors:
                if self._waiting and actor.call is None:
                    self._answer(actor, _Question(is_idle=True))
            calls = {actor.call: actor for actor in self._actors if actor.call is not None}
            if not calls:
                time.sleep(LOOK_SECONDS)
                continue
            for call in ray.wait(list(calls), timeout=LOOK_SECONDS)[0]:
                yield from self._receive(calls[call])

    def dismiss(self) -> None:
        """End all actors."""
        for actor in self._actors:
            _kill(actor)
        self._actors = []

    def _slots(self) -> list[Slot]:
        return find_slots(ray.nodes(), self._on_gpus)

    def _recruit(self) -> None:
        """Start an actor in every free slot; refuse when there has been none that works for too long."""
        now = time.monotonic()
        if any(actor.is_alive for actor in self._actors):
            self._last_sign = now
        if now < self._next_look or not self._waiting:
            return
        self._next_look = now + LOOK_SECONDS
        taken = {actor.slot for actor in self._actors}
        slots = self._slots()
        for slot in slots:
            if slot not in taken and self._num_failed_starts[slot] <= MAX_RETRIES:
                self._start(slot)
        if slots and not self._actors and self._failed_start is not None:
            raise self._failed_start
        if now - self._last_sign > NODE_SECONDS:
            raise PipelineError(
                explain(
                    "Ray cluster",
                    expected=f"a node with {'a GPU' if self._on_gpus else 'cores'} for the extraction",
                    found=f"{len(slots)} of them, and none that began to work in {NODE_SECONDS:g} s",
                    remedy="see `ray status`; add a node or end what else it computes; what is finished is kept",
                )
            )

    def _start(self, slot: Slot) -> None:
        handle = self._worker.options(
            num_cpus=slot.num_cpus,
            num_gpus=int(slot.has_gpu),
            scheduling_strategy=NodeAffinitySchedulingStrategy(slot.node_id, soft=False),
        ).remote(self._order, slot.has_gpu, slot.num_cpus)
        self._actors.append(_Actor(slot, handle, handle.exchange.remote([])))
        if self._is_announced:
            logger.info("extract: starting an actor on %s", slot.host)

    def _receive(self, actor: _Actor) -> Generator[Finished, None, None]:
        """Take in what an actor says, answer it, and yield the videos that it has finished."""
        try:
            messages = ray.get(actor.call)
        except RayError as error:
            self._lose(actor, error)
            return
        actor.is_alive = True
        finished: list[Finished] = []
        question = None
        for message in messages:
            if isinstance(message, Finished):
                actor.note_finished(str(message.video.sha256))
                finished.append(message)
            elif isinstance(message, _Ready):
                actor.is_ready = True
                self._announce(message)
            elif isinstance(message, _Question):
                question = message
            elif actor.is_ready:
                raise message
            else:
                self._give_up(actor, message)
                return
        if question:
            self._answer(actor, question)
        else:
            actor.call = actor.handle.exchange.remote([])
        yield from finished

    def _answer(self, actor: _Actor, question: _Question) -> None:
        """Give an actor that asks for work some; else let it finish what it has, or wait if it is idle.

        A task that was lost is computed alone: if its actor dies too, it is clear which task it was.
        """
        actor.call = None
        suspects = [task for task in [*actor.tasks, *list(self._waiting)[:1]] if task.num_losses]
        if self._waiting and not (actor.tasks and suspects):
            task = self._waiting.popleft()
            actor.tasks.append(task)
            actor.call = actor.handle.exchange.remote([(list(task.videos.values()), task.num_losses > 0)])
        elif not question.is_idle:
            actor.call = actor.handle.exchange.remote([None])

    def _lose(self, actor: _Actor, error: RayError) -> None:
        """Put the tasks of a lost actor back; refuse if one of them has been lost too often."""
        reason = describe_loss(error)
        self._actors.remove(actor)
        _kill(actor)
        if not actor.is_ready and not any(slot.node_id == actor.slot.node_id for slot in self._slots()):
            logger.info("extract: %s is gone", actor.slot.host)
            return
        if not actor.is_ready:
            self._note_failed_start(
                actor.slot,
                PipelineError(
                    explain(
                        f"Ray node {actor.slot.host}",
                        expected="an actor that starts, with the project and its environment at the same place",
                        found=reason,
                        remedy="see docs/extraction.md and the logs of Ray there",
                    )
                ),
            )
            return
        logger.warning(
            "extract: lost an actor on %s (%s)%s",
            actor.slot.host,
            reason,
            "".join(f"; {task} computed again" for task in actor.tasks),
        )
        for task in reversed(actor.tasks):
            task.num_losses += 1
            if task.num_losses > MAX_RETRIES:
                raise PipelineError(
                    explain(
                        f"shard task of {task}",
                        expected="an actor that survives it",
                        found=f"that {task.num_losses} died, the last one on {actor.slot.host}: {reason}",
                        remedy="free memory or lower extract.num_workers if they were killed for that, see the logs "
                        "of Ray, and run the same command; what is finished is kept",
                    )
                ) from error
            self._waiting.appendleft(task)

    def _give_up(self, actor: _Actor, error: Exception) -> None:
        """Do without a slot whose actor says why it cannot start."""
        self._actors.remove(actor)
        _kill(actor)
        self._num_failed_starts[actor.slot] += MAX_RETRIES
        self._note_failed_start(actor.slot, error)

    def _note_failed_start(self, slot: Slot, error: Exception) -> None:
        self._num_failed_starts[slot] += 1
        self._failed_start = error
        logger.warning("extract: an actor on %s did not start: %s", slot.host, describe_loss(error))

    def _announce(self, ready: _Ready) -> None:
        """Print once what the cluster is and what was chosen."""
        if self._is_announced:
            return
        self._is_announced = True
        params, settings = self._order.params, ready.settings
        num_nodes = len({actor.slot.node_id for actor in self._actors})
        logger.info(
            "extract %s: Ray, %d actor%s on %d node%s, %d GPUs; batches of %d%s, %d decoding process%s each%s",
            ready.modality,
            len(self._actors),
            "s" * (len(self._actors) > 1),
            num_nodes,
            "s" * (num_nodes > 1),
            sum(actor.slot.has_gpu for actor in self._actors),
            settings.batch_size,
            " (automatic)" * (params.batch_size == 0),
            settings.num_workers,
            "es" * (settings.num_workers > 1),
            " (automatic)" * (params.num_workers == 0),
        )


def _kill(actor: _Actor) -> None:
    with suppress(RayError, ValueError):
        ray.kill(actor.handle)

"""Extraction on one machine: in this process, or in one process for each of several GPUs."""

import multiprocessing
import signal
import sys
import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import torch

from pipeline.core.errors import PipelineError, explain
from pipeline.core.processes import describe_ending, end_with_parent
from pipeline.extraction.worker import Finished, WorkerSettings, compute
from pipeline.features.contract import AnyExtractor, BuildExtractor
from pipeline.store.manifest import VideoFile

STOP_SECONDS = 10.0
"""How long a process that is about to end is waited for."""


def compute_here(
    extractor: AnyExtractor, groups: Sequence[Sequence[VideoFile]], settings: WorkerSettings
) -> Generator[Finished, None, None]:
    """Compute the videos of all `groups` in this process, see :func:`pipeline.extraction.worker.compute`."""
    return compute(extractor, chain.from_iterable(groups), settings)


def compute_in_processes(
    build: BuildExtractor,
    devices: Sequence[torch.device],
    groups: Sequence[Sequence[VideoFile]],
    settings: WorkerSettings,
) -> Generator[Finished, None, None]:
    """Compute the videos of all `groups` with a process for each device; a group goes to whoever is free.

    Raises
    ------
    PipelineError
        As :func:`pipeline.extraction.worker.compute`, or if a process dies.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(groups))
    processes: dict[Connection, SpawnProcess] = {}
    try:
        for device in devices[: len(groups)]:
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs, build, device, settings, torch.get_num_threads()), name=f"extract {device}"
            )
            process.start()
            theirs.close()
            processes[ours] = process
        while processes:
            for ready in wait(list(processes)):
                assert isinstance(ready, Connection)
                try:
                    message = ready.recv()
                    if message is None:  # it asks for work
                        ready.send(waiting.pop() if waiting else None)
                except (EOFError, OSError):
                    _join(processes.pop(ready))
                    continue
                if isinstance(message, BaseException):
                    raise message
                if message is not None:
                    yield message
        if waiting:
            raise AssertionError("processes that ended without an error left work undone")
    finally:
        for connection, process in processes.items():
            process.terminate()
            process.join(STOP_SECONDS)
            process.kill()
            connection.close()


def _join(process: SpawnProcess) -> None:
    """Wait for a process that closed its connection; refuse if it died instead of finishing."""
    process.join(STOP_SECONDS)
    if process.exitcode:
        raise PipelineError(
            explain(
                process.name,
                expected="a process that ends when the work is done",
                found=f"one {describe_ending(process.exitcode)}",
                remedy="free memory if it was killed for that, and run the same command; what is finished is kept",
            )
        )


def _serve(
    connection: Connection, build: BuildExtractor, device: torch.device, settings: WorkerSettings, num_threads: int
) -> None:
    """Ask for groups of videos and compute them, until there are none."""
    if not end_with_parent():
        sys.exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends this process
    torch.set_num_threads(num_threads)
    with suppress(BrokenPipeError):  # the parent has given up and is about to end this process
        try:
            _work(connection, build(device), settings)
        except PipelineError as error:
            connection.send(error)
        except Exception as error:
            error.add_note(f"in the process of {device}:\n{traceback.format_exc()}")
            connection.send(error)


def _work(connection: Connection, extractor: AnyExtractor, settings: WorkerSettings) -> None:
    def asked_for() -> Iterator[VideoFile]:
        connection.send(None)
        while (group := connection.recv()) is not None:
            yield from group
            connection.send(None)

    for finished in compute(extractor, asked_for(), settings):
        connection.send(finished)

"""Reading of features from shards by place, in this process or ahead of time in others; without torch.

A *place* is the number of a video's row, counted through all shards of a folder. Videos that are read together are read
in the order of their places, whatever order they are wanted in, so that a disk moves in one direction::

    wanted                 places  7  2  9  4
    read    process 0              2  4               pieces of a batch, each by one process, each into a slot of
            process 1                    7  9         memory that both sides see
    handed over                    7  2  9  4
"""

import mmap
import multiprocessing
import os
import tempfile
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.core.errors import PipelineError, ShardError, explain, one_line
from pipeline.core.processes import begin_worker, describe_ending

MAX_OPEN_SHARDS = 16
"""Of one modality in one process."""

PIECE = 16
"""Videos that one process reads at a time."""

PIECES_AHEAD = 16
"""What is read ahead by all processes together, so that memory does not grow with their number."""

END_SECONDS = 10.0


@dataclass(frozen=True)
class FeatureFiles:
    """The shards of one modality: all that a process needs to read features by place.

    Parameters
    ----------
    paths : tuple of Path
    starts : tuple of int
        The place of each shard's first row.
    num_videos : int
        N; places are 0 to N - 1.
    shape : tuple of int
        Of one video's features, (T, ...).
    dtype : np.dtype
        As stored.
    """

    paths: tuple[Path, ...]
    starts: tuple[int, ...]
    num_videos: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def num_bytes_per_video(self) -> int:
        """Size of one video's features in memory, bytes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


class FeatureReader:
    """Reads features by place; keeps the shards it used last open. A context manager."""

    def __init__(self, files: FeatureFiles) -> None:
        self.files = files
        self._open: OrderedDict[int, h5py.Dataset] = OrderedDict()

    def __enter__(self) -> "FeatureReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the shards."""
        while self._open:
            self._open.popitem()[1].file.close()

    def read(self, places: Sequence[int], out: np.ndarray) -> None:
        """Read the videos at `places`, in any order, into `out` (B, T, ...) of the stored dtype.

        Raises
        ------
        ShardError
            If a shard cannot be read, or has another layout than when it was indexed.
        """
        for position in np.argsort(places, kind="stable").tolist():
            number = bisect_right(self.files.starts, places[position]) - 1
            row = places[position] - self.files.starts[number]
            try:
                self._features(number).read_direct(out, np.s_[row], np.s_[position])
            except (OSError, LookupError, RuntimeError, TypeError, ValueError) as error:
                raise ShardError(
                    explain(
                        self.files.paths[number],
                        expected=f"the features of its row {row}",
                        found=one_line(error),
                        remedy="let nothing change the shards while they are read; if one is damaged, delete it, with "
                        "its copy in .dvc/cache, and run the extraction again",
                    )
                ) from error

    def _features(self, number: int) -> h5py.Dataset:
        features = self._open.pop(number, None)
        if features is None:
            # Without HDF5's cache of chunks: each is read whole, into its place, and none twice.
            features = h5py.File(self.files.paths[number], "r", rdcc_nbytes=0)["features"]
        self._open[number] = features
        if len(self._open) > MAX_OPEN_SHARDS:
            self._open.popitem(last=False)[1].file.close()
        return features


Request = Sequence[Sequence[int]]
"""The videos of a batch: for each modality the places, as many for one as for the other."""


@dataclass(frozen=True)
class Piece:
    """A part of a batch.

    Parameters
    ----------
    positions : np.ndarray
        Shape (n,): where in the batch its videos belong.
    places : tuple of np.ndarray
        Shape (n,), by modality.
    is_last : bool
        Whether the batch is complete with it.
    """

    positions: np.ndarray
    places: tuple[np.ndarray, ...]
    is_last: bool


class Reader:
    """Reads batches in this process, when they are asked for."""

    def __init__(self, folders: Sequence[FeatureFiles]) -> None:
        self._readers = [FeatureReader(files) for files in folders]
        self._slot = [np.empty((PIECE, *files.shape), files.dtype) for files in folders]

    def close(self) -> None:
        """Close the shards."""
        for reader in self._readers:
            reader.close()

    def read(self, requests: Iterable[Request]) -> Iterator[tuple[Piece, tuple[np.ndarray, ...]]]:
        """Yield batch after batch in pieces, as :meth:`ReaderPool.read` does."""
        for piece in _pieces(requests):
            _read_piece(self._readers, piece.places, self._slot)
            yield piece, tuple(features[: len(piece.positions)] for features in self._slot)


class ReaderPool:
    """Processes that read batches ahead, until :meth:`close` ends them.

    They hold :data:`PIECES_AHEAD` pieces of :data:`PIECE` videos (two per process where there are more processes),
    whatever the number of videos on disk and the size of a batch.

    Parameters
    ----------
    folders : sequence of FeatureFiles
        One per modality.
    num_workers : int
        At least 1.
    """

    def __init__(self, folders: Sequence[FeatureFiles], *, num_workers: int) -> None:
        num_slots = max(2, PIECES_AHEAD // num_workers)
        self._is_iterating = False
        # Not fork: the parent has threads, of torch and of CUDA.
        context = multiprocessing.get_context("forkserver")
        # multiprocessing imports the main module into each process, and that imports torch; so they share one.
        context.set_forkserver_preload([__name__, "torch"])
        self._workers: list[_Worker] = []
        try:
            for _ in range(num_workers):
                self._workers.append(_Worker(context, folders, num_slots))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the processes, whatever they do."""
        for worker in self._workers:
            worker.end()

    @property
    def process_ids(self) -> list[int]:
        """Ids of the processes."""
        return [worker.process.pid or 0 for worker in self._workers]

    def read(self, requests: Iterable[Request]) -> Iterator[tuple[Piece, tuple[np.ndarray, ...]]]:
        """Yield batch after batch in pieces: each with its features by modality, (n, T, ...) of the stored dtype.

        The features are overwritten when the next piece is asked for. Only one iteration at a time.

        Raises
        ------
        ShardError
            If a shard cannot be read.
        PipelineError
            If a process has ended.
        """
        assert not self._is_iterating, "one iteration at a time"
        self._is_iterating = True
        pieces = _pieces(requests)
        running: deque[tuple[_Worker, Piece]] = deque()
        try:
            for worker, piece in zip(self._workers * self._workers[0].num_slots, pieces, strict=False):
                worker.start(piece)
                running.append((worker, piece))
            while running:
                worker, piece = running.popleft()
                yield piece, tuple(features[: len(piece.positions)] for features in worker.finish())
                if (following := next(pieces, None)) is not None:
                    worker.start(following)
                    running.append((worker, following))
        finally:
            self._is_iterating = False
            for worker, _ in running:  # the next iteration must not take these answers for its own
                with suppress(PipelineError):
                    worker.finish()


def _pieces(requests: Iterable[Request]) -> Iterator[Piece]:
    for request in requests:
        places = [np.asarray(modality, np.int64) for modality in request]
        order = np.argsort(places[0], kind="stable")
        for start in range(0, len(order), PIECE):
            positions = order[start : start + PIECE]
            chosen = tuple(modality[positions] for modality in places)
            yield Piece(positions, chosen, start + PIECE >= len(order))


class _Worker:
    """One process; it is asked in turn for pieces and answers in that order, from one slot after the other."""

    def __init__(self, context: Any, folders: Sequence[FeatureFiles], num_slots: int) -> None:
        self.num_slots = num_slots
        self._memory = _SharedMemory(num_slots * PIECE * sum(files.num_bytes_per_video for files in folders))
        self._slots = _slots(self._memory, folders, num_slots)
        self._num_started = self._num_finished = 0
        self._connection: Connection
        self._connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_work, args=(theirs, self._memory, tuple(folders), num_slots), daemon=True
        )
        try:
            self.process.start()
        except (OSError, EOFError) as error:
            self._connection.close()
            raise _has_ended(str(error) or "that the fork server has ended") from error
        finally:
            theirs.close()
            self._memory.close_file()

    def start(self, piece: Piece) -> None:
        """Ask for a piece; there is a free slot for it."""
        slot = self._num_started % self.num_slots
        self._num_started += 1
        try:
            self._connection.send((slot, piece.places))
        except OSError as error:
            raise self._ending() from error

    def finish(self) -> list[np.ndarray]:
        """Wait for the piece asked for longest ago; return the slot it is in."""
        slot = self._num_finished % self.num_slots
        self._num_finished += 1
        try:
            fault = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._ending() from error
        if fault is not None:
            raise fault
        return self._slots[slot]

    def _ending(self) -> PipelineError:
        self.process.join(END_SECONDS)
        return _has_ended(f"it {describe_ending(self.process.exitcode)}")

    def end(self) -> None:
        """End the process now."""
        self.process.kill()
        self.process.join(END_SECONDS)
        self._connection.close()


def _has_ended(found: str) -> PipelineError:
    return PipelineError(
        explain(
            "process that reads features",
            expected="to run until the end",
            found=found,
            remedy="see what it printed, free memory and run the same command again",
        )
    )


def _work(connection: Connection, memory: "_SharedMemory", folders: Sequence[FeatureFiles], num_slots: int) -> None:
    """Read what comes through the pipe into the slot that is named with it; runs in a process of its own."""
    begin_worker()
    slots = _slots(memory, folders, num_slots)
    readers = [FeatureReader(files) for files in folders]
    with suppress(EOFError, ConnectionError):  # the parent has ended, or no longer wants to know
        while True:
            slot, places = connection.recv()
            try:
                _read_piece(readers, places, slots[slot])
                answer = None
            except PipelineError as error:
                answer = error
            except MemoryError:
                answer = _has_ended("too little memory")
            connection.send(answer)


def _read_piece(readers: Sequence[FeatureReader], places: Sequence[np.ndarray], slot: Sequence[np.ndarray]) -> None:
    for reader, chosen, out in zip(readers, places, slot, strict=True):
        reader.read(chosen.tolist(), out)


class _SharedMemory:
    """Memory that a process shares which is started with it; no file of any file system, and not bound to /dev/shm."""

    def __init__(self, num_bytes: int, file: int | None = None) -> None:
        self._file = _anonymous_file() if file is None else file
        if file is None:
            os.ftruncate(self._file, num_bytes)
        self.buffer = mmap.mmap(self._file, num_bytes)

    def close_file(self) -> None:
        """Close the file handle; the memory stays as long as it is used."""
        os.close(self._file)

    def __reduce__(self) -> tuple[Any, ...]:
        return _attach, (DupFd(self._file), len(self.buffer))


def _attach(file: Any, num_bytes: int) -> _SharedMemory:
    return _SharedMemory(num_bytes, file.detach())


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("avel-features")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _slots(memory: _SharedMemory, folders: Sequence[FeatureFiles], num_slots: int) -> list[list[np.ndarray]]:
    """Return for every slot an array (PIECE, T, ...) per modality, all in `memory`."""
    slots, offset = [], 0
    for _ in range(num_slots):
        arrays = []
        for files in folders:
            count = PIECE * int(np.prod(files.shape))
            flat = np.frombuffer(memory.buffer, files.dtype, count, offset)
            arrays.append(flat.reshape(PIECE, *files.shape))
            offset += flat.nbytes
        slots.append(arrays)
    return slots

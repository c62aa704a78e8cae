"""Decoding in worker processes: a file that crashes or hangs its decoder costs that file and nothing else.

Each process has a pipe and a thread of its own, so it is known which file a death belongs to. (Pools with one pipe for
all, such as concurrent.futures' and pebble's, lose every task of a pool or guess.)
"""

import multiprocessing
import os
import pickle
import platform
import shutil
import tempfile
import threading
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from multiprocessing.connection import Connection, wait
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType

import numpy as np

from pipeline.core.errors import MediaError, PipelineError, explain
from pipeline.core.processes import begin_worker, describe_ending, is_running, num_processors
from pipeline.features.decoding import Decoder, Prepared
from pipeline.media.container import REASONS
from pipeline.store.manifest import VideoFile

MAX_WORKERS = 32

START_SECONDS = 120.0
"""How long a worker may take to import what it needs."""

KILL_SECONDS = 10.0
"""How long a killed worker is waited for: one that hangs in the kernel, on a dead mount, stays."""


def default_num_workers(num_pools: int = 1) -> int:
    """Return how many processes should decode for each of `num_pools` networks: all cores but one for each network."""
    return max(1, min(MAX_WORKERS, num_processors() // num_pools - 1))


class DecodePool:
    """Worker processes that decode ahead of the network; a context manager, which ends them.

    What they decode comes over as files in the system's temporary folder (``TMPDIR``; about ten times as fast as a
    pipe), for two videos per worker at the most.

    Parameters
    ----------
    decoder : Decoder
    raw : Path
        Folder that the videos' paths are relative to.
    num_workers : int
    timeout_seconds : float
        A video that takes longer is given up, and its worker replaced.
    """

    def __init__(self, decoder: Decoder, raw: Path, *, num_workers: int, timeout_seconds: float) -> None:
        self._decoder, self._raw = decoder, raw
        self._num_workers, self._timeout_seconds = num_workers, timeout_seconds
        self._waiting: SimpleQueue[VideoFile | None] = SimpleQueue()
        self._finished: SimpleQueue[tuple[VideoFile, Prepared | Exception]] = SimpleQueue()

    def __enter__(self) -> "DecodePool":
        _remove_leftovers()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_folder_prefix()}{os.getpid()}-"))
        self._workers = [
            _Worker(self._decoder, self._raw, self._folder, self._timeout_seconds) for _ in range(self._num_workers)
        ]
        self._threads = [threading.Thread(target=self._serve, args=[worker], daemon=True) for worker in self._workers]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(Empty):
            while True:
                self._waiting.get_nowait()
        for _ in self._threads:
            self._waiting.put(None)
        for worker in self._workers:
            worker.end()
        for thread in self._threads:
            thread.join(2 * KILL_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _serve(self, worker: "_Worker") -> None:
        """Keep one worker busy; runs in a thread."""
        while (video := self._waiting.get()) is not None:
            try:
                self._finished.put((video, worker.decode(video)))
            except Exception as error:
                self._finished.put((video, error))

    def decode(self, videos: Iterable[VideoFile]) -> Iterator[tuple[VideoFile, Prepared | MediaError]]:
        """Yield the videos, as they are finished, with what decoding made of them.

        Raises
        ------
        PipelineError
            If a file has another size than when its hash was taken, or a worker cannot start.
        """
        iterator = iter(videos)
        num_running = 0
        for video in islice(iterator, 2 * self._num_workers):
            self._waiting.put(video)
            num_running += 1
        while num_running:
            video, result = self._finished.get()
            if (following := next(iterator, None)) is not None:
                self._waiting.put(following)
            else:
                num_running -= 1
            if isinstance(result, Prepared):
                place = _place(self._folder, video)
                result = replace(result, inputs=np.load(place, mmap_mode="r"))
                place.unlink()
            elif not isinstance(result, MediaError):
                raise result
            yield video, result


class _Worker:
    """One process, started when it is needed and replaced when it dies."""

    _starting = threading.Lock()  # multiprocessing tidies up after other processes when it starts one

    def __init__(self, decoder: Decoder, raw: Path, folder: Path, timeout_seconds: float) -> None:
        self._arguments = (decoder, raw, folder)
        self._folder, self._timeout_seconds = folder, timeout_seconds
        # Not fork: the parent has threads, of torch and of CUDA. A fork server has none, and is quick to replace a
        # worker.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([type(decoder).__module__])
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection
        self._has_ended = False

    def decode(self, video: VideoFile) -> Prepared | Exception:
        """Have one video decoded; its inputs lie in the folder.

        A death is given a second chance, since it may be the machine's doing: memory was short, or somebody ended a
        worker that was idle.
        """
        answer = self._decode_once(video)
        if isinstance(answer, MediaError) and answer.reason == "crashed":
            answer = self._decode_once(video)
        return answer

    def _decode_once(self, video: VideoFile) -> Prepared | Exception:
        if self._process is None:
            self._start()
        name = Path(video.path).name
        try:
            self._connection.send(video)
            if self._connection.poll(self._timeout_seconds):
                answer: Prepared | Exception = self._connection.recv()
                return answer
            self._kill()
            answer = MediaError("timed_out", f"{name}: decoding took longer than {self._timeout_seconds:g} s")
        except (EOFError, OSError):
            answer = MediaError("crashed", f"{name}: {REASONS['crashed']} ({self._kill()})")
        _place(self._folder, video).unlink(missing_ok=True)
        return answer

    def _start(self) -> None:
        with self._starting:
            if self._has_ended:
                raise PipelineError("the run has ended")  # read by nobody
            self._connection, theirs = self._context.Pipe()
            process = self._context.Process(target=_work, args=(theirs, *self._arguments), daemon=True)
            try:
                process.start()
            except (OSError, EOFError) as error:
                self._connection.close()
                raise _not_started(str(error) or "that the fork server has ended") from error
            finally:
                theirs.close()
            self._process = process
        try:
            if self._connection.poll(START_SECONDS):
                self._connection.recv()
                return
            self._kill()
            ending = f"nothing after {START_SECONDS:g} s"
        except (EOFError, OSError):
            ending = f"it {self._kill()}"
        raise _not_started(ending)

    def _kill(self) -> str:
        """End the process, if it has not, and say how it ended."""
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        wait([process.sentinel], timeout=KILL_SECONDS)  # not in the lock, nor in join: one that stays hinders no other
        self._connection.close()
        with self._starting:
            process.join(0)
            return describe_ending(process.exitcode)

    def end(self) -> None:
        """End the process now, from another thread than the one that waits for it."""
        with self._starting:
            self._has_ended = True
            if self._process is not None:
                self._process.kill()


def _not_started(found: str) -> PipelineError:
    return PipelineError(
        explain(
            "decoding process",
            expected="to start",
            found=found,
            remedy="free memory or lower extract.num_workers, and run the same command again",
        )
    )


def _work(connection: Connection, decoder: Decoder, raw: Path, folder: Path) -> None:
    """Decode what comes through the pipe; runs in a worker process."""
    begin_worker()
    connection.send("ready")
    while True:
        try:
            video = connection.recv()
        except EOFError:
            return
        answer = _decode(decoder, raw, video, folder)
        try:
            connection.send(answer)
        except (TypeError, AttributeError, pickle.PicklingError):  # an exception of a library may hold anything
            connection.send(RuntimeError("\n".join([str(answer), *getattr(answer, "__notes__", ())])))


def _decode(decoder: Decoder, raw: Path, video: VideoFile, folder: Path) -> Prepared | Exception:
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
        prepared = decoder(path)
    except PipelineError as error:
        return error
    except MemoryError:
        return MediaError("crashed", f"{path.name}: decoding it takes more memory than there is")
    except Exception as error:
        error.add_note(f"while decoding {video.path}:\n{traceback.format_exc()}")
        return error
    try:
        np.save(_place(folder, video), prepared.inputs)
    except OSError as error:
        return PipelineError(
            explain(
                folder,
                expected=f"room for {prepared.inputs.nbytes / 1e6:.1f} MB",
                found=error.strerror or str(error),
                remedy="point TMPDIR to a larger place or lower extract.num_workers, and run the same command; what is "
                "finished is kept",
            )
        )
    return replace(prepared, inputs=prepared.inputs[:0])


def _place(folder: Path, video: VideoFile) -> Path:
    return folder / f"{video.sha256}.npy"


def _folder_prefix() -> str:
    """Return how this machine's folders begin: others may share the place."""
    return f"avel-decoded-{platform.node()}-"


def _remove_leftovers() -> None:
    """Delete what killed runs left in the temporary folder."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_folder_prefix()}*-*"):
        pid = folder.name.removeprefix(_folder_prefix()).split("-")[0]
        if pid.isdecimal() and not is_running(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)

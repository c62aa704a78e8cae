"""Decoding in real processes: what comes back, and what a crash, a hang or a fault costs."""

import importlib
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pipeline.core.errors import MediaError, PipelineError
from pipeline.extraction.decode_pool import DecodePool, default_num_workers
from pipeline.features.decoding import Prepared
from pipeline.store.manifest import VideoFile

ROOT = Path(__file__).resolve().parents[4]

DECODER = """
    import os, resource, signal, threading, time
    from dataclasses import dataclass
    import numpy as np
    from pipeline.core.errors import MediaError
    from pipeline.features.decoding import Prepared

    @dataclass(frozen=True)
    class TextDecoder:
        '''Does what the file says.'''
        factor: int

        def __call__(self, path):
            command, _, value = path.read_text().partition(" ")
            if command == "hang":
                time.sleep(1000)
            if command == "die":
                os.kill(os.getpid(), getattr(signal, value))
            if command == "exit":
                os._exit(int(value))
            if command == "media":
                raise MediaError(value, f"{path.name}: as it was told")
            if command == "limit":
                resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            if command == "memory":
                raise MemoryError
            if command == "lock":
                raise ValueError("a fault with a lock in it", threading.Lock())
            if command == "fault":
                return {}[value]
            inputs = np.full((int(value), 3), self.factor, np.uint8)
            inputs[:, 1] = os.getpid() % 251
            return Prepared(inputs, np.zeros((2, 1), int), "ok", 2.0, command, 0.25)
"""


@pytest.fixture(scope="module")
def decoders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """Return a module that worker processes can import, which a test module is not."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "decoders_of_a_test.py").write_text(textwrap.dedent(DECODER))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("decoders_of_a_test")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def decode(decoders: ModuleType, tmp_path: Path, temporary: Path) -> Callable[..., dict[str, Prepared | MediaError]]:
    """Return a function that decodes texts, one file each, and returns what became of each by its text."""

    def run(*texts: str, timeout_seconds: float = 60.0, num_workers: int = 2) -> dict[str, Prepared | MediaError]:
        videos = []
        for number, text in enumerate(texts):
            path = tmp_path / f"{number}.txt"
            path.write_text(text)
            videos.append(VideoFile(text, path.name, len(text), f"{number:064x}"))
        pool = DecodePool(
            decoders.TextDecoder(7),
            tmp_path,
            num_workers=num_workers,
            timeout_seconds=timeout_seconds,
        )
        with pool:
            return {video.video_id: result for video, result in pool.decode(videos)}

    return run


def test_every_video_comes_back_with_what_the_decoder_made_of_it(decode, temporary):
    results = decode(*(f"frames{number} {number % 4 + 1}" for number in range(23)))
    assert len(results) == 23
    for text, prepared in results.items():
        command, _, value = text.partition(" ")
        assert prepared.inputs.shape == (int(value), 3)
        assert (prepared.inputs[:, 0] == 7).all()
        assert (prepared.detail, prepared.seconds, prepared.sampling_offset_seconds) == (command, 2.0, 0.25)
    assert list(temporary.glob("avel-*")) == []


def test_the_work_is_done_by_other_processes(decode):
    results = decode(*(f"frames{number} 1" for number in range(8)))
    assert os.getpid() % 251 not in {prepared.inputs[0, 1] for prepared in results.values()}


def test_a_file_that_is_no_media_comes_back_with_its_reason(decode):
    error = decode("media truncated")["media truncated"]
    assert isinstance(error, MediaError)
    assert (error.reason, str(error)) == ("truncated", "0.txt: as it was told")


@pytest.mark.parametrize(
    ("command", "ending"),
    [
        ("die SIGSEGV", "killed by SIGSEGV"),
        ("die SIGKILL", "killed by SIGKILL: often memory had run out"),
        ("exit 3", "ended with exit code 3"),
    ],
)
def test_a_crash_costs_one_video(command, ending, decode, temporary):
    results = decode("frames0 1", command, *(f"frames{number} 1" for number in range(1, 8)))
    error = results.pop(command)
    assert (error.reason, str(error)) == ("crashed", f"1.txt: the process that decoded it died ({ending})")
    assert all(isinstance(prepared, Prepared) for prepared in results.values())
    assert len(results) == 8
    assert list(temporary.glob("avel-*")) == []


def test_a_worker_that_was_killed_while_idle_costs_nothing(decoders, tmp_path, temporary):
    """As the kernel does when memory is short; the video that comes next is innocent."""
    for number in range(2):
        (tmp_path / f"{number}.txt").write_text("frames 1")
    videos = [VideoFile(f"{number}", f"{number}.txt", 8, f"{number:064x}") for number in range(2)]
    with DecodePool(decoders.TextDecoder(1), tmp_path, num_workers=1, timeout_seconds=60) as pool:
        assert isinstance(dict(pool.decode(videos[:1]))[videos[0]], Prepared)
        os.kill(pool._workers[0]._process.pid, signal.SIGKILL)
        assert isinstance(dict(pool.decode(videos[1:]))[videos[1]], Prepared)


def test_a_full_temporary_folder_is_one_line(decode, temporary, monkeypatch):
    with pytest.raises(PipelineError) as caught:
        decode("limit 100000")
    message = str(caught.value)
    assert message.startswith(f"{temporary}")
    assert "expected room for 0.3 MB, found " in message
    assert "point TMPDIR to a larger place" in message
    assert "\n" not in message


def test_more_memory_than_there_is_costs_one_video(decode):
    results = decode("frames 1", "memory 0")
    assert str(results["memory 0"]) == "1.txt: decoding it takes more memory than there is"


def test_a_fault_that_cannot_be_pickled_still_says_what_it_was(decode):
    with pytest.raises(RuntimeError, match=r"(?s)a fault with a lock in it.*while decoding 0\.txt"):
        decode("lock 0")


def test_a_process_that_cannot_be_started_is_one_line(decode, monkeypatch):
    def refuse(_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(multiprocessing.context.ForkServerProcess, "start", refuse)
    with pytest.raises(PipelineError, match=r"^decoding process: expected to start, found .*Too many open files; free"):
        decode("frames 1")


@pytest.mark.slow
def test_a_hang_costs_its_time_and_one_video(decode):
    results = decode("frames0 1", "hang", *(f"frames{number} 1" for number in range(1, 8)), timeout_seconds=1.0)
    error = results.pop("hang")
    assert (error.reason, str(error)) == ("timed_out", "1.txt: decoding took longer than 1 s")
    assert all(isinstance(prepared, Prepared) for prepared in results.values())


def test_more_crashes_and_hangs_than_workers_leave_the_rest_alone(decode):
    bad = ["die SIGSEGV", "hang", "exit 1", "hang ", "die SIGABRT"]
    results = decode(*bad, *(f"frames{number} 1" for number in range(6)), timeout_seconds=0.5)
    assert [results[text].reason for text in bad] == ["crashed", "timed_out", "crashed", "timed_out", "crashed"]
    assert sum(isinstance(result, Prepared) for result in results.values()) == 6


def test_a_fault_of_the_program_names_the_video(decode):
    with pytest.raises(KeyError) as caught:
        decode("frames0 1", "fault 5")
    (note,) = caught.value.__notes__
    assert note.startswith("while decoding 1.txt:\nTraceback")


def test_a_file_that_changed_since_it_was_hashed_stops_the_run(decoders, tmp_path, temporary):
    (tmp_path / "grown.txt").write_text("frames 12")
    pool = DecodePool(decoders.TextDecoder(1), tmp_path, num_workers=1, timeout_seconds=60)
    with (
        pool,
        pytest.raises(PipelineError, match=r"^grown\.txt: expected 8 bytes, as when its hash was taken, found 9; let"),
    ):
        list(pool.decode([VideoFile("grown", "grown.txt", 8, "0" * 64)]))


def test_no_more_than_two_videos_a_worker_are_decoded_ahead(decoders, tmp_path, temporary):
    videos = []
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text("frames 1")
        videos.append(VideoFile(f"{number}", f"{number}.txt", 8, f"{number:064x}"))
    asked: list[str] = []
    pool = DecodePool(decoders.TextDecoder(1), tmp_path, num_workers=2, timeout_seconds=60)
    with pool:
        results = pool.decode(asked.append(video.video_id) or video for video in videos)
        assert asked == []
        next(results)
        assert len(asked) == 5  # four ahead, and one in place of the one that was taken
        results.close()
    assert list(temporary.glob("avel-*")) == []


def test_decoding_processes_need_no_torch():
    """It would cost each of them seconds and hundreds of megabytes."""
    decoders = "pipeline.features.visual.frames, pipeline.features.visual.snippets, pipeline.features.audio.patches"
    modules = f"pipeline.extraction.decode_pool, {decoders}"
    stages = "stages.extract"  # imported again by processes that a stage starts
    code = f"import sys, {modules}, {stages}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_what_killed_runs_left_is_removed_and_what_others_use_is_not(decode, temporary):
    here = f"avel-decoded-{platform.node()}"
    used, left = temporary / f"{here}-{os.getppid()}-x", temporary / f"{here}-999999999-y"
    foreign, remote = temporary / "other-1-z", temporary / "avel-decoded-elsewhere-999999999-y"
    for folder in (used, left, foreign, remote):
        folder.mkdir()
        (folder / "0.npy").write_bytes(b"")
    decode("frames 1")
    assert {folder for folder in (used, left, foreign, remote) if folder.exists()} == {used, foreign, remote}


def test_all_cores_but_one_for_each_network_decode(monkeypatch):
    for num_cores, num_pools, expected in ((1, 1, 1), (2, 1, 1), (8, 1, 7), (64, 1, 32), (64, 8, 7), (4, 8, 1)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, number=num_cores: set(range(number)), raising=False)
        assert default_num_workers(num_pools) == expected

"""Extraction with real processes: several devices, kills at any moment, and nothing left running."""

import hashlib
import importlib
import inspect
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from multiprocessing import forkserver
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from pipeline.core.errors import PipelineError, ShardError
from pipeline.core.files import sha256_of_file
from pipeline.extraction.stage import extract
from pipeline.params.schema import ExtractParams
from pipeline.store.manifest import VideoFile
from pipeline.store.shards import load_ledger

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[4]
NUM_VIDEOS = 24

DECODERS = """
    import json, time
    from dataclasses import dataclass
    import numpy as np
    from pipeline.features.decoding import Prepared
    from pipeline.core.errors import MediaError

    @dataclass(frozen=True)
    class NumberDecoder:
        def __call__(self, path):
            try:
                numbers = json.loads(path.read_text())
            except ValueError:
                raise MediaError("not_media", f"{path.name}: no JSON")
            time.sleep(0.02)
            inputs = np.array(numbers, np.float32)
            return Prepared(inputs, np.arange(len(inputs))[:, None], "ok", 1.0, f"{len(inputs)} numbers")

    @dataclass(frozen=True)
    class SleepyDecoder:
        def __call__(self, path):
            path.with_name("decoding").touch()
            time.sleep(1000)
"""
EXTRACTORS = """
    import os
    import numpy as np
    import torch
    from decoders_of_this_test import NumberDecoder, SleepyDecoder

    class NumberExtractor:
        modality, weights_sha256, code = "visual", "random:1", "0123"
        combine, feature_shape, batch_size = "mean", (16,), 4
        storage, decoder = np.dtype("float32"), NumberDecoder()
        recipe = {"num_segments": 3}

        def __init__(self, device):
            self.device = device
            self._weights = torch.rand(1, 16, generator=torch.Generator().manual_seed(0))

        def network(self, inputs):
            if (inputs == 13).any():
                os._exit(9)
            if (inputs == 14).any():
                raise KeyError("a fault of the program")
            if (inputs == 15).any():
                inputs = inputs / 0
            return torch.tanh(inputs[:, None] @ self._weights)

    class SleepyExtractor(NumberExtractor):
        decoder = SleepyDecoder()
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[torch.device], object]]:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "decoders_of_this_test.py").write_text(textwrap.dedent(DECODERS))
    (folder / "extractors_of_this_test.py").write_text(textwrap.dedent(EXTRACTORS))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        module: ModuleType = importlib.import_module("extractors_of_this_test")
        yield module.NumberExtractor


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., list[VideoFile]]:
    """Return a writer of videos, one for each list of numbers or text."""
    (tmp_path / "raw").mkdir()

    def videos(*contents: Sequence[float] | str) -> list[VideoFile]:
        listed = []
        for number, content in enumerate(contents):
            text = content if isinstance(content, str) else json.dumps(list(content))
            path = tmp_path / "raw" / f"video{number:02d}.json"
            path.write_text(text)
            digest = hashlib.sha256(text.encode()).hexdigest()
            listed.append(VideoFile(path.stem, path.name, len(text), digest))
        return listed

    return videos


@pytest.fixture
def run(
    build: Callable[[torch.device], object],
    tmp_path: Path,
    make_params: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., dict[str, str]]:
    """Return a runner: videos to the hashes of what is written."""

    monkeypatch.setattr("pipeline.core.files.os.fsync", lambda _: None)  # these tests never lose power

    def run_extraction(videos: Sequence[VideoFile], *, output: str = "output") -> dict[str, str]:
        settings = {"extract.shard_size": 4, "extract.num_workers": 2}
        params: ExtractParams = make_params(**settings).extract
        extract(build, videos, tmp_path / "raw", tmp_path / output, params=params, max_failed_fraction=1.0)
        return {path.name: sha256_of_file(path) for path in sorted((tmp_path / output).iterdir())}

    return run_extraction


@pytest.fixture
def many(write: Callable[..., list[VideoFile]]) -> list[VideoFile]:
    generator = np.random.default_rng(0)
    contents: list[Sequence[float] | str] = [generator.random(3).tolist() for _ in range(NUM_VIDEOS)]
    contents[5] = contents[17] = "no numbers"
    return write(*contents)


@pytest.fixture
def two_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the processor count as two devices, each with a process of its own."""
    monkeypatch.setattr(
        "pipeline.extraction.stage.choose_devices", lambda _: [torch.device("cpu"), torch.device("cpu")]
    )


class TestSeveralDevices:
    def test_give_the_bytes_of_one(self, many, run, monkeypatch, tmp_path, request):
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / "elsewhere"))
        alone = run(many, output="alone")
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / "shared"))
        request.getfixturevalue("two_devices")
        assert run(many) == alone
        rows = load_ledger(tmp_path / "output" / "ledger.csv")
        assert [row.reason for row in rows].count("not_media") == 2

    def test_a_process_that_dies_is_one_line_and_the_next_run_goes_on(self, write, run, two_devices, tmp_path):
        contents = [[number / 100] * 3 for number in range(12)]
        deadly = write(*contents[:10], [13, 0, 0], contents[11])
        with pytest.raises(
            PipelineError,
            match=r"^extract cpu: expected a process that ends when .* found one ended with exit code 9; free",
        ):
            run(deadly)
        parts = list((tmp_path / "repository").rglob("*.safetensors")) + list((tmp_path / "repository").rglob("*.h5"))
        assert parts
        assert len(run(write(*contents))) == 5  # three shards, the ledger and the index

    def test_a_fault_of_the_program_keeps_where_it_happened(self, write, run, two_devices):
        with pytest.raises(KeyError) as caught:
            run(write(*([number, 0, 0] for number in range(100, 110)), [14, 0, 0]))
        (note,) = caught.value.__notes__
        assert "in network" in note

    def test_an_error_of_the_users_arrives_as_it_is(self, write, run, two_devices):
        with pytest.raises(ShardError, match=r"^features of video\d\d: expected finite float32 values"):
            run(write(*([number, 0, 0] for number in range(100, 105)), [15, 0, 0]))


def was_killed_after(seconds: float, work: Callable[[], object]) -> bool:
    """Run `work` in a child and kill it after some time; return whether it was still running."""
    if (pid := os.fork()) == 0:
        code = 1
        forkserver._forkserver.ensure_running = lambda: None  # it is the parent's; to start another takes seconds
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(("devices", "num_kills"), [("one", 20), ("two", 3)])
def test_a_kill_at_any_moment_changes_no_byte(devices, num_kills, many, run, tmp_path, monkeypatch, request):
    if devices == "two":
        request.getfixturevalue("two_devices")
    expected = run(many)  # starts the fork server, which the runs below share
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "timed"))
    start = time.monotonic()
    assert run(many) == expected
    seconds = time.monotonic() - start
    moments = random.Random(1)
    num_interrupted = 0
    for number in count():
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / f"killed{number}"))
        moment = moments.uniform(0, seconds)
        if was_killed_after(moment, lambda: run(many, output="killed")):
            num_interrupted += 1
        else:
            seconds = moment  # it runs quicker than when it was timed
        assert run(many, output="killed") == expected, f"killed after {moment:.3f} of {seconds:.3f} s"
        if num_interrupted == num_kills:
            break


KILLED = """
    import logging, sys
    from functools import partial
    from pathlib import Path
    from pipeline.store.manifest import VideoFile
    from pipeline.extraction.stage import extract
    from pipeline.params.schema import load_params
    from extractors_of_this_test import SleepyExtractor

    if __name__ == "__main__":
        params = load_params(Path(sys.argv[1])).extract
        video = VideoFile("sleepy", "sleepy.json", 3, "0" * 64)
        extract(SleepyExtractor, [video], Path("."), Path("output"), params=params, max_failed_fraction=1.0)
"""


def parents() -> dict[int, int]:
    """Return the parent of every process that has not ended."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            found[int(path.parent.name)] = int(parent)
    return found


def descendants_of(pid: int) -> set[int]:
    parent_of, found = parents(), {pid}
    while more := {child for child, parent in parent_of.items() if parent in found} - found:
        found |= more
    return found - {pid}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends processes with their parent")
def test_no_process_outlives_a_killed_run_not_even_one_that_hangs(build, tmp_path):
    (tmp_path / "sleepy.json").write_text("[0]")
    (tmp_path / "run.py").write_text(textwrap.dedent(KILLED))
    path = os.pathsep.join([str(ROOT), str(Path(inspect.getfile(build)).parent)])
    command = [sys.executable, "run.py", str(ROOT / "data" / "synthetic" / "preset.yaml")]
    process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path, "DVC_ROOT": str(tmp_path)})
    while not (tmp_path / "decoding").exists():
        assert process.poll() is None
        time.sleep(0.05)
    family = descendants_of(process.pid)
    assert len(family) >= 2  # the fork server and a worker
    process.kill()
    process.wait()
    for _ in range(200):
        if not family & parents().keys():
            return
        time.sleep(0.05)
    for pid in family:
        os.kill(pid, signal.SIGKILL)
    pytest.fail("decoding processes outlived the run")

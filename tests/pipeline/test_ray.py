"""Extraction on a Ray cluster: two nodes on this machine, one of which dies."""

import logging
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from fractions import Fraction
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch

from avel_testing.cluster_extractor import ClusterExtractor
from pipeline.core.errors import ParamsError, PipelineError
from pipeline.core.files import sha256_of_file
from pipeline.extraction.stage import extract
from pipeline.extraction.worker import Finished
from pipeline.params.schema import ExtractParams
from pipeline.store.manifest import VideoFile
from pipeline.store.shards import load_ledger
from pipeline.synthetic.encoding import encode_clip

NUM_VIDEOS, SHARD_SIZE = 12, 2
SECONDS = 75  # after which a test that hangs fails

NO_NODE_IS_LEFT = {"SILENT_SECONDS": 0.2, "Share.num_tasks": lambda *_: 0}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Return two nodes with a core each, on the loopback interface, with a folder of their own for Ray's files."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    folder = tempfile.mkdtemp(prefix="ray-")  # a short name: sockets are in it
    before = signal.getsignal(signal.SIGTERM)  # which Ray replaces
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "support"))
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.delenv("RAY_ADDRESS", raising=False)
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
        # Not 127.0.0.1: Ray replaces that by an address that others can reach.
        head = {**node, "node_ip_address": "127.0.0.2", "include_dashboard": False}
        nodes = Cluster(initialize_head=True, head_node_args=head)
        nodes.add_node(**node, node_ip_address="127.0.0.3")
        patch.setenv("RAY_ADDRESS", nodes.address)
        yield nodes
        nodes.shutdown()
    signal.signal(signal.SIGTERM, before)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def joined(cluster: Any) -> Iterator[Any]:
    """Return the cluster, which this process has joined already."""
    import ray

    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    yield cluster
    ray.shutdown()


@pytest.fixture(autouse=True)
def _in_time_and_with_one_thread() -> Iterator[None]:
    """Fail a test that hangs; compute here as the nodes do, which have one core."""

    def end(_: int, __: FrameType | None) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    before, num_threads = signal.signal(signal.SIGALRM, end), torch.get_num_threads()
    signal.alarm(SECONDS)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[VideoFile]]:
    """Return a folder of two-second videos, one of which is a text, and their list."""
    raw = tmp_path_factory.mktemp("raw")
    random = np.random.default_rng(0)
    for number in range(NUM_VIDEOS):
        path = raw / f"video{number:02d}.mp4"
        pictures = random.integers(0, 255, (20, 6, 8, 3), np.uint8).repeat(8, 1).repeat(8, 2)
        encode_clip(path, pictures, None, frame_rate=Fraction(10))
    (raw / "video07.mp4").write_text("no media")
    paths = sorted(raw.iterdir())
    return raw, [VideoFile(p.stem, p.name, p.stat().st_size, sha256_of_file(p)) for p in paths]


def params_of(engine: str, device: str = "cpu") -> ExtractParams:
    values = {"batch_size": 0, "num_workers": 0, "timeout_seconds": 60.0, "shard_size": SHARD_SIZE}
    return ExtractParams(engine=engine, device=device, **values)


@pytest.fixture
def run(videos, tmp_path, monkeypatch) -> Callable[..., dict[str, str]]:
    """Return a runner: an engine to the hashes of what it writes, from an empty scratch folder."""
    raw, listed = videos

    def run_extraction(engine: str, device: str = "cpu", **behaviour: Any) -> dict[str, str]:
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / f"repository-{engine}"))
        output = tmp_path / engine
        build = partial(ClusterExtractor, log=tmp_path / "log", **behaviour)
        extract(build, listed, raw, output, params=params_of(engine, device), max_failed_fraction=1.0)
        return {path.name: sha256_of_file(path) for path in sorted(output.iterdir())}

    return run_extraction


@pytest.fixture
def stream(videos, tmp_path) -> Callable[..., Generator[Finished, None, None]]:
    """Return a starter of the engine alone."""
    raw, listed = videos
    groups = [listed[start : start + SHARD_SIZE] for start in range(0, NUM_VIDEOS, SHARD_SIZE)]

    def start(**behaviour: Any) -> Generator[Finished, None, None]:
        build = partial(ClusterExtractor, log=tmp_path / "log", **behaviour)
        engine = import_module("pipeline.extraction.ray_engine")
        return engine.compute_on_ray(build, groups, raw, tmp_path, params_of("ray"))

    return start


def require_end(pids: Iterable[int]) -> None:
    """Fail unless the processes end soon."""
    for _ in range(200):
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return
        time.sleep(0.05)
    pytest.fail("decoding processes outlived what they worked for")


def test_ray_that_is_not_installed_is_named_in_one_line(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "pipeline.extraction.ray_engine", raising=False)
    with pytest.raises(ParamsError, match=r"^extract\.engine: expected the extra `ray` .* run `pip install"):
        run("ray")


def test_two_nodes_give_the_bytes_of_this_machine(cluster, run, tmp_path, caplog):
    expected = run("local")
    assert len(expected) == NUM_VIDEOS // 2 + 2  # the ledger and the index
    (tmp_path / "log").unlink()
    with caplog.at_level(logging.INFO):
        assert run("ray", seconds=0.1, num_nodes=2) == expected
    assert [row.reason for row in load_ledger(tmp_path / "ray" / "ledger.csv")].count("not_media") == 1
    (line,) = (message for message in caplog.messages if "Ray" in message)
    assert line == "extract: Ray, 2 tasks at once, each with 0 GPUs, 1 cores, 1 decoding processes"
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == NUM_VIDEOS
    assert len({line.split()[0] for line in lines}) == 2, "a node had nothing to do"
    assert not list((tmp_path / "repository-ray").rglob(".ray-*")), "the driver's token was left"


def test_a_fault_of_the_program_arrives_with_its_traceback(joined, run, tmp_path):
    with pytest.raises(KeyError) as error:
        run("ray", white="video05", on_white="fault")
    assert 'cluster_extractor.py", line ' in "".join(error.value.__notes__)
    assert len((tmp_path / "log").read_text().splitlines()) <= NUM_VIDEOS, "a fault was tried again"


@pytest.mark.parametrize(
    ("behaviour", "patches", "message"),
    [
        ({"white": "video05", "on_white": "not finite"}, {}, "features of video05: expected finite float16 values"),
        ({}, {"library_versions": lambda: {"av": "1"}}, r"Ray node \S+: expected av 1, found av \d.*; use the same"),
        ({"device": "cuda"}, {}, "Ray cluster: expected a node with a GPU .*, found 2 without; see"),
        ({"seconds": 1.0}, NO_NODE_IS_LEFT, "Ray cluster: expected a node with a core .*, found 2 without; see"),
        (
            {"white": "video05", "on_white": "die"},
            {"MAX_RETRIES": 1},
            "shard task with . videos left, video0. to video05: expected a process that survives it, in 2 tries, found",
        ),
    ],
)
def test_what_a_user_can_mend_is_one_line(behaviour, patches, message, joined, run, monkeypatch, tmp_path):
    for name, value in patches.items():
        monkeypatch.setattr(f"pipeline.extraction.ray_engine.{name}", value)
    with pytest.raises(PipelineError, match=f"^{message}") as error:
        run("ray", **behaviour)
    assert not re.search(r"\n|Traceback", str(error.value))
    if "die" in behaviour.values():
        assert any((tmp_path / "repository-ray").rglob("*.h5")), "nothing was kept"


def test_a_slow_video_holds_up_no_other_task(joined, stream, monkeypatch):
    import ray

    numbers: set[int] = set()
    wait = ray.wait
    monkeypatch.setattr(ray, "wait", lambda streams, **options: numbers.add(len(streams)) or wait(streams, **options))
    monkeypatch.setattr("pipeline.extraction.ray_engine.MAX_IN_FLIGHT", 3)
    names = [finished.video.video_id for finished in stream(slow="video00", num_others=NUM_VIDEOS - SHARD_SIZE)]
    assert sorted(names) == [f"video{number:02d}" for number in range(NUM_VIDEOS)]
    assert names.index("video00") >= NUM_VIDEOS - 2 * SHARD_SIZE
    assert numbers == {1, 2, 3}


@pytest.mark.parametrize("is_interrupted", [True, False])
def test_what_runs_ends_with_the_run(is_interrupted, joined, stream, tmp_path):
    log = tmp_path / "log"
    log.write_text("")

    def interrupt() -> None:
        while len(log.read_text().splitlines()) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    running = stream(slow="video00", num_others=NUM_VIDEOS, num_nodes=2)
    if is_interrupted:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job of a shell ignores
        Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            list(running)
    else:
        next(running)
        running.close()
    pids = [int(line.split()[1]) for line in log.read_text().splitlines()]
    require_end(pids)


def test_a_node_that_dies_costs_time_and_no_byte(joined, run, tmp_path):
    expected = run("local")
    log, parts = tmp_path / "log", tmp_path / "repository-ray"
    log.write_text("")
    (node,) = joined.worker_nodes
    killed: set[int] = set()

    def kill_in_the_middle() -> None:
        while True:
            time.sleep(0.05)
            lines = map(str.split, log.read_text().splitlines())
            at_work = {int(pid) for name, pid, _ in lines if name == node.node_id}
            if at_work and any(path.suffix in (".h5", ".safetensors") for path in parts.rglob("*")):
                killed.update(at_work)
                joined.remove_node(node, allow_graceful=False)
                return

    killer = Thread(target=kill_in_the_middle, daemon=True)
    killer.start()
    assert run("ray", slow=node.node_id, num_others=2 * NUM_VIDEOS, num_nodes=2) == expected
    killer.join()
    assert len(log.read_text().splitlines()) > NUM_VIDEOS, "nothing was lost"
    require_end(killed)

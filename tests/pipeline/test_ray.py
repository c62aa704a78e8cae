"""Extraction on a Ray cluster: two nodes on this machine, one of which dies."""

import importlib
import logging
import shutil
import signal
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.core.errors import ParamsError, PipelineError, ShardError
from pipeline.core.files import sha256_of_file
from pipeline.extraction.stage import extract
from pipeline.params.schema import ExtractParams
from pipeline.store.manifest import VideoFile
from pipeline.store.shards import load_ledger
from pipeline.synthetic.encoding import encode_clip

NUM_VIDEOS = 12
SECONDS = 75  # after which a test that hangs fails

DECODER = """
    import os, time
    from dataclasses import dataclass
    from pipeline.features.visual.frames import FrameDecoder

    @dataclass(frozen=True)
    class TinyDecoder:
        '''Decodes frames, writes down where, and makes those of one video white; begins when enough nodes do.'''
        node: str
        log: str
        seconds: float
        num_nodes: int
        white: str

        def __call__(self, path):
            with open(self.log, "a") as log:
                log.write(f"{self.node} {os.getpid()}\\n")
            for _ in range(600):
                with open(self.log) as log:
                    if len({line.split()[0] for line in log}) >= self.num_nodes:
                        break
                time.sleep(0.05)
            time.sleep(self.seconds)
            decode = FrameDecoder(
                num_segments=2, segment_seconds=1.0, frames_per_segment=2, sampling="frames", image_size=32
            )
            prepared = decode(path)
            if path.stem == self.white:
                prepared.inputs[:] = 255
            return prepared
"""

EXTRACTOR = """
    import os
    import numpy as np
    import torch
    from tiny_decoder import TinyDecoder

    class TinyExtractor:
        modality, weights_sha256, code = "visual", "random:1", "0123"
        combine, feature_shape, batch_size = "mean", (2048,), 4
        storage = np.dtype("float16")
        recipe = {"num_segments": 2}

        def __init__(self, device, log, seconds=0.0, num_nodes=1, white="", on_white=""):
            self.device, self._on_white = device, on_white
            node = "here"
            if "RAY_JOB_ID" in os.environ:
                import ray
                node = ray.get_runtime_context().get_node_id()
                assert torch.get_num_threads() == 1
            self.decoder = TinyDecoder(node, str(log), seconds, num_nodes, white)
            self._kernels = torch.rand(32, 3, 8, 8, generator=torch.Generator().manual_seed(0)) - 0.5

        def network(self, inputs):
            white = bool((inputs == 255).flatten(1).all(1).any())
            if white and self._on_white == "die":
                os._exit(9)
            maps = torch.conv2d(inputs.float() / 255, self._kernels, stride=4, padding=2).relu().flatten(1)
            return maps / 0 if white and self._on_white == "not finite" else maps
"""

BuildTiny = Callable[..., Any]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Return two nodes with a core each, on the loopback interface, with a folder of their own for Ray's files."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    folder = tempfile.mkdtemp(prefix="ray-")  # a short name: sockets are in it
    before = signal.getsignal(signal.SIGTERM)  # which Ray replaces
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
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
def _end_in_time() -> Iterator[None]:
    def end(_: int, __: FrameType | None) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Compute here as the nodes do, which have one core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildTiny]:
    """Return the stand-in for an extractor, in a module that every node can import."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "tiny_decoder.py").write_text(textwrap.dedent(DECODER))
    (folder / "tiny_extractor.py").write_text(textwrap.dedent(EXTRACTOR))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", str(folder))
        yield importlib.import_module("tiny_extractor").TinyExtractor


@pytest.fixture
def run(
    videos: tuple[Path, list[VideoFile]], build: BuildTiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, str]]:
    """Return a runner: an engine to the hashes of what it writes, from an empty scratch folder."""
    raw, listed = videos

    def run_extraction(engine: str, **behaviour: Any) -> dict[str, str]:
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / f"repository-{engine}"))
        params = ExtractParams(
            engine=engine, device="cpu", batch_size=0, num_workers=0, timeout_seconds=60.0, shard_size=2
        )
        output = tmp_path / engine
        build_tiny = partial(build, log=tmp_path / "log", **behaviour)
        extract(build_tiny, listed, raw, output, params=params, max_failed_fraction=1.0)
        return {path.name: sha256_of_file(path) for path in sorted(output.iterdir())}

    return run_extraction


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
    assert line == (
        "extract visual: Ray, 2 actors on 2 nodes, 0 GPUs; batches of 4 (automatic), "
        "1 decoding process each (automatic)"
    )
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == NUM_VIDEOS
    assert len({line.split()[0] for line in lines}) == 2, "a node had nothing to do"


def test_an_error_of_the_users_arrives_as_it_is(joined, run):
    with pytest.raises(ShardError, match=r"^features of video05: expected finite float16 values"):
        run("ray", white="video05", on_white="not finite")


def test_a_video_that_kills_every_actor_is_one_line(joined, run, monkeypatch, tmp_path):
    monkeypatch.setattr("pipeline.extraction.ray_engine.MAX_RETRIES", 1)
    with pytest.raises(
        PipelineError,
        match=r"^shard task of (video video05|2 videos from video04 to video05): expected an actor that survives it, "
        r"found that 2 died, the last one on \S+: .*; free memory .* finished is kept$",
    ):
        run("ray", white="video05", on_white="die")


def test_a_cluster_without_a_gpu_is_named(joined, run, monkeypatch):
    monkeypatch.setattr("pipeline.extraction.ray_engine.NODE_SECONDS", 1.0)
    monkeypatch.setattr("pipeline.extraction.ray_engine.computes_on_gpus", lambda *_: True)
    with pytest.raises(PipelineError, match=r"^Ray cluster: expected a node with a GPU .*, found 0 of them, and none"):
        run("ray")


def test_a_node_that_dies_costs_time_and_no_byte(joined, run, tmp_path):
    expected = run("local")
    log, parts = tmp_path / "log", tmp_path / "repository-ray"
    log.write_text("")
    (node,) = joined.worker_nodes
    killed: set[int] = set()

    def kill_in_the_middle() -> None:
        while True:
            time.sleep(0.05)
            at_work = {int(pid) for name, pid in map(str.split, log.read_text().splitlines()) if name == node.node_id}
            if at_work and any(parts.rglob("*.safetensors")):
                killed.update(at_work)
                joined.remove_node(node, allow_graceful=False)
                return

    killer = Thread(target=kill_in_the_middle, daemon=True)
    killer.start()
    assert run("ray", seconds=0.3, num_nodes=2) == expected
    killer.join()
    assert len(log.read_text().splitlines()) > NUM_VIDEOS, "nothing was lost"
    for _ in range(200):
        if not any(Path(f"/proc/{pid}").exists() for pid in killed):
            break
        time.sleep(0.05)
    else:
        pytest.fail("decoding processes outlived their node")

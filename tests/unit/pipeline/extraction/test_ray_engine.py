"""The Ray engine without Ray's processes: what a task reserves, which cluster is joined, and what a task computes."""

import pickle
import re
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from avel_testing.json_extractor import JsonExtractor
from pipeline.core.errors import ParamsError, PipelineError
from pipeline.extraction.scratch import Parts
from pipeline.extraction.worker import WorkerSettings
from pipeline.params.schema import ExtractParams
from pipeline.store.manifest import VideoFile
from pipeline.store.shards import LedgerRow

pytest.importorskip("ray", reason="the extra `ray` is not installed")

from ray.exceptions import RayTaskError

from pipeline.extraction import ray_engine
from pipeline.extraction.ray_engine import Share, choose_share, compute_on_ray


def node(*, num_cpus: int = 4, num_gpus: int = 0, is_alive: bool = True) -> dict[str, Any]:
    resources = {"CPU": float(num_cpus), "GPU": float(num_gpus), "memory": 1e9}
    return {"Alive": is_alive, "Resources": {key: value for key, value in resources.items() if value}}


class TestShare:
    NODES = (node(num_cpus=18, num_gpus=4), node(), node(num_gpus=8, is_alive=False), node(num_cpus=6, num_gpus=1))

    @pytest.mark.parametrize(
        ("device", "nodes", "expected"),
        [
            ("auto", NODES, Share(0.5, 2)),  # 18 cores for 8 tasks
            ("cuda", NODES, Share(0.5, 2)),
            ("cuda", [node(num_cpus=1, num_gpus=2)], Share(0.5, 0)),
            ("auto", NODES[1:3], Share(0, 4)),  # the node with GPUs is gone
            ("cpu", NODES, Share(0, 4)),
            ("cpu", [node(num_cpus=0), node(num_cpus=8)], Share(0, 8)),  # a head that lends no core
        ],
    )
    def test_is_half_a_gpu_with_its_cores_or_the_cores_of_the_smallest_node(self, device, nodes, expected):
        assert choose_share(nodes, device) == expected

    @pytest.mark.parametrize(
        ("device", "nodes", "expected"),
        [("cuda", NODES[1:3], "a GPU .* found 1"), ("auto", [node(num_cpus=0)], "a core .* found 1"), ("cpu", [], "")],
    )
    def test_of_nothing_is_refused(self, device, nodes, expected):
        with pytest.raises(PipelineError, match=rf"^Ray cluster: expected a node with .*{expected}.* without; see"):
            choose_share(nodes, device)

    @pytest.mark.parametrize(("share", "expected"), [(Share(0.5, 2), 8 + 2), (Share(0.5, 0), 10), (Share(0, 4), 6)])
    def test_fits_so_often_into_the_nodes_that_live(self, share, expected):
        assert share.num_tasks(self.NODES) == expected


def params(**changes: Any) -> ExtractParams:
    values = {"engine": "ray", "device": "cpu", "batch_size": 0, "num_workers": 0, "timeout_seconds": 60.0}
    return ExtractParams.model_validate({**values, "shard_size": 2, **changes})


def video(name: str) -> VideoFile:
    return VideoFile(name, f"{name}.mp4", 1, f"hash of {name}")


def compute(**changes: Any) -> None:
    list(compute_on_ray(lambda _: None, [[video("A")]], Path("raw"), Path("parts"), params(**changes)))


def test_a_single_gpu_cannot_be_asked_for():
    with pytest.raises(ParamsError, match=r"^extract\.device: expected auto, cpu or cuda .* found cuda:1; write one"):
        compute(device="cuda:1")


class TestCluster:
    @pytest.fixture(autouse=True)
    def _no_address(self, monkeypatch, tmp_path):
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))

    @pytest.fixture
    def closed(self) -> Iterator[str]:
        """Return an address that nobody listens at."""
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            yield f"127.0.0.1:{reserved.getsockname()[1]}"

    @pytest.mark.parametrize("scheme", ["", "ray://"])
    def test_that_does_not_answer_is_named_at_once(self, scheme, closed, monkeypatch):
        monkeypatch.setenv("RAY_ADDRESS", scheme + closed)
        with pytest.raises(
            PipelineError,
            match=rf"^Ray cluster {scheme}{closed}: expected one that can be joined, found .* refused; correct RAY_",
        ):
            compute()

    def test_that_crashed_on_this_machine_is_named_at_once(self, closed, tmp_path):
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text(closed)
        with pytest.raises(PipelineError, match=rf"^Ray cluster {closed}: .* or run `ray stop` here if"):
            compute()

    @pytest.mark.parametrize(
        ("value", "expected"), [("", ""), ("local", ""), ("auto", ""), ("localhost:1", "localhost:1")]
    )
    def test_is_that_of_the_environment(self, value, expected, monkeypatch):
        monkeypatch.setenv("RAY_ADDRESS", value)
        assert ray_engine._find_address() == expected


class TestTask:
    @pytest.fixture
    def built(self) -> list[JsonExtractor]:
        return []

    @pytest.fixture
    def order(self, tmp_path, built, decode_here, monkeypatch) -> Iterator[ray_engine._Order]:
        monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
        monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
        monkeypatch.setattr(ray_engine.ray, "get_gpu_ids", lambda: [])
        monkeypatch.chdir(tmp_path)

        def build(device: torch.device) -> JsonExtractor:
            built.append(JsonExtractor())
            return built[-1]

        raw, parts = tmp_path / "raw", tmp_path / "parts"
        for folder in (raw, parts):
            folder.mkdir()
        (parts / "token").touch()
        settings = WorkerSettings(raw, parts, 0, 1, 60.0)
        yield ray_engine._Order(build, tmp_path, parts / "token", settings, 1, ray_engine.library_versions())
        ray_engine._prepared.cache_clear()

    @pytest.fixture
    def compute(self, monkeypatch) -> Callable[[ray_engine._Order, str], list[str]]:
        def compute_here(order: ray_engine._Order, names: str) -> list[str]:
            monkeypatch.setattr(pickle, "loads", lambda _: order)  # a function in a fixture cannot be pickled
            finished = ray_engine._compute_group(b"order", [video(name) for name in names])
            return sorted(item.video.video_id for item in finished)

        return compute_here

    def test_builds_the_network_once_in_a_process(self, order, compute, built):
        assert compute(order, "AB") + compute(order, "C") == list("ABC")
        (extractor,) = built
        assert extractor.decoded == ["A.mp4", "B.mp4", "C.mp4"]

    def test_does_not_compute_again_what_a_lost_one_has_written(self, order, compute, built):
        parts = Parts(order.settings.parts)
        for name, reason in (("A", "ok"), ("B", "timed_out"), ("C", "not_media")):
            row = LedgerRow(name, "ok" if reason == "ok" else "failed", reason, "", "", "")
            parts.save(f"hash of {name}", row, np.ones((3, 2), np.float32), np.ones(3, bool))
        (order.settings.parts / "hash of D.safetensors").write_bytes(b"torn")
        assert compute(order, "ABCD") == list("ABCD")
        assert built[0].decoded == ["B.mp4", "D.mp4"]

    @pytest.mark.parametrize("lost", ["raw", "parts/token"])
    def test_without_the_folders_that_all_nodes_share_says_so(self, lost, order, compute, tmp_path):
        (tmp_path / lost).rename(tmp_path / "elsewhere")
        folder = tmp_path / lost.partition("/")[0]
        with pytest.raises(PipelineError, match=rf"^{folder}: expected a folder that all nodes .* share, found that "):
            compute(order, "A")

    @pytest.mark.parametrize(("visible", "given", "expected"), [(None, [1], 1), ("4,7", ["7"], 1), (None, [], None)])
    def test_computes_on_the_gpu_that_it_was_given(self, visible, given, expected, monkeypatch):
        monkeypatch.setattr(ray_engine.ray, "get_gpu_ids", lambda: given)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert ray_engine._device().index == expected


def test_a_node_without_the_project_is_one_line():
    cause = RuntimeError("The remote function failed to import on the worker.\n  No module named 'pipeline'")
    error = ray_engine._original(RayTaskError("task", "traceback", cause, ip="10.0.0.1").as_instanceof_cause())
    assert re.match(r"Ray node: expected the project .* worker\. No module named 'pipeline'; mount", str(error))

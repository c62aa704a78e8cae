"""The Ray engine without Ray's processes: who gets which work, and what is made of losses.

A stand-in for the module ``ray`` keeps actors that finish each task at once, unless a test decides otherwise.
"""

import logging
import re
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.core.errors import ParamsError, PipelineError
from pipeline.extraction.scratch import Parts
from pipeline.extraction.worker import Finished, WorkerSettings
from pipeline.features.decoding import Prepared
from pipeline.params.schema import ExtractParams
from pipeline.store.manifest import VideoFile
from pipeline.store.shards import LedgerRow

pytest.importorskip("ray", reason="the extra `ray` is not installed")

from ray.exceptions import ActorDiedError, ActorUnavailableError

from pipeline.extraction import ray_engine
from pipeline.extraction.ray_engine import Slot, compute_on_ray, computes_on_gpus, describe_loss, find_slots

IDLE, BUSY = ray_engine._Question(is_idle=True), ray_engine._Question(is_idle=False)
SETTINGS = WorkerSettings(Path("raw"), Path("parts"), 8, 3, 60.0)


def node(name: str, *, num_cpus: int = 4, num_gpus: int = 0, is_alive: bool = True) -> dict[str, Any]:
    resources = {"CPU": float(num_cpus), "GPU": float(num_gpus), "memory": 1e9}
    return {
        "NodeID": f"id of {name}",
        "NodeManagerHostname": name,
        "Alive": is_alive,
        "Resources": {key: value for key, value in resources.items() if value},
    }


class TestSlots:
    NODES = (
        node("a", num_cpus=17, num_gpus=4),
        node("b"),
        node("gone", num_gpus=8, is_alive=False),
        node("c", num_gpus=1),
    )

    def test_are_the_gpus_the_first_of_every_node_before_the_second_of_any(self):
        slots = find_slots(self.NODES, on_gpus=True)
        assert [(slot.host, slot.number) for slot in slots] == [("a", 0), ("c", 0), ("a", 1), ("a", 2), ("a", 3)]
        assert slots[0] == Slot("id of a", "a", 0, True, 4)  # 17 cores for 4 GPUs
        assert slots[1].num_cpus == 4

    def test_are_the_nodes_with_all_their_cores_where_no_gpu_is_used(self):
        slots = find_slots(self.NODES, on_gpus=False)
        assert [(slot.host, slot.has_gpu, slot.num_cpus) for slot in slots] == [
            ("a", False, 17),
            ("b", False, 4),
            ("c", False, 4),
        ]

    def test_reserve_no_core_where_there_are_fewer_than_gpus(self):
        assert [slot.num_cpus for slot in find_slots([node("a", num_cpus=1, num_gpus=2)], on_gpus=True)] == [0, 0]

    def test_a_head_that_lends_no_core_has_none(self):
        assert find_slots([node("head", num_cpus=0)], on_gpus=False) == []

    @pytest.mark.parametrize(
        ("device", "nodes", "expected"),
        [
            ("auto", NODES, True),
            ("auto", NODES[1:3], False),  # the node with GPUs is gone
            ("cpu", NODES, False),
            ("cuda", NODES[1:2], True),
        ],
    )
    def test_are_gpus_where_any_node_has_one_unless_it_is_decided(self, device, nodes, expected):
        assert computes_on_gpus(nodes, device) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            RuntimeError(
                "The actor died unexpectedly before finishing this task.\n\tclass_name: A\n\tpid: 21218\n"
                "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit "
                "detail: Worker unexpectedly exits with a connection error code 2. End of file. Some common causes "
                "include: (1) the process was killed by the OOM killer\nThe actor never ran - it was cancelled."
            ),
            "Worker unexpectedly exits with a connection error code 2. End of file.",
        ),
        (
            RuntimeError(
                "\x1b[36mray::A.__init__()\x1b[39m (pid=1)\n  File\nModuleNotFoundError: No module named 'pipeline'\n"
            ),
            "ModuleNotFoundError: No module named 'pipeline'",
        ),
        (ActorUnavailableError("RpcError: RPC error: Socket closed rpc_code: 14.", None), "it does not answer"),
        (ConnectionRefusedError(111, "Connection refused"), "[Errno 111] Connection refused"),
        (ValueError(), "ValueError"),
    ],
)
def test_what_ray_says_of_a_loss_becomes_one_line(error, expected):
    assert describe_loss(error) == expected


class Handle:
    """Stands for an actor: finishes what it is given, and dies where the test says so."""

    def __init__(self, ray: "StandIn", options: dict[str, Any]) -> None:
        self._ray, self.options = ray, options
        self._is_new = True
        self.exchange = SimpleNamespace(remote=self._exchange)

    def _exchange(self, answers: list[Any]) -> Callable[[], list[Any]]:
        host = self.options["scheduling_strategy"].node_id.removeprefix("id of ")

        def reply() -> list[Any]:
            if self._is_new:
                self._is_new = False
                error = self._ray.on_start(host)
                return [error] if error else [ray_engine._Ready("visual", SETTINGS), IDLE]
            if answers == [None]:
                self._ray.on_drain(host)
                return [IDLE]
            ((videos, was_lost),) = answers
            self._ray.given.append((host, [video.video_id for video in videos], was_lost))
            return [*(Finished(video, 1) for video in self._ray.on_task(host, videos)), BUSY]

        return reply


class StandIn:
    """Stands for the module ``ray``.

    `on_task` returns the videos of a task that an actor finishes at once, or raises what Ray would; so may `on_start`,
    which may also return an error for the actor to tell, and `on_drain`, which is called when an actor shall finish
    what it has.
    """

    def __init__(self, *hosts: str) -> None:
        self.names = list(hosts)
        self.given: list[tuple[str, list[str], bool]] = []
        self.started: list[str] = []
        self.on_start: Callable[[str], Exception | None] = lambda _: None
        self.on_drain: Callable[[str], None] = lambda _: None
        self.on_task: Callable[[str, list[VideoFile]], Iterable[VideoFile]] = lambda _, videos: videos
        self.environment: dict[str, str] = {}
        self._turn = 0

    def is_initialized(self) -> bool:
        return True

    def nodes(self) -> list[dict[str, Any]]:
        return [node(name) for name in self.names]

    def remote(self, **options: Any) -> Callable[[type], Any]:
        self.environment = options["runtime_env"]["env_vars"]

        def start(**more: Any) -> Any:
            def build(*_: Any) -> Handle:
                self.started.append(more["scheduling_strategy"].node_id.removeprefix("id of "))
                return Handle(self, more)

            return SimpleNamespace(remote=build)

        return lambda _: SimpleNamespace(options=start)

    def wait(self, calls: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        self._turn += 1
        return [calls[self._turn % len(calls)]], []

    def get(self, call: Callable[[], list[Any]]) -> list[Any]:
        return call()

    def kill(self, handle: Handle) -> None:
        pass


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn("a", "b")
    monkeypatch.setattr(ray_engine, "ray", stand_in)
    monkeypatch.setattr(
        ray_engine, "NodeAffinitySchedulingStrategy", lambda node_id, soft: SimpleNamespace(node_id=node_id, soft=soft)
    )
    monkeypatch.setattr(ray_engine, "LOOK_SECONDS", 0.01)
    return stand_in


def params(**changes: Any) -> ExtractParams:
    return ExtractParams.model_validate(
        {
            "engine": "ray",
            "device": "cpu",
            "batch_size": 0,
            "num_workers": 0,
            "timeout_seconds": 60.0,
            "shard_size": 2,
            **changes,
        }
    )


def video(name: str) -> VideoFile:
    return VideoFile(name, f"{name}.mp4", 1, f"hash of {name}")


def names_of(finished: Iterable[Finished]) -> list[str]:
    return sorted(item.video.video_id for item in finished)


def groups_of(*names: str) -> list[list[VideoFile]]:
    """Return a group for each text, with a video for each of its letters."""
    return [[video(letter) for letter in group] for group in names]


def compute(*names: str, **changes: Any) -> list[str]:
    return names_of(compute_on_ray(lambda _: None, groups_of(*names), Path("raw"), Path("parts"), params(**changes)))


class TestTasks:
    def test_are_each_computed_once(self, ray):
        assert compute("AB", "CD", "E") == list("ABCDE")
        assert sorted(names for _, names, _ in ray.given) == [["A", "B"], ["C", "D"], ["E"]]
        assert sorted(ray.started) == ["a", "b"]

    def test_of_an_actor_that_dies_are_computed_again_without_what_it_had_reported(self, ray):
        def die_once(host: str, videos: list[VideoFile]) -> Iterable[VideoFile]:
            if "B" in [video.video_id for video in videos] and len(ray.given) < 3:
                raise ActorDiedError
            return videos

        ray.on_task = die_once
        assert compute("AB", "CD") == list("ABCD")
        assert [(names, was_lost) for _, names, was_lost in ray.given if "B" in names][-1] == (["A", "B"], True)

    def test_are_given_up_after_four_losses_in_a_row(self, ray):
        def die(host: str, videos: list[VideoFile]) -> Iterable[VideoFile]:
            if "D" in [video.video_id for video in videos]:
                raise ActorDiedError
            return videos

        ray.on_task = die
        with pytest.raises(
            PipelineError,
            match=r"^shard task of 2 videos from C to D: expected an actor that survives it, found that 4 died, the "
            r"last one on [ab]: The actor died unexpectedly .*\.; free memory .* finished is kept$",
        ):
            compute("AB", "CD", "EF")
        assert len([names for _, names, _ in ray.given if "D" in names]) == 4

    def test_that_go_on_a_little_before_each_loss_are_not_given_up(self, ray):
        """Nodes that are taken away again and again, as cheap ones are."""

        def die(host: str) -> None:
            raise ActorDiedError

        ray.names = ["a"]
        ray.on_task, ray.on_drain = lambda _, videos: videos[:1], die
        assert compute("ABCDEFGH") == list("ABCDEFGH")
        assert len(ray.started) == 8

    def test_that_were_lost_are_computed_alone(self, ray):
        """With others in the same actor nobody could tell which of them it was that killed it."""
        ray.names = ["a"]
        held: list[set[str]] = []

        def never_finish(host: str, videos: list[VideoFile]) -> Iterable[VideoFile]:
            held.append({video.video_id for video in videos})
            if len(held) == 3:
                ray.on_task = lambda _, videos: videos
                raise ActorDiedError
            return []

        ray.on_task = never_finish
        assert compute("A", "B", "C", "D") == list("ABCD")
        assert held == [{"A"}, {"B"}, {"C"}]
        assert [(names, was_lost) for _, names, was_lost in ray.given[3:]] == [
            (["A"], True),
            (["B"], True),
            (["C"], True),
            (["D"], False),
        ]


class TestNodes:
    def test_that_join_get_actors(self, ray):
        ray.names = ["a"]

        def slow(host: str, videos: list[VideoFile]) -> Iterable[VideoFile]:
            ray.names = ["a", "late"]
            time.sleep(0.02)
            return videos

        ray.on_task = slow
        assert compute(*"ABCDEFGH") == list("ABCDEFGH")
        assert ray.started == ["a", "late"]

    def test_that_are_gone_before_an_actor_starts_there_are_no_fault(self, ray, caplog):
        """Ray needs a minute to tell that a node is gone, and lets actors wait there until then."""

        def vanish(host: str, videos: list[VideoFile]) -> Iterable[VideoFile]:
            if host == "b":
                ray.on_start = lose
                raise ActorUnavailableError("RPC error", None)
            time.sleep(0.02)
            return videos

        def lose(host: str) -> None:
            if host == "b":
                ray.names = ["a"]
                raise ActorDiedError

        ray.on_task = vanish
        with caplog.at_level(logging.INFO):
            assert compute(*"ABCDEFGHIJKL") == list("ABCDEFGHIJKL")
        assert ray.started == ["a", "b", "b"]
        assert "extract: b is gone" in caplog.messages
        assert "did not start" not in caplog.text

    def test_on_which_no_actor_starts_are_left_out(self, ray, caplog):
        def refuse(host: str) -> None:
            if host == "b":
                raise ActorDiedError

        def slow(host: str, videos: list[VideoFile]) -> Iterable[VideoFile]:
            time.sleep(0.02)
            return videos

        ray.on_start, ray.on_task = refuse, slow
        assert compute(*"ABCDEFGHIJKL") == list("ABCDEFGHIJKL")
        assert ray.started.count("b") == ray_engine.MAX_RETRIES + 1
        assert "an actor on b did not start: Ray node b: expected an actor that starts, with the" in caplog.text

    def test_whose_actor_says_why_it_cannot_start_are_not_tried_again(self, ray, caplog):
        def slow(host: str, videos: list[VideoFile]) -> Iterable[VideoFile]:
            time.sleep(0.02)
            return videos

        ray.on_start = lambda host: PipelineError("no weights") if host == "b" else None
        ray.on_task = slow
        assert compute(*"ABCDEFGHIJKL") == list("ABCDEFGHIJKL")
        assert ray.started.count("b") == 1
        assert "extract: an actor on b did not start: no weights" in caplog.messages

    def test_that_all_say_why_they_cannot_start_stop_the_run_with_that(self, ray):
        ray.on_start = lambda _: PipelineError("no weights")
        with pytest.raises(PipelineError, match=r"^no weights$"):
            compute("A")

    def test_of_which_none_starts_an_actor_stop_the_run(self, ray):
        def refuse(host: str) -> None:
            raise ActorDiedError

        ray.on_start = refuse
        with pytest.raises(PipelineError, match=r"^Ray node [ab]: expected an actor that starts, .*, found The actor"):
            compute("A")

    def test_that_do_not_exist_are_waited_for_and_then_named(self, ray, monkeypatch):
        monkeypatch.setattr(ray_engine, "NODE_SECONDS", 0.1)
        ray.names = []
        with pytest.raises(
            PipelineError,
            match=r"^Ray cluster: expected a node with cores for the extraction, found 0 of them, and none",
        ):
            compute("A")


def test_what_was_chosen_is_printed_once(ray, caplog):
    with caplog.at_level(logging.INFO):
        compute("A", "B", "C", batch_size=8)
    assert caplog.messages == [
        "extract visual: Ray, 2 actors on 2 nodes, 0 GPUs; batches of 8, 3 decoding processes each (automatic)"
    ]


def test_actors_import_from_where_the_driver_runs(ray, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "main"))
    compute("A")
    assert ray.environment == {"PYTHONPATH": f"{tmp_path}:elsewhere", "DVC_ROOT": str(tmp_path / "main")}


def test_a_single_gpu_cannot_be_asked_for():
    with pytest.raises(ParamsError, match=r"^extract\.device: expected auto, cpu or cuda .* found cuda:1; write one"):
        compute("A", device="cuda:1")


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
            compute("A")

    def test_that_crashed_on_this_machine_is_named_at_once(self, closed, tmp_path):
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text(closed)
        with pytest.raises(PipelineError, match=rf"^Ray cluster {closed}: .* or run `ray stop` here if"):
            compute("A")

    @pytest.mark.parametrize(
        ("value", "expected"), [("", ""), ("local", ""), ("auto", ""), ("localhost:1", "localhost:1")]
    )
    def test_is_that_of_the_environment(self, value, expected, monkeypatch):
        monkeypatch.setenv("RAY_ADDRESS", value)
        assert ray_engine._find_address() == expected


class TestActor:
    """The actor's half of the conversation."""

    @pytest.fixture
    def decoded(self) -> list[str]:
        return []

    @pytest.fixture
    def order(self, tmp_path, decoded, decode_here, monkeypatch) -> ray_engine._Order:
        main = ModuleType("__main__")
        main.__file__ = "default_worker.py"
        monkeypatch.setitem(sys.modules, "__main__", main)
        monkeypatch.setattr(ray_engine, "BEAT_SECONDS", 0.2)
        monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
        monkeypatch.chdir(tmp_path)

        def decode(path: Path) -> Prepared:
            decoded.append(path.stem)
            return Prepared(np.ones((3, 2), np.float32), np.array([[0], [1], [2]]), "ok", 3.0, "3 values")

        def build(device: torch.device) -> Any:
            return SimpleNamespace(
                modality="visual",
                combine="mean",
                storage=np.dtype("float32"),
                batch_size=4,
                decoder=decode,
                device=device,
                network=lambda inputs: inputs,
            )

        for name in ("raw", "parts"):
            (tmp_path / name).mkdir()
        return ray_engine._Order(
            build, tmp_path, tmp_path / "raw", tmp_path / "parts", params(), ray_engine.library_versions()
        )

    @staticmethod
    def talk(actor: ray_engine._Worker, *answers: Any) -> list[Any]:
        """Return what the actor says until it asks for work or has an error."""
        messages = actor.exchange(answers)
        for _ in range(50):
            if messages and isinstance(messages[-1], ray_engine._Question | Exception):
                return messages
            messages += actor.exchange([])
        raise AssertionError(f"no question after {messages}")

    def test_chooses_by_its_cores_and_asks_for_work(self, order):
        actor = ray_engine._Worker(order, has_gpu=False, num_cpus=6)
        ready, question = self.talk(actor)
        assert question == IDLE
        assert (ready.modality, ready.settings.batch_size, ready.settings.num_workers) == ("visual", 4, 5)
        assert actor.exchange([]) == []  # nothing to say, but alive

    def test_asks_for_more_before_it_has_finished_and_finishes_when_there_is_none(self, order):
        actor = ray_engine._Worker(order, has_gpu=False, num_cpus=1)
        self.talk(actor)
        first = self.talk(actor, ([video("A"), video("B")], False))
        assert first[-1] == BUSY
        assert "B" not in names_of(first[:-1])  # its last inputs wait for a full batch
        rest = self.talk(actor, None)
        assert rest[-1] == IDLE
        assert names_of([*first[:-1], *rest[:-1]]) == ["A", "B"]
        messages = self.talk(actor, ([video("C")], False))[:-1] + self.talk(actor, None)[:-1]
        assert names_of(messages) == ["C"]

    def test_does_not_compute_again_what_a_lost_actor_has_written(self, order, decoded):
        parts = Parts(order.parts)
        for name, reason in (("A", "ok"), ("B", "timed_out"), ("C", "not_media")):
            row = LedgerRow(name, "ok" if reason == "ok" else "failed", reason, "", "", "")
            parts.save(f"hash of {name}", row, np.ones((3, 2), np.float32), np.ones(3, bool))
        (order.parts / "hash of D.safetensors").write_bytes(b"torn")
        actor = ray_engine._Worker(order, has_gpu=False, num_cpus=1)
        self.talk(actor)
        work = [video(name) for name in "ABCD"]
        messages = self.talk(actor, (work, True))[:-1] + self.talk(actor, None)[:-1]
        assert names_of(messages) == list("ABCD")
        assert decoded == ["B", "D"]

    def test_says_where_a_fault_of_the_program_happened(self, order, monkeypatch):
        monkeypatch.setattr(ray_engine, "compute", lambda *_: {}["a fault of the program"])
        actor = ray_engine._Worker(order, has_gpu=False, num_cpus=1)
        self.talk(actor)
        (error,) = self.talk(actor, ([video("A")], False))
        assert isinstance(error, RuntimeError)
        assert "line " in str(error)
        assert str(error).endswith("KeyError: 'a fault of the program'\n")

    def test_without_the_folders_that_all_nodes_share_says_so(self, order):
        order.parts.rmdir()
        actor = ray_engine._Worker(order, has_gpu=False, num_cpus=1)
        (error,) = self.talk(actor)
        assert isinstance(error, PipelineError)
        assert str(error).startswith(
            f"{order.parts}: expected a folder that all nodes of the cluster share, found that "
        )

    def test_with_other_libraries_than_the_driver_says_so(self, order):
        order = replace(order, versions={**order.versions, "av": "1.0", "torch": "2.0"})
        actor = ray_engine._Worker(order, has_gpu=False, num_cpus=1)
        (error,) = self.talk(actor)
        assert re.match(
            r"Ray node \S+: expected av 1\.0 and torch 2\.0, found av \d+\.\S+ and torch \d\S+; use", str(error)
        )

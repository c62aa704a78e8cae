"""From videos to shards: what is computed, what is kept, and that no interruption changes a byte.

The extractor of these tests reads small JSON files, so that hundreds of runs take seconds.
"""

import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avel_testing.json_extractor import JsonExtractor
from models.backbones.feature_network import FeatureNetwork
from pipeline.core.errors import PipelineError, ShardError
from pipeline.core.files import sha256_of_file
from pipeline.extraction.stage import extract
from pipeline.features.audio.extractor import AudioExtractor
from pipeline.features.decoding import Prepared
from pipeline.features.visual.extractor import VisualExtractor, visual_extractor
from pipeline.media.segments import NO_FRAME
from pipeline.params.schema import Params
from pipeline.store.manifest import VideoFile
from pipeline.store.shards import Shard, ShardIndex, load_index, load_ledger

pytestmark = pytest.mark.usefixtures("decode_here")

ROOT = Path(__file__).resolve().parents[4]
MOTION = {"backbone": "r2plus1d_18", "weights": "random", "weights_sha256": None, "weights_seed": 18}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


@pytest.fixture
def add(raw: Path) -> Callable[..., VideoFile]:
    """Return a writer of one video, by default of three segments with a sample or two each."""

    def write(
        name: str, content: str | None = None, *, rows: Sequence[Sequence[int]] = ((0, 1), (1, 1), (2, 2)), **more: Any
    ) -> VideoFile:
        if content is None:
            values = [sum(name.encode()) + number for number in range(3)]
            content = json.dumps({"values": values, "rows": rows, **more})
        (raw / f"{name}.json").write_text(content)
        return VideoFile(name, f"{name}.json", len(content), hashlib.sha256(content.encode()).hexdigest())

    return write


@pytest.fixture
def videos(add: Callable[..., VideoFile]) -> list[VideoFile]:
    """Seven videos of all kinds: whole, masked, without any segment, no media, missing, and twice the same."""
    listed = [
        add("whole0"),
        add("masked", rows=[[0, 1], [NO_FRAME, 2], [NO_FRAME, NO_FRAME]], reason="short"),
        add("text", "this is no JSON"),
        add("whole1"),
        VideoFile("gone", "gone.json", None, None),
        add("empty", rows=[[NO_FRAME, NO_FRAME]] * 3, reason="truncated"),
        add("whole2"),
    ]
    return [*listed, replace(listed[3], video_id="copy")]


@pytest.fixture
def run(
    raw: Path, tmp_path: Path, make_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., ShardIndex]:
    """Return a runner: videos and extractor to the index; two videos a shard, as many failures as there are."""
    monkeypatch.setattr("pipeline.core.files.os.fsync", lambda _: None)  # these tests never lose power

    def run_extraction(
        videos: Sequence[VideoFile],
        extractor: JsonExtractor | None = None,
        *,
        output: str = "output",
        max_failed_fraction: float = 1.0,
        **options: Any,
    ) -> ShardIndex:
        settings = {"shard_size": 2} | options
        params = make_params(**{f"extract.{key}": value for key, value in settings.items()}).extract
        build = lambda _: extractor or JsonExtractor()  # noqa: E731
        folder = tmp_path / output
        return extract(build, videos, raw, folder, params=params, max_failed_fraction=max_failed_fraction)

    return run_extraction


def bytes_of(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of_file(path) for path in sorted(folder.iterdir())}


@pytest.fixture
def expected(
    videos: list[VideoFile], run: Callable[..., ShardIndex], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Return what an uninterrupted run in another repository writes: file names to hashes."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("DVC_ROOT", str(tmp_path / "elsewhere"))
        run(videos, output="expected")
    return bytes_of(tmp_path / "expected")


def scratch(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "repository" / "data" / ".work" / "extract_visual").iterdir()
    return folder


class TestOutput:
    def test_rows_stand_in_the_order_of_the_list_two_videos_a_shard(self, videos, run, tmp_path):
        index = run(videos)
        read = []
        for shard in index.shards:
            assert sha256_of_file(tmp_path / "output" / shard.file) == shard.sha256
            with Shard(tmp_path / "output" / shard.file) as opened:
                read.append(opened.video_ids)
                assert shard.num_videos == len(opened.video_ids)
        # The second pair is text and whole1, the third is empty and missing: it has no shard.
        assert read == [["whole0", "masked"], ["whole1"], ["whole2", "copy"]]
        assert [shard.file for shard in index.shards] == [f"shard-{number:05d}.h5" for number in range(3)]
        assert (index.num_videos, index.modality, index.recipe["frames"]) == (5, "visual", 2)
        assert load_index(tmp_path / "output") == index

    def test_the_ledger_has_a_row_for_every_video_in_the_same_order(self, videos, run, tmp_path):
        run(videos)
        rows = load_ledger(tmp_path / "output" / "ledger.csv")
        assert [(row.video_id, row.status, row.reason, row.valid, row.seconds, row.detail) for row in rows] == [
            ("whole0", "ok", "ok", "111", "3.00", "3 values"),
            ("masked", "partial", "short", "110", "3.00", "3 values"),
            ("text", "failed", "not_media", "", "", "no JSON"),
            ("whole1", "ok", "ok", "111", "3.00", "3 values"),
            ("gone", "failed", "missing", "", "", "no such file"),
            ("empty", "failed", "truncated", "000", "3.00", "3 values"),
            ("whole2", "ok", "ok", "111", "3.00", "3 values"),
            ("copy", "ok", "ok", "111", "3.00", "3 values"),
        ]

    def test_a_segment_is_the_mean_of_its_samples_and_zero_where_it_is_masked(self, add, run, tmp_path):
        content = json.dumps({"values": [1, 3, 11], "rows": [[0, 1, 1], [NO_FRAME, 2, 0], [NO_FRAME, 1, NO_FRAME]]})
        index = run([add("video", content)], JsonExtractor(storage="float32"))
        with Shard(tmp_path / "output" / index.shards[0].file) as shard:
            row = shard.row(0)
        outputs = np.array([[2, 3], [6, 7], [22, 23]])
        expected = [outputs[[0, 1, 1]].mean(0), outputs[[2, 0]].mean(0), [0, 0]]
        np.testing.assert_allclose(row.features, expected, rtol=1e-6)
        assert row.valid.tolist() == [True, True, False]
        assert row.features.dtype == np.float32

    def test_the_same_content_is_computed_once(self, videos, run, tmp_path):
        extractor = JsonExtractor()
        index = run(videos, extractor)
        assert sorted(extractor.decoded) == ["empty.json", "masked.json", "text.json"] + [
            f"whole{number}.json" for number in range(3)
        ]
        with (
            Shard(tmp_path / "output" / index.shards[1].file) as first,
            Shard(tmp_path / "output" / index.shards[2].file) as second,
        ):
            np.testing.assert_array_equal(first.row(0).features, second.row(1).features)

    def test_no_video_at_all_is_an_empty_folder_of_shards(self, run, tmp_path):
        assert run([]).shards == ()
        assert load_ledger(tmp_path / "output" / "ledger.csv") == []

    def test_what_an_earlier_run_left_in_the_output_is_removed(self, videos, run, tmp_path, expected):
        run(videos)
        for name in ("shard-00009.h5", ".shard-00001.h5.123.tmp"):
            (tmp_path / "output" / name).write_text("left over")
        run(videos)
        assert bytes_of(tmp_path / "output") == expected

    def test_what_float16_cannot_hold_stops_the_run_at_its_video(self, add, run):
        videos = [add("large", json.dumps({"values": [40000.0], "rows": [[0]] * 3})), add("next")]
        with pytest.raises(ShardError, match="features of large: expected finite float16 values"):
            run(videos, shard_size=100)


class TestFailures:
    @pytest.fixture
    def broken(self, add: Callable[..., VideoFile]) -> list[VideoFile]:
        return [*(add(f"bad{number:02d}", "no JSON") for number in range(12)), add("good")]

    def test_more_than_allowed_stop_the_run_with_the_first_ten(self, broken, run, tmp_path):
        with pytest.raises(
            PipelineError, match=r"^visual features: expected at most 50\.00% of 13 videos to fail"
        ) as caught:
            run(broken, max_failed_fraction=0.5)
        message = str(caught.value)
        assert "found 12: bad00 (not_media: no JSON); " in message
        assert "bad09 (not_media: no JSON); and 2 more; mend or remove the files, or raise visual.max_failed" in message
        assert "bad10" not in message
        assert "\n" not in message
        assert not (tmp_path / "output" / "index.json").exists()
        assert len(load_ledger(tmp_path / "output" / "ledger.csv")) == 13

    def test_are_counted_by_reason_in_the_log_even_when_they_stop_the_run(self, broken, run, caplog):
        caplog.set_level(logging.INFO)
        with pytest.raises(PipelineError):
            run(broken, max_failed_fraction=0.5)
        assert caplog.messages[-1] == (
            "extract visual: 13 videos: 1 ok, 0 partial, 12 failed (not_media 12); "
            "92.3 % of the segments masked, 0.0 % in usable videos"
        )

    def test_as_many_as_allowed_do_not(self, broken, run):
        assert run([*broken[:1], broken[-1]], max_failed_fraction=0.5).num_videos == 1

    def test_a_rerun_with_more_allowed_computes_nothing(self, broken, run):
        with pytest.raises(PipelineError):
            run(broken, max_failed_fraction=0.5)
        extractor = JsonExtractor()
        run(broken, extractor, max_failed_fraction=1.0)
        assert extractor.decoded == []

    @pytest.mark.parametrize("shard_size", [1, 2, 8])
    def test_a_file_that_could_not_be_reached_is_tried_again(self, shard_size, videos, run, raw, tmp_path):
        (raw / "whole1.json").rename(raw / "away")
        run(videos, shard_size=shard_size)
        statuses = {row.video_id: row.reason for row in load_ledger(tmp_path / "output" / "ledger.csv")}
        assert statuses["whole1"] == statuses["copy"] == "missing"
        (raw / "away").rename(raw / "whole1.json")
        extractor = JsonExtractor()
        run(videos, extractor, shard_size=shard_size)
        assert extractor.decoded == ["whole1.json"]
        statuses = {row.video_id: row.reason for row in load_ledger(tmp_path / "output" / "ledger.csv")}
        assert statuses["whole1"] == statuses["copy"] == "ok"


class TestScratch:
    def test_lies_in_the_repository_that_dvc_names_and_under_what_decides_the_values(self, videos, run, tmp_path):
        for extractor in (JsonExtractor(), JsonExtractor(frames=3)):
            run(videos[:2], extractor)
        folder = tmp_path / "repository" / "data" / ".work" / "extract_visual"
        assert len(list(folder.iterdir())) == 2

    @pytest.mark.parametrize("attribute", ["recipe", "weights_sha256", "code"])
    def test_of_another_recipe_is_not_used(self, attribute, videos, run):
        run(videos)
        extractor = JsonExtractor()
        setattr(extractor, attribute, {"frames": 9, "num_segments": 3} if attribute == "recipe" else "other")
        run(videos, extractor)
        assert len(extractor.decoded) == 6

    def test_a_finished_run_computes_nothing_and_gives_the_same_bytes(self, videos, run, tmp_path, expected):
        run(videos)
        extractor = JsonExtractor()
        run(videos, extractor, output="again")
        assert extractor.decoded == []
        assert bytes_of(tmp_path / "again") == bytes_of(tmp_path / "output") == expected

    def test_parts_of_finished_shards_are_deleted(self, videos, run, tmp_path):
        run(videos)
        assert list((scratch(tmp_path) / "parts").iterdir()) == []

    def test_new_videos_cost_new_videos(self, videos, run, tmp_path, expected):
        for count in (3, 5):
            run(videos[:count])
        extractor = JsonExtractor()
        run(videos, extractor)
        assert sorted(extractor.decoded) == ["empty.json", "whole2.json"]
        assert bytes_of(tmp_path / "output") == expected

    def test_new_videos_of_a_large_set_cost_new_videos(self, videos, run, tmp_path, monkeypatch):
        run(videos[:5], output="listed")
        monkeypatch.setattr("pipeline.store.placing.PLACED_FROM", 6)
        extractor = JsonExtractor()
        run(videos[:5], extractor)
        assert extractor.decoded == [], "placing anew decodes nothing"
        index = run(videos, extractor)
        assert sorted(extractor.decoded) == ["empty.json", "whole2.json"]
        ledger = load_ledger(tmp_path / "output" / "ledger.csv")
        assert [row.video_id for row in ledger] == [video.video_id for video in videos]
        read = []
        for shard in index.shards:
            with Shard(tmp_path / "output" / shard.file) as opened:
                read += opened.video_ids
        usable = [row.video_id for row in ledger if row.status != "failed"]
        assert sorted(read) == sorted(usable)
        assert read != usable

    def test_a_removed_video_loses_its_row_and_costs_nothing(self, videos, run, tmp_path):
        run(videos)
        extractor = JsonExtractor()
        left = [video for video in videos if video.video_id not in ("masked", "copy")]
        index = run(left, extractor)
        assert extractor.decoded == []
        assert index.num_videos == 3
        assert [row.video_id for row in load_ledger(tmp_path / "output" / "ledger.csv")] == [v.video_id for v in left]

    def test_a_renamed_video_keeps_its_features(self, videos, run, tmp_path):
        run(videos[:1])
        extractor = JsonExtractor()
        run([replace(videos[0], video_id="renamed")], extractor)
        assert extractor.decoded == []
        with Shard(tmp_path / "output" / "shard-00000.h5") as shard:
            assert shard.video_ids == ["renamed"]

    def test_a_shard_that_was_written_through_its_link_is_computed_again(self, videos, run, tmp_path, expected):
        run(videos)
        with (tmp_path / "output" / "shard-00000.h5").open("r+b") as file:
            file.seek(-10, os.SEEK_END)
            file.write(b"\xff")
        extractor = JsonExtractor()
        run(videos, extractor)
        assert sorted(extractor.decoded) == ["masked.json", "whole0.json"]
        assert bytes_of(tmp_path / "output") == expected

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"sha256": "0", "videos": {}}', b'{"sha256": null}'])
    def test_a_damaged_record_of_a_shard_is_computed_again(self, content, videos, run, tmp_path, expected):
        run(videos)
        record = sorted((scratch(tmp_path) / "shards").glob("*.json"))[0]
        record.write_bytes(content)
        run(videos)
        assert bytes_of(tmp_path / "output") == expected

    @pytest.mark.parametrize("damage", ["a changed bit", "half a file", "no bytes"])
    def test_a_damaged_part_is_computed_again(self, damage, videos, run, tmp_path, expected):
        with pytest.raises(RuntimeError):
            run(videos, JsonExtractor(fail_at="whole2.json"), shard_size=100, batch_size=3)
        parts = sorted((scratch(tmp_path) / "parts").iterdir())
        assert len(parts) == 5
        part = scratch(tmp_path) / "parts" / f"{videos[0].sha256}.safetensors"
        content = bytearray(part.read_bytes())
        content[-3] ^= 1
        part.write_bytes({"a changed bit": content, "half a file": content[:-20], "no bytes": b""}[damage])
        extractor = JsonExtractor()
        run(videos, extractor, shard_size=100)
        assert sorted(extractor.decoded) == ["whole0.json", "whole2.json"]


class TestInterruption:
    @pytest.mark.parametrize("shard_size", [1, 2, 100])
    @pytest.mark.parametrize("name", ["whole0", "masked", "whole1", "whole2"])
    @pytest.mark.slow
    def test_by_a_fault_loses_only_the_video_at_hand(self, name, shard_size, videos, run, tmp_path):
        run(videos, JsonExtractor(other=1), shard_size=shard_size, output="expected")
        with pytest.raises(RuntimeError, match="a fault of the program"):
            run(videos, JsonExtractor(other=2, fail_at=f"{name}.json"), shard_size=shard_size, batch_size=3)
        extractor = JsonExtractor(other=2)
        run(videos, extractor, shard_size=shard_size)
        order = ["whole0", "masked", "text", "whole1", "empty", "whole2"]
        assert sorted(extractor.decoded) == sorted(f"{n}.json" for n in order[order.index(name) :])

    def test_drops_what_waits_to_be_decoded(self, add, run):
        videos = [add(f"video{number:02d}") for number in range(40)]
        extractor = JsonExtractor(fail_at="video00.json", seconds_per_video=0.01)
        with pytest.raises(RuntimeError):
            run(videos, extractor)
        decoded = len(extractor.decoded)
        assert decoded < 10
        time.sleep(0.1)
        assert len(extractor.decoded) == decoded

    @pytest.mark.slow
    def test_by_a_kill_before_or_in_any_write_changes_no_byte(self, videos, run, tmp_path, expected):
        """Kill a run at its first change of a file, another at its second, and so on, until one finishes."""
        for moment in range(1, 200):
            os.environ["DVC_ROOT"] = str(tmp_path / f"killed{moment}")  # as the fixture set it, undone by it
            output = f"output{moment}"
            was_killed = in_a_fork(lambda: run(videos, output=output), kill_at=moment)  # noqa: B023
            run(videos, output=output)
            assert bytes_of(tmp_path / output) == expected, f"killed at change {moment}"
            left = [path.name for path in (tmp_path / f"killed{moment}").rglob("*.tmp")]
            assert left == [], f"killed at change {moment}"
            if not was_killed:
                break
        assert moment > 30

    @pytest.mark.slow
    def test_by_one_kill_after_another_comes_to_the_same_end(self, videos, run, tmp_path, expected):
        num_kills = 0
        while in_a_fork(lambda: run(videos), kill_at=5 + num_kills):
            num_kills += 1
            assert num_kills < 50
        assert num_kills > 3
        assert bytes_of(tmp_path / "output") == expected

    @pytest.mark.parametrize("seconds", [0.03, 0.08, 0.15])
    def test_by_a_kill_from_outside_changes_no_byte(self, seconds, videos, run, tmp_path, expected):
        pid = fork(lambda: run(videos, JsonExtractor(seconds_per_video=0.03)))
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        run(videos)
        assert bytes_of(tmp_path / "output") == expected


class TestTwoRuns:
    def test_at_once_compute_each_video_once_and_give_the_same_bytes(self, videos, run, tmp_path, expected):
        log, messages = tmp_path / "log", tmp_path / "messages"
        said = "another run is computing the same result; waiting for it"

        class PatientExtractor(JsonExtractor):
            def decoder(self, path: Path) -> Prepared:
                """Decode when the other run is there, which then has to wait for this one."""
                for _ in range(6000):
                    if said in messages.read_text():
                        break
                    time.sleep(0.01)
                return super().decoder(path)

        def work(output: str) -> None:
            logging.basicConfig(filename=messages, level=logging.INFO, force=True)
            run(videos, PatientExtractor(log=log), output=output)

        children = [fork(lambda name=name: work(name)) for name in ("first", "second")]
        assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]
        assert bytes_of(tmp_path / "first") == bytes_of(tmp_path / "second") == expected
        assert len(log.read_text().splitlines()) == 6
        assert messages.read_text().count(said) == 1

    def test_of_different_recipes_do_not_wait(self, videos, run, tmp_path, caplog):
        caplog.set_level(logging.INFO)
        pid = fork(lambda: run(videos, JsonExtractor(seconds_per_video=0.2), output="first"))
        time.sleep(0.1)
        run(videos, JsonExtractor(frames=3), output="second")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert "another run" not in caplog.text


class SmallNetwork(torch.nn.Module):
    """Stands for VGG19 and VGGish: means of squares of 32 × 32 pixels, of one picture or patch."""

    def init_random(self, seed: int) -> None:
        pass

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        maps = torch.nn.functional.avg_pool2d(inputs, 32)
        return maps if inputs.ndim == 4 else maps.flatten(1)

    def represent(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = self(inputs)
        return outputs.permute(0, 2, 3, 1) if outputs.ndim == 4 else outputs


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["visual", "audio"])
def test_features_of_a_real_file_are_the_means_of_what_the_network_says(
    modality, run, raw, media, tmp_path, monkeypatch, make_params
):
    monkeypatch.setattr("models.backbones.vgg19.VGG19", SmallNetwork)
    monkeypatch.setattr("pipeline.features.audio.extractor.VGGish", SmallNetwork)
    params = make_params(**{"visual.frames_per_segment": 3, "visual.storage": "float32", "visual.sampling": "time"})
    recipe = VisualExtractor if modality == "visual" else AudioExtractor
    extractor = recipe(getattr(params, modality), params.dataset, torch.device("cpu"))
    media.write(raw / "clip.mp4", num_frames=120, audio_seconds=4.7)  # the last segment is nearly whole
    index = run([VideoFile("clip", "clip.mp4", (raw / "clip.mp4").stat().st_size, "0" * 64)], extractor)
    with Shard(tmp_path / "output" / index.shards[0].file) as shard:
        row = shard.row(0)
    assert row.valid.tolist() == [True] * 5 + [False] * 5
    prepared = extractor.decoder(raw / "clip.mp4")
    for segment in range(10):
        inputs = prepared.inputs[[number for number in prepared.rows[segment] if number != NO_FRAME]]
        expected = (
            extractor.network(torch.from_numpy(inputs)).mean(0) if segment < 5 else torch.zeros(row.features.shape[1:])
        )
        np.testing.assert_allclose(row.features[segment], expected, rtol=1e-5, atol=1e-6)
    assert index.recipe == extractor.recipe


class SmallFrames(FeatureNetwork):
    """Stands for ResNet-152: a vector of each picture."""

    def __init__(self, **_: object) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3 * 7 * 7, 2048, bias=False)

    def init_random(self, seed: int) -> None:
        torch.nn.init.normal_(self.layer.weight, 0.0, 0.1, generator=torch.Generator().manual_seed(seed))

    def represent(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layer(torch.nn.functional.adaptive_avg_pool2d(inputs, 7).flatten(1))


class SmallSnippets(SmallFrames):
    """Stands for R(2+1)D-18: a vector of each snippet, of its last frames more than of its first."""

    def represent(self, inputs: torch.Tensor) -> torch.Tensor:
        frames = super().represent(inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2])
        return (frames * torch.arange(inputs.shape[1])[:, None]).sum(1)[:, :512]


@pytest.mark.slow
class TestTwoStreams:
    @pytest.fixture(autouse=True)
    def _small_networks(self, monkeypatch):
        monkeypatch.setattr("models.backbones.resnet.ResNet", SmallFrames)
        monkeypatch.setattr("models.backbones.r2plus1d.R2Plus1D18", SmallSnippets)

    @pytest.fixture
    def extractor(self, make_params) -> Callable[..., Any]:
        def make(combine: str = "stack", **changes: object) -> Any:
            params = make_params(
                **{
                    "dataset.num_segments": 4,
                    "visual.backbone": "resnet152_pooled",
                    "visual.sampling": "time",
                    "visual.combine": combine,
                    "visual.frames_per_segment": 4,
                    "visual.motion": MOTION,
                    "visual.storage": "float32",
                    **changes,
                }
            )
            return visual_extractor(params.visual, params.dataset, torch.device("cpu"))

        return make

    @pytest.fixture
    def clips(self, raw, media) -> list[VideoFile]:
        """Return files of all kinds: whole, repeating frames, lacking some, masked, and none."""
        listed = []
        for number, (frame_rate, num_frames) in enumerate([(8, 32), (3, 12), (4, 14), (8, 20), (25, 100), (8, 2)]):
            path = raw / f"{number}.mp4"
            media.write(path, frame_rate=frame_rate, num_frames=num_frames, audio_seconds=None)
            listed.append(VideoFile(str(number), path.name, path.stat().st_size, sha256_of_file(path)))
        return listed

    @staticmethod
    def read(folder: Path) -> dict[str, np.ndarray]:
        features = {}
        for shard in load_index(folder).shards:
            with Shard(folder / shard.file) as opened:
                features |= dict(zip(opened.video_ids, opened.features[:], strict=True))
        return features

    @pytest.mark.parametrize(("combine", "batch_size"), [("stack", 0), ("mean", 3)])
    def test_give_the_bytes_that_either_network_gives_alone(self, combine, batch_size, extractor, clips, run, tmp_path):
        motion = {"visual.combine": "mean", **{f"visual.{key}": value for key, value in MOTION.items()}}
        for output, built in (
            ("both", extractor(combine)),
            ("appearance", extractor(combine, **{"visual.motion": None})),
            ("motion", extractor(**motion, **{"visual.motion": None})),
        ):
            run(clips, built, output=output, batch_size=batch_size)
        both, appearance, motion_alone = (self.read(tmp_path / name) for name in ("both", "appearance", "motion"))
        assert both.keys() == appearance.keys() == motion_alone.keys() == set("01234")
        num_appearance = 2048 * (4 if combine == "stack" else 1)
        for name, features in both.items():
            assert features.shape == (4, num_appearance + 512)
            np.testing.assert_array_equal(features[:, :num_appearance], appearance[name].reshape(4, -1))
            np.testing.assert_array_equal(features[:, num_appearance:], motion_alone[name])
        ledgers = [load_ledger(tmp_path / name / "ledger.csv") for name in ("both", "appearance", "motion")]
        assert ledgers[0] == ledgers[1] == ledgers[2]
        assert {row.valid for row in ledgers[0]} == {"1111", "1110", "0000"}

    def test_are_named_in_the_index_with_the_weights_of_both(self, extractor, clips, run, caplog):
        with caplog.at_level(logging.INFO):
            index = run(clips, extractor())
        assert index.recipe["motion"]["weights"] == "random:18"
        assert index.weights_sha256 == "random:19, motion random:18"
        assert "batches of 4 and 4 (automatic)" in caplog.text

    def test_resume_with_the_bytes_of_one_run(self, extractor, clips, run, tmp_path):
        run(clips[:3], extractor(), output="first")
        run(clips, extractor(), output="resumed")
        (tmp_path / "repository").rename(tmp_path / "put away")
        run(clips, extractor(), output="whole")
        assert bytes_of(tmp_path / "resumed") == bytes_of(tmp_path / "whole")


INTERRUPTED = """
    import argparse
    from pathlib import Path
    from avel_testing.json_extractor import JsonExtractor
    from pipeline.extraction.stage import extract
    from pipeline.store.manifest import VideoFile
    from stages import run_stage

    def main(arguments, params):
        paths = [Path(f"raw/v{n}.json") for n in range(500)]
        videos = [VideoFile(p.stem, p.name, p.stat().st_size, f"{n:064x}") for n, p in enumerate(paths)]
        extractor = JsonExtractor(seconds_per_video=0.02, log=Path("log"))
        options = {"params": params.extract, "max_failed_fraction": 1.0}
        extract(lambda _: extractor, videos, Path("raw"), Path("output"), **options)

    run_stage(main, argparse.ArgumentParser())
"""


@pytest.mark.slow
def test_control_c_stops_a_stage_at_once_with_one_line(raw, tmp_path):
    for number in range(500):
        content = json.dumps({"values": [number], "rows": [[0]] * 3})
        (raw / f"v{number}.json").write_text(content)
    (tmp_path / "params.yaml").write_bytes((ROOT / "data" / "synthetic" / "preset.yaml").read_bytes())
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(INTERRUPTED)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'support'}"},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    while not (tmp_path / "log").exists() or (tmp_path / "log").read_text().count("\n") < 10:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (tmp_path / "log").read_text().count("\n") < 400  # of 500, had it finished
    assert errors.splitlines()[3:] == ["interrupted; what is finished is kept, the same command goes on from there"]


def fork(work: Callable[[], object]) -> int:
    """Run `work` in a child process and return its id; the child ends with 0, or with 1 after an error."""
    if pid := os.fork():
        return pid
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def in_a_fork(work: Callable[[], object], *, kill_at: int) -> bool:
    """Run `work` in a child that is killed at its `kill_at`-th change of a file; return whether it was.

    A write is torn: half of its bytes are there.
    """

    def die_in_the_middle() -> None:
        count = 0

        def counted(change: Callable[..., Any], name: str) -> Callable[..., Any]:
            def changed(path: Any, *arguments: Any, **options: Any) -> Any:
                nonlocal count
                count += 1
                if count == kill_at:
                    if name.startswith("write"):
                        change(path, arguments[0][: len(arguments[0]) // 2], **options)
                    os.kill(os.getpid(), signal.SIGKILL)
                return change(path, *arguments, **options)

            return changed

        for name in ("write_bytes", "write_text", "replace", "unlink"):
            setattr(Path, name, counted(getattr(Path, name), name))
        os.link = counted(os.link, "link")
        work()

    status = os.waitpid(fork(die_in_the_middle), 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False

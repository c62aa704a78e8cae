"""The engine over files as they are found: every awkward one, and five hundred with broken ones among them."""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.core.errors import PipelineError
from pipeline.core.files import sha256_of_file
from pipeline.extraction.stage import extract
from pipeline.features.audio.patches import PatchDecoder
from pipeline.features.decoding import Decoder
from pipeline.features.visual.frames import FrameDecoder
from pipeline.store.manifest import VideoFile
from pipeline.store.shards import LedgerRow, Shard, ShardIndex, load_ledger

NUM_VIDEOS = 500
NUM_BROKEN = 25


class Averages:
    """Stands for a recipe with a network: the decoder is real, a feature is the mean of each input."""

    weights_sha256, code, combine, feature_shape, batch_size = "random:1", "0123", "mean", (1,), 16
    device, storage = torch.device("cpu"), np.dtype("float32")

    def __init__(self, modality: str, decoder: Decoder) -> None:
        self.modality, self.decoder = modality, decoder
        self.recipe = {"num_segments": 10, "decoder": str(decoder)}

    def network(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.float().flatten(1).mean(1, keepdim=True)


def recipe(modality: str, sampling: str = "time", num_samples: int = 2) -> Averages:
    if modality == "audio":
        return Averages(modality, PatchDecoder(num_segments=10, segment_seconds=1.0, alignment="segment"))
    return Averages(
        modality,
        FrameDecoder(
            num_segments=10, segment_seconds=1.0, frames_per_segment=num_samples, sampling=sampling, image_size=32
        ),
    )


@pytest.fixture
def run(
    tmp_path: Path, make_params: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[ShardIndex, list[LedgerRow]]]:
    monkeypatch.setattr("pipeline.core.files.os.fsync", lambda _: None)

    def run_extraction(
        extractor: Averages, files: Mapping[str, Path], *, max_failed_fraction: float = 1.0
    ) -> tuple[ShardIndex, list[LedgerRow]]:
        videos = [VideoFile(name, p.name, p.stat().st_size, sha256_of_file(p)) for name, p in files.items()]
        params = make_params(**{"extract.shard_size": 64, "extract.num_workers": 2}).extract
        index = extract(
            lambda _: extractor,
            videos,
            tmp_path / "raw",
            tmp_path / "output",
            params=params,
            max_failed_fraction=max_failed_fraction,
        )
        return index, load_ledger(tmp_path / "output" / "ledger.csv")

    return run_extraction


@pytest.mark.slow
@pytest.mark.parametrize(
    ("modality", "sampling", "outcome"),
    [("visual", "time", "visual"), ("visual", "frames", "visual_by_number"), ("audio", "", "audio")],
)
def test_the_ledger_says_of_every_awkward_file_what_was_decided(modality, sampling, outcome, corpus, run, tmp_path):
    files = {name: entry.write(tmp_path / "raw" / entry.file_name) for name, entry in corpus.items()}
    index, ledger = run(recipe(modality, sampling), files)
    expected = {name: tuple(getattr(entry, outcome)) for name, entry in corpus.items()}
    found = {row.video_id: (row.status, row.reason, row.valid) for row in ledger}
    assert found == expected
    assert index.num_videos == sum(status != "failed" for status, _, _ in expected.values())
    with_offset = {row.video_id for row in ledger if row.sampling_offset}
    assert with_offset <= {
        name for name, (status, _, _) in expected.items() if modality == "visual" and status != "failed"
    }
    assert bool(with_offset) == (modality == "visual")


@pytest.fixture
def many(media, tmp_path: Path) -> dict[str, Path]:
    """Five hundred files of different content, every twentieth broken in one of five ways."""
    kinds = [
        media.write(tmp_path / "kinds" / f"{number}.mp4", num_frames=100, frame_rate=10, audio_seconds=seconds)
        for number, seconds in enumerate((10.0, 9.0, 8.0, 10.5))
    ]
    whole = [path.read_bytes() for path in kinds]
    silent = media.write(tmp_path / "kinds" / "silent.mp4", num_frames=None).read_bytes()
    files = {}
    (tmp_path / "raw").mkdir()
    for number in range(NUM_VIDEOS):
        mark = hashlib.sha256(str(number).encode()).digest()  # a box that players skip, so that contents differ
        box = (8 + len(mark)).to_bytes(4, "big") + b"free" + mark
        content = whole[number % 4] + box
        if number % 20 == 7:
            content = [b"", mark, silent + box, content[: len(content) * 2 // 5], content[: len(content) // 50]][
                number // 20 % 5
            ]
        path = tmp_path / "raw" / f"video{number:03d}.mp4"
        path.write_bytes(content)
        files[path.stem] = path
    return files


@pytest.mark.slow
def test_five_hundred_videos_with_a_twentieth_broken_go_through_in_one_run(many, run, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    index, ledger = run(recipe("visual", num_samples=1), many, max_failed_fraction=0.05)
    assert [row.video_id for row in ledger] == list(many)
    assert Counter((row.status, row.reason) for row in ledger) == {
        ("ok", "ok"): NUM_VIDEOS - NUM_BROKEN,
        ("failed", "empty_file"): 5,
        ("failed", "not_media"): 5,
        ("failed", "no_video_stream"): 5,
        ("failed", "undecodable"): 5,
        ("partial", "truncated"): 5,
    }
    broken = [row.video_id for row in ledger if row.status != "ok"]
    assert broken == [name for number, name in enumerate(many) if number % 20 == 7]
    assert index.num_videos == NUM_VIDEOS - NUM_BROKEN + 5
    assert len(index.shards) == 8
    stored = []
    for file in index.shards:
        with Shard(tmp_path / "output" / file.file) as shard:
            stored += shard.video_ids
            valid = {row.video_id: row.valid for row in ledger}
            for name, mask, features in zip(shard.video_ids, shard.valid, shard.features[:], strict=True):
                assert "".join("01"[int(flag)] for flag in mask) == valid[name]
                assert (features.flatten() != 0).tolist() == mask.tolist()
    assert stored == [row.video_id for row in ledger if row.status != "failed"]
    with pytest.raises(
        PipelineError, match=r"^visual features: expected at most 3\.90% of 500 videos to fail, found 20:"
    ):
        run(recipe("visual", num_samples=1), many, max_failed_fraction=0.039)
    assert "extract visual: 500 videos, 0 to compute" in caplog.messages

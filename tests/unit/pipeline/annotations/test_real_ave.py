"""The annotations of AVE as released."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.annotations.manifest import SPLITS, Manifest
from pipeline.annotations.prepare import prepare
from pipeline.files import sha256_of_file
from pipeline.params import DatasetParams


@pytest.fixture(scope="module")
def prepared(real_ave: Path, tmp_path_factory) -> tuple[Manifest, dict]:
    params = DatasetParams(
        name="ave", format="ave", videos="videos", num_segments=10, segment_seconds=1.0, min_coverage=0.99
    )
    output = tmp_path_factory.mktemp("prepared")
    manifest = prepare(params, real_ave, output)
    return manifest, json.loads((output / "audit.json").read_text(encoding="utf-8"))


def test_every_row_is_a_clip_of_the_official_split(prepared) -> None:
    manifest, report = prepared
    assert report["num_rows"] == len(manifest.clips) == 4143
    assert len(manifest.videos) == 4097
    assert len(manifest.categories) == 28
    assert [report["splits"][split]["num_clips"] for split in SPLITS] == [3339, 402, 402]
    assert len({clip.clip_id for clip in manifest.clips}) == 4143
    assert report["rows_without_split"]["count"] == 0
    assert report["qualities"] == {"good": 4143}


def test_the_split_is_the_released_row_numbers(prepared, real_ave: Path) -> None:
    manifest, _ = prepared
    for split in SPLITS:
        with h5py.File(real_ave / f"{split}_order.h5") as file:
            rows = sorted(file["order"][:])
        assert [number for number, clip in enumerate(manifest.clips) if clip.split == split] == rows


def test_categories_equal_the_released_labels_row_for_row(prepared, real_ave: Path) -> None:
    manifest, _ = prepared
    with h5py.File(real_ave / "mil_labels.h5") as file:
        released = file["avadataset"][:]
    labels = np.zeros((len(manifest.clips), len(manifest.categories) + 1), dtype=released.dtype)
    for row, clip in enumerate(manifest.clips):
        labels[row, manifest.categories.index(clip.category)] = 1
    np.testing.assert_array_equal(labels, released)


def test_events_equal_the_annotated_whole_seconds(prepared, real_ave: Path) -> None:
    manifest, _ = prepared
    lines = (real_ave / "Annotations.txt").read_text(encoding="utf-8").splitlines()
    for clip, line in zip(manifest.clips, lines, strict=True):
        category, video_id, _, start, end = line.split("&")
        assert (clip.category, clip.video_id) == (category, video_id)
        assert clip.events == "0" * int(start) + "1" * (int(end) - int(start)) + "0" * (10 - int(end))


def test_the_known_oddities_are_in_the_audit(prepared) -> None:
    _, report = prepared
    assert report["clips_without_event"] == {"count": 1, "items": ["VWi2ENBuTbw"]}
    assert report["videos_with_several_clips"]["count"] == 45
    counts = {pair: listed["count"] for pair, listed in report["videos_in_two_splits"].items()}
    assert counts == {"train/val": 10, "train/test": 8, "val/test": 0}
    assert report["background_share"] == pytest.approx(0.17, abs=0.005)


def test_the_videos_that_exist_are_hashed_and_the_others_counted(prepared, real_ave: Path) -> None:
    manifest, report = prepared
    present = {path.stem: path for path in (real_ave / "videos").glob("*.mp4")}
    known = {video.video_id for video in manifest.videos}
    assert report["missing_videos"]["count"] == 4097 - len(known & set(present))
    for video in manifest.videos:
        if video.video_id in present:
            assert video.sha256 == sha256_of_file(present[video.video_id])
            assert video.size_bytes == present[video.video_id].stat().st_size

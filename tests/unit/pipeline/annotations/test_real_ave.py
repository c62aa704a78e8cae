"""The annotations of AVE as released."""

import json
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.annotations.prepare import prepare
from pipeline.annotations.reader import read_clips
from pipeline.core.errors import AnnotationError
from pipeline.core.files import sha256_of_file
from pipeline.params.schema import DatasetParams
from pipeline.store.manifest import SPLITS, Clip, Manifest

PARAMS = DatasetParams(
    name="ave",
    task="localization",
    format="ave",
    videos="videos",
    split="official",
    ambiguous_videos="largest",
    labels="annotations",
    short_clips="mask",
    num_segments=10,
    segment_seconds=1.0,
    min_coverage=0.99,
)


@pytest.fixture(scope="module")
def prepared(real_ave: Path, tmp_path_factory) -> tuple[Manifest, dict]:
    output = tmp_path_factory.mktemp("prepared")
    manifest = prepare(PARAMS, real_ave, output)
    return manifest, json.loads((output / "audit.json").read_text(encoding="utf-8"))


def clips_by_row(clips: Sequence[Clip], raw: Path) -> list[Clip]:
    """Return the clips in the order of ``Annotations.txt``: those of a split stand in the order of its row numbers."""
    by_row = {}
    for split in SPLITS:
        with h5py.File(raw / f"{split}_order.h5") as file:
            order = file["order"][:].tolist()
        by_row |= dict(zip(order, [clip for clip in clips if clip.split == split], strict=True))
    return [by_row[row] for row in range(len(clips))]


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
    for clip, line in zip(clips_by_row(manifest.clips, real_ave), lines, strict=True):
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
    assert "label_contradictions" not in report


def test_every_doubled_video_has_two_categories_for_the_same_seconds(prepared) -> None:
    manifest, report = prepared
    assert report["clips_that_contradict"]["count"] == 47  # 44 videos of two rows, and one of three
    assert report["clips_that_contradict"]["items"][0] == (
        "-ccciEuH9FE (train) says Male speech, man speaking 0000011111 "
        "but -ccciEuH9FE~2 (train) says Female speech, woman speaking 0000011111"
    )
    assert [clip.video_id for clip in manifest.clips if clip.clip_id.endswith("~3")] == ["0f_iTO5t3hU"]


def test_the_leak_free_split_loses_nine_training_clips_of_eight_videos(real_ave: Path) -> None:
    annotations = read_clips(PARAMS.model_copy(update={"split": "leak_free"}), real_ave)
    counts = [sum(clip.split == split for clip in annotations.clips) for split in SPLITS]
    assert counts == [3330, 402, 402]
    assert len(annotations.leaks_left_out) == 9
    assert all(clip.endswith(" (train)") for clip in annotations.leaks_left_out)
    videos = {split: {clip.video_id for clip in annotations.clips if clip.split == split} for split in SPLITS}
    assert not videos["test"] & (videos["train"] | videos["val"])
    assert len(videos["train"] & videos["val"]) == 10
    official = {clip.video_id for clip in read_clips(PARAMS, real_ave).clips if clip.split == "train"}
    assert len(official & videos["test"]) == 8


def test_the_released_background_clips_are_178(prepared, real_ave: Path) -> None:
    manifest, _ = prepared
    clips = read_clips(PARAMS, real_ave, "released").clips
    assert clips[:4143] == manifest.clips
    assert [clip.clip_id for clip in clips[4143:]] == [f"noisy-{number:03d}" for number in range(178)]


def test_released_labels_in_another_order_are_refused(real_ave: Path, tmp_path: Path) -> None:
    for name in ("Annotations.txt", *(f"{split}_order.h5" for split in SPLITS)):
        (tmp_path / name).write_bytes((real_ave / name).read_bytes())
    with h5py.File(real_ave / "mil_labels.h5") as file:
        released = file["avadataset"][:]
    with h5py.File(tmp_path / "mil_labels.h5", "w") as file:
        file["avadataset"] = released
    assert len(read_clips(PARAMS, tmp_path).clips) == 4143
    with h5py.File(tmp_path / "mil_labels.h5", "w") as file:
        file["avadataset"] = np.concatenate([released[:1000], released[:999:-1]])
    with pytest.raises(AnnotationError, match=r"mil_labels.h5 row 1000: .* in line 1001, found 'Mandolin' \(rows"):
        read_clips(PARAMS, tmp_path)


def test_released_labels_and_shares_are_held_to_the_real_rows(prepared, real_ave: Path, tmp_path: Path) -> None:
    manifest, _ = prepared
    for name in ("Annotations.txt", *(f"{split}_order.h5" for split in SPLITS)):
        (tmp_path / name).write_bytes((real_ave / name).read_bytes())
    labels = np.zeros((4143, 10, 29))
    annotated = clips_by_row(manifest.clips, real_ave)
    for row, clip in enumerate(annotated):
        labels[row, clip.event_mask(), manifest.categories.index(clip.category)] = 1
    labels[:, :, -1] = 1 - labels.sum(axis=2)
    with h5py.File(tmp_path / "prob_label.h5", "w") as file:
        file["prob_label"] = labels.mean(axis=1)
    labels[4000, :, :-1] = 0
    labels[4000, :, -1] = 1
    with h5py.File(tmp_path / "right_labels.h5", "w") as file:
        file["avadataset"] = labels
    annotations = read_clips(PARAMS.model_copy(update={"labels": "released"}), tmp_path)
    labelled = clips_by_row(annotations.clips, real_ave)
    assert [row for row in range(4143) if labelled[row].events != annotated[row].events] == [4000]
    assert labelled[4000].events == "0" * 10
    assert annotations.num_contradicting_segments == annotated[4000].events.count("1")
    assert [clip.event_share for clip in annotations.clips] == pytest.approx([c.event_share for c in manifest.clips])


def test_the_videos_that_exist_are_hashed_and_the_others_counted(prepared, real_ave: Path) -> None:
    manifest, report = prepared
    present = {path.stem: path for path in (real_ave / "videos").glob("*.mp4")}
    known = {video.video_id for video in manifest.videos}
    assert report["missing_videos"]["count"] == 4097 - len(known & set(present))
    for video in manifest.videos:
        if video.video_id in present:
            assert video.sha256 == sha256_of_file(present[video.video_id])
            assert video.size_bytes == present[video.video_id].stat().st_size

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import AnnotationError
from pipeline.core.files import read_csv
from pipeline.store.manifest import Clip, Manifest, VideoFile, load_manifest
from pipeline.store.parsing_manifest import MODALITIES, ParsedClip, ParsingManifest, load_parsing_manifest

CATEGORIES = ("Dog", 'Café, "bar"; 2', "Car")
TIMED = ParsedClip(
    "b_0_10", "b", "videos/b.mp4", ("Car", 'Café, "bar"; 2'), {"Car": "0110", "Dog": "1000"}, {"Car": "0011"}, "val"
)
CLIPS = (
    ParsedClip("a_0_10", "a", "videos/a.mp4", ("Dog",), None, None, "train"),
    TIMED,
    ParsedClip("c", "c", "videos/c.mp4", (), {}, {}, "test"),
)
VIDEOS = (VideoFile("a", "videos/a.mp4", 3, "00"), VideoFile("b", "videos/b.mp4", None, None))


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest = ParsingManifest(CLIPS, VIDEOS, CATEGORIES)
    manifest.save(tmp_path)
    assert load_parsing_manifest(tmp_path) == manifest
    assert read_csv(tmp_path / "manifest.csv") == [
        {
            "clip_id": "a_0_10", "video_id": "a", "path": "videos/a.mp4", "tags": '["Dog"]', "audio_events": "",
            "visual_events": "", "split": "train",
        },
        {
            "clip_id": "b_0_10", "video_id": "b", "path": "videos/b.mp4", "tags": '["Car","Café, \\"bar\\"; 2"]',
            "audio_events": '{"Car":"0110","Dog":"1000"}', "visual_events": '{"Car":"0011"}', "split": "val",
        },
        {
            "clip_id": "c", "video_id": "c", "path": "videos/c.mp4", "tags": "[]", "audio_events": "{}",
            "visual_events": "{}", "split": "test",
        },
    ]  # fmt: skip
    assert (tmp_path / "categories.txt").read_text(encoding="utf-8") == 'Dog\nCafé, "bar"; 2\nCar\n'


def test_a_clip_without_events_is_timed_and_one_without_times_is_not() -> None:
    assert [clip.is_timed for clip in CLIPS] == [False, True, True]
    assert not CLIPS[2].event_masks(CATEGORIES, 4).any()


def test_masks_are_by_modality_then_class_then_segment() -> None:
    assert MODALITIES == ("audio", "visual")
    masks = TIMED.event_masks(CATEGORIES, 4)
    assert (masks.shape, masks.dtype) == ((2, 3, 4), np.dtype(bool))
    np.testing.assert_array_equal(
        masks, [[[1, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0]], [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]]]
    )


def test_a_clip_without_times_has_no_masks() -> None:
    with pytest.raises(
        AnnotationError, match=r"^clip a_0_10: expected what is heard and seen in each segment, found tags alone"
    ):
        CLIPS[0].event_masks(CATEGORIES, 4)


def test_events_of_another_length_are_refused() -> None:
    with pytest.raises(
        AnnotationError, match=r"^clip b_0_10: expected 10 segments \(dataset\.num_segments\), found 4; run `dvc repro"
    ):
        TIMED.event_masks(CATEGORIES, 10)


def test_events_of_an_unknown_category_are_refused() -> None:
    with pytest.raises(AnnotationError, match=r"^clip b_0_10: expected categories of the manifest, found 'Car'; run"):
        TIMED.event_masks(("Dog",), 4)


def test_times_are_known_of_both_modalities_or_of_neither() -> None:
    with pytest.raises(AssertionError, match="b_0_10"):
        replace(TIMED, visual_events=None)


def test_a_manifest_of_the_other_task_is_refused(tmp_path: Path) -> None:
    ParsingManifest(CLIPS, VIDEOS, CATEGORIES).save(tmp_path)
    with pytest.raises(AnnotationError, match=r"expected the columns .*, event_share, found clip_id, .*, audio_events"):
        load_manifest(tmp_path)
    Manifest((Clip("a", "a", "a.mp4", "Dog", "0110", "train"),), VIDEOS, CATEGORIES).save(tmp_path)
    with pytest.raises(
        AnnotationError, match=r"expected the columns .*, audio_events, .*, found clip_id, .*, category"
    ):
        load_parsing_manifest(tmp_path)


@pytest.mark.parametrize("name", ["manifest.csv", "videos.csv", "categories.txt"])
def test_a_missing_file_says_what_to_run(tmp_path: Path, name: str) -> None:
    ParsingManifest(CLIPS, VIDEOS, CATEGORIES).save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(AnnotationError, match=rf"{name}: expected the output of the prepare stage, .* run `dvc repro"):
        load_parsing_manifest(tmp_path)

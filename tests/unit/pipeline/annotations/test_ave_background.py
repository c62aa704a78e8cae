from pathlib import Path

import pytest

from pipeline.annotations.ave import read_ave
from pipeline.annotations.prepare import prepare
from pipeline.core.errors import AnnotationError
from pipeline.store.manifest import Clip

ROWS = ["Bark&b&good&0&10", "Bark&a&good&2&5", "Bus&b&good&6&8"]


@pytest.fixture
def raw(write_ave) -> Path:
    folder = write_ave(ROWS, orders=([0], [1], []))
    (folder / "background").mkdir()
    for name in ("rain.mp4", "hail.webm", ".hidden"):
        (folder / "background" / name).write_bytes(name.encode())
    return folder


def test_videos_in_the_folder_are_background_clips(dataset_params, raw, tmp_path) -> None:
    manifest = prepare(dataset_params(), raw, tmp_path / "out")
    assert manifest.clips[2:] == (
        Clip("hail", "hail", "background/hail.webm", "", "0000000000", "background", 0.0),
        Clip("rain", "rain", "background/rain.mp4", "", "0000000000", "background", 0.0),
    )
    assert [(video.path, video.size_bytes) for video in manifest.videos[2:]] == [
        ("background/hail.webm", 9),
        ("background/rain.mp4", 8),
    ]
    assert manifest.categories == ("Bark", "Bus")


def test_an_annotated_clip_is_in_nothing_changed_by_them(dataset_params, write_ave, raw) -> None:
    with_background = read_ave(dataset_params(), raw).clips
    (raw / "background").rename(raw / "elsewhere")
    assert with_background[:2] == read_ave(dataset_params(), raw).clips


def test_released_features_are_not_of_these_videos(dataset_params, raw) -> None:
    assert not any(clip.split == "background" for clip in read_ave(dataset_params(), raw, "released").clips)


@pytest.mark.parametrize("name", ["b.mp4", "a.mkv", "b~2.mp4"])
def test_the_id_of_an_annotated_clip_is_refused(dataset_params, raw, name: str) -> None:
    (raw / "background" / name).write_bytes(b"x")
    message = rf"background/{name}: expected an id that no other clip has, found '.*', which Annotations.txt has too; "
    with pytest.raises(AnnotationError, match=message) as caught:
        read_ave(dataset_params(), raw)
    assert "\n" not in str(caught.value)


def test_two_files_of_one_id_are_refused(dataset_params, raw) -> None:
    (raw / "background" / "rain.mkv").write_bytes(b"x")
    with pytest.raises(AnnotationError, match=r"rain.mp4: .* found 'rain', which rain.mkv has too; rename the video"):
        read_ave(dataset_params(), raw)

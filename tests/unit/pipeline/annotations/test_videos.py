import hashlib
from pathlib import Path

import pytest

from pipeline.annotations import videos as videos_module
from pipeline.annotations.videos import list_videos, media_names, refuse_several
from pipeline.core.errors import AnnotationError
from pipeline.store.manifest import Clip, VideoFile


def clip(video_id: str, number: int = 1) -> Clip:
    return Clip(f"{video_id}~{number}", video_id, f"videos/{video_id}.mp4", "Bark", "1", "train")


def test_videos_are_listed_once_in_the_order_in_which_clips_name_them(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "b.mp4").write_bytes(b"two")
    (tmp_path / "videos" / "a.mp4").write_bytes(b"")
    videos = list_videos([clip("b"), clip("a"), clip("b", 2), clip("c")], tmp_path)
    assert videos == (
        VideoFile("b", "videos/b.mp4", 3, hashlib.sha256(b"two").hexdigest()),
        VideoFile("a", "videos/a.mp4", 0, hashlib.sha256(b"").hexdigest()),
        VideoFile("c", "videos/c.mp4", None, None),
    )


def test_a_folder_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "videos" / "a.mp4").mkdir(parents=True)
    assert list_videos([clip("a")], tmp_path)[0].size_bytes is None


def test_a_clip_of_which_only_features_exist_is_looked_for_nowhere(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(Path, "is_file", lambda path: pytest.fail(f"{path} was looked at"))
    noisy = Clip("noisy-000", "noisy-000", "", "", "0", "background")
    assert list_videos([noisy], tmp_path) == (VideoFile("noisy-000", "", None, None),)


def test_a_video_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch) -> None:
    def fail(path: Path) -> str:
        raise OSError(5, "Input/output error")

    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"x")
    monkeypatch.setattr(videos_module, "sha256_of_file", fail)
    with pytest.raises(AnnotationError, match=r"a.mp4: expected a readable video, found Input/output error; "):
        list_videos([clip("a")], tmp_path)


def test_media_names_are_those_of_mp4_files_alone(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mkv", "c.MP4"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "d.mp4").mkdir()
    (tmp_path / "e.mp4").symlink_to(tmp_path / "nowhere")
    assert media_names(tmp_path) == ["a.mp4"]
    assert media_names(tmp_path / "nowhere") == media_names(tmp_path / "a.mp4") == []


def test_ids_of_several_files_are_named_the_first_ten_of_them(tmp_path: Path) -> None:
    files = {f"v{number:02}": [f"v{number:02}_2.mp4", f"v{number:02}.mp4"] for number in range(12)}
    with pytest.raises(AnnotationError, match=r"found 12 ids with several, v00: v00.mp4, v00_2.mp4 \| v01: ") as error:
        refuse_several(tmp_path, files)
    assert "v09" in str(error.value)
    assert "v10" not in str(error.value)

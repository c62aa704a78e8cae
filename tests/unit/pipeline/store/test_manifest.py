from pathlib import Path

import pytest

from pipeline.core.errors import AnnotationError
from pipeline.store.manifest import Clip, Manifest, VideoFile, load_manifest

CLIPS = (
    Clip("a", "a", "videos/a.mp4", "Bark", "0110000000", "train"),
    Clip("b", "b", "videos/b.mp4", "Bark", "0110000000", "train", 0.1 + 0.2),
    Clip("c", "c", "videos/c.mp4", "Bark", "??????????", "train"),
    Clip("d", "d", "videos/d.mp4", "", "0000000000", "background"),
)
VIDEOS = tuple(VideoFile(clip.video_id, clip.path, 1, "00") for clip in CLIPS)


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest = Manifest(CLIPS, VIDEOS, ("Bark",))
    manifest.save(tmp_path)
    assert load_manifest(tmp_path) == manifest
    header, *rows = (tmp_path / "manifest.csv").read_text().splitlines()
    assert header == "clip_id,video_id,path,category,events,split,event_share"
    assert [row.rpartition(",")[2] for row in rows] == ["0.2", "0.30000000000000004", "", "0.0"]


def test_the_event_share_is_that_of_the_events_where_nothing_else_is_said() -> None:
    assert [clip.event_share for clip in CLIPS] == [0.2, 0.1 + 0.2, None, 0.0]


def test_events_without_times_have_no_mask() -> None:
    assert [clip.is_timed for clip in CLIPS] == [True, True, False, True]
    assert CLIPS[0].event_mask().tolist() == [False, True, True, *[False] * 7]
    with pytest.raises(
        AnnotationError, match=r"^clip c: expected a label per segment, found a category alone, without"
    ):
        CLIPS[2].event_mask()


def test_a_manifest_of_other_columns_is_refused(tmp_path: Path) -> None:
    Manifest(CLIPS, VIDEOS, ("Bark",)).save(tmp_path)
    path = tmp_path / "manifest.csv"
    path.write_text("".join(f"{line.rpartition(',')[0]}\n" for line in path.read_text().splitlines()))
    with pytest.raises(
        AnnotationError, match=r"manifest.csv: expected the columns clip_id, .*, event_share, found clip_id"
    ):
        load_manifest(tmp_path)

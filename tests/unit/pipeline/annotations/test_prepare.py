import json
import logging
from pathlib import Path

import pytest

from pipeline.annotations.prepare import prepare
from pipeline.core.errors import AnnotationError
from pipeline.core.files import read_csv
from pipeline.store.manifest import load_manifest
from pipeline.store.parsing_manifest import ParsingManifest, load_parsing_manifest

ROWS = ["Bark&b&good&0&10", "Bark&a&good&2&5", 'Café, "bar"&b&good&6&8']


def test_what_is_written_can_be_read_again(dataset_params, write_ave, tmp_path: Path) -> None:
    raw = write_ave(ROWS, sets=([0], [1], [2]))
    (raw / "videos").mkdir()
    (raw / "videos" / "a.mp4").write_bytes(b"x")
    manifest = prepare(dataset_params(), raw, tmp_path / "out")
    assert load_manifest(tmp_path / "out") == manifest
    assert [video.video_id for video in manifest.videos] == ["b", "a"]
    assert read_csv(tmp_path / "out" / "videos.csv")[0] == {
        "video_id": "b", "path": "videos/b.mp4", "size_bytes": "", "sha256": "",
    }  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "audit.json", "audit.md", "categories.txt", "manifest.csv", "videos.csv",
    ]  # fmt: skip


def test_the_same_input_gives_the_same_bytes(dataset_params, write_ave, tmp_path: Path) -> None:
    raw = write_ave(ROWS)
    for name in ("one", "two"):
        prepare(dataset_params(), raw, tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_one_line_is_logged(dataset_params, write_ave, tmp_path: Path, caplog, capsys) -> None:
    raw = write_ave(ROWS, sets=([0], [1], [2]))
    (raw / "videos").mkdir()
    (raw / "videos" / "a.mp4").write_bytes(b"x")
    with caplog.at_level(logging.INFO):
        prepare(dataset_params(), raw, tmp_path / "out")
    assert [record.getMessage() for record in caplog.records] == [
        "small: 3 clips (1 train, 1 val, 1 test), 2 videos, 1 missing, 2 categories; "
        f"see {tmp_path / 'out' / 'audit.md'}"
    ]
    assert capsys.readouterr().out == ""


def test_clips_without_times_are_counted(dataset_params, write_table, tmp_path: Path, caplog) -> None:
    raw = write_table("path,category,start,end,split\ndog.mp4,Bark,0,3,test\ntram.mp4,Tram,?,?,train\n")
    with caplog.at_level(logging.INFO):
        manifest = prepare(dataset_params(format="csv"), raw, tmp_path / "out")
    assert load_manifest(tmp_path / "out") == manifest
    assert read_csv(tmp_path / "out" / "manifest.csv")[1] == {
        "clip_id": "tram", "video_id": "tram", "path": "videos/tram.mp4", "category": "Tram", "events": "??????????",
        "split": "train", "event_share": "",
    }  # fmt: skip
    assert "2 clips (1 train, 0 val, 1 test; 1 of train without times), 2 videos" in caplog.text
    assert json.loads((tmp_path / "out" / "audit.json").read_text())["untimed_clips"] == {"count": 1, "items": ["tram"]}


def test_background_clips_are_listed_with_their_videos(dataset_params, write_table, tmp_path: Path, caplog) -> None:
    raw = write_table("path,category,start,end,split\ndog.mp4,Bark,0,3,train\nrain.mp4,,,,background\n")
    with caplog.at_level(logging.INFO):
        manifest = prepare(dataset_params(format="csv"), raw, tmp_path / "out")
    assert load_manifest(tmp_path / "out") == manifest
    assert [(clip.clip_id, clip.category, clip.split) for clip in manifest.clips] == [
        ("dog", "Bark", "train"),
        ("rain", "", "background"),
    ]
    assert [video.video_id for video in manifest.videos] == ["dog", "rain"]
    assert manifest.categories == ("Bark",)
    assert "small: 1 clips (1 train, 0 val, 0 test; and 1 of background alone), 2 videos" in caplog.text


@pytest.mark.parametrize("form", ["llp", "synthetic"])
def test_the_manifest_of_parsing_is_written_with_its_own_audit(
    dataset_params, write_llp, tmp_path: Path, caplog, form: str
) -> None:
    raw = write_llp()
    (raw / "videos").mkdir()
    (raw / "videos" / "bbbbbbbbbb1.mp4").write_bytes(b"x")
    with caplog.at_level(logging.INFO):
        manifest = prepare(dataset_params(task="parsing", format=form), raw, tmp_path / "out")
    assert isinstance(manifest, ParsingManifest)
    assert load_parsing_manifest(tmp_path / "out") == manifest
    assert [video.size_bytes for video in manifest.videos] == [None, None, 1, None, None]
    num_categories = 25 if form == "llp" else 3
    assert (
        f"small: 5 clips (2 train, 1 val, 2 test), 5 videos, 4 missing, {num_categories} categories; see "
        in caplog.text
    )
    report = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert (report["task"], report["num_segments"], report["missing_videos"]["count"]) == ("parsing", 10, 4)
    assert (tmp_path / "out" / "audit.md").read_text().startswith("# Audit of small\n\n5 rows of clips, ")


def test_released_features_of_parsing_need_no_videos(dataset_params, write_llp, tmp_path: Path, caplog) -> None:
    with caplog.at_level(logging.INFO):
        prepare(dataset_params(task="parsing", format="llp"), write_llp(), tmp_path / "out", source="released")
    assert "features are the released ones, no videos" in caplog.text
    assert json.loads((tmp_path / "out" / "audit.json").read_text())["missing_videos"]["count"] == 0


def test_a_wrong_videos_folder_shows_in_the_summary(dataset_params, write_ave, tmp_path: Path, caplog) -> None:
    raw = write_ave(ROWS)
    with caplog.at_level(logging.INFO):
        prepare(dataset_params(videos="AVE"), raw, tmp_path / "out")
    assert f"2 videos, none of them in {raw / 'AVE'}" in caplog.text


@pytest.mark.parametrize("with_video", [False, True])
def test_released_features_need_no_videos(
    dataset_params, write_ave, write_labels, tmp_path: Path, caplog, with_video: bool
) -> None:
    raw = write_ave(ROWS)
    write_labels(raw, "labels_noisy.h5", [[0, 0, 1]])
    if with_video:
        (raw / "videos").mkdir()
        (raw / "videos" / "a.mp4").write_bytes(b"x")
    with caplog.at_level(logging.INFO):
        manifest = prepare(dataset_params(), raw, tmp_path / "out", source="released")
    assert load_manifest(tmp_path / "out") == manifest
    assert vars(manifest.clips[-1])["path"] == vars(manifest.videos[-1])["path"] == ""
    videos = "2 videos, 1 missing" if with_video else "features are the released ones, no videos"
    assert (
        f"small: 3 clips (3 train, 0 val, 0 test; and 1 of background alone), {videos}, 2 categories; see "
        in caplog.text
    )
    audit = json.loads((tmp_path / "out/audit.json").read_text())
    assert audit["missing_videos"]["items"] == (["b"] if with_video else [])


@pytest.mark.parametrize("name", ["visual_feature.h5", "features"])
def test_released_files_that_lie_there_unused_are_pointed_out(
    dataset_params, write_ave, tmp_path: Path, caplog, name: str
) -> None:
    raw = write_ave(ROWS)
    with caplog.at_level(logging.INFO):
        prepare(dataset_params(), raw, tmp_path / "out")
        assert "features.source" not in caplog.text
        (raw / name).mkdir()
        prepare(dataset_params(), raw, tmp_path / "out")
    assert "none of them in" in caplog.text
    assert "(features lie there: features.source: released uses them)" in caplog.text


def test_faulty_annotations_write_nothing(dataset_params, write_ave, tmp_path: Path) -> None:
    raw = write_ave(["Bark&../b&good&0&10"])
    with pytest.raises(AnnotationError):
        prepare(dataset_params(), raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()

import json
from dataclasses import replace

import pytest

from pipeline.annotations.parsing_audit import ODDITIES, audit_parsing, parsing_audit_markdown
from pipeline.annotations.parsing_events import ParsingAnnotations
from pipeline.annotations.reader import read_clips
from pipeline.store.manifest import VideoFile
from pipeline.store.parsing_manifest import ParsedClip, ParsingManifest

CLIPS = (
    ParsedClip("a", "a", "a.mp4", ("Bark", "Bus"), None, None, "train"),
    ParsedClip("b", "b", "b.mp4", ("Bark",), None, None, "train"),
    ParsedClip("c", "c", "c.mp4", ("Bus",), {"Bus": "1110"}, {"Bus": "0110", "Bark": "1000"}, "val"),
    ParsedClip("d", "d", "d.mp4", ("Bark",), {"Bark": "1111"}, {}, "test"),
    ParsedClip("e", "a", "a.mp4", ("Bark", "Bus"), {"Bus": "0001"}, {"Bus": "0010"}, "test"),
)
VIDEOS = (
    VideoFile("a", "a.mp4", 10, "same"),
    VideoFile("b", "b.mp4", None, None),
    VideoFile("c", "c.mp4", 0, "nothing"),
    VideoFile("d", "d.mp4", 10, "same"),
)
CATEGORIES = ("Bark", "Bus", "<b>|`x`")
ODD = {"clips_without_rows": {"audio": [], "visual": ["d (test)"]}, "repeated_tags": {"train": ["a: Bark"], "val": []}}
ANNOTATIONS = ParsingAnnotations(CLIPS, CATEGORIES, 5, {"audio": 4, "visual": 3}, "two lists", ODD)


def make(annotations: ParsingAnnotations = ANNOTATIONS, **changes: bool) -> dict:
    manifest = ParsingManifest(annotations.clips, VIDEOS, CATEGORIES)
    return audit_parsing("small", annotations, manifest, 4, **changes)


def test_clips_tags_and_segments_are_counted_by_split_and_category() -> None:
    report = make()
    assert {key: value for key, value in report.items() if key.startswith("num_")} == {
        "num_rows": 5, "num_audio_rows": 4, "num_visual_rows": 3, "num_clips": 5, "num_videos": 4, "num_categories": 3,
        "num_segments": 4, "num_bytes": 20,
    }  # fmt: skip
    assert (report["dataset"], report["task"], report["labels"]) == ("small", "parsing", {"segments": "two lists"})
    assert report["splits"] == {
        "train": {
            "num_clips": 2, "num_timed_clips": 0, "num_videos": 2, "num_videos_there": 1,
            "num_audio_segments": 0, "num_visual_segments": 0, "num_both_segments": 0,
        },
        "val": {
            "num_clips": 1, "num_timed_clips": 1, "num_videos": 1, "num_videos_there": 1,
            "num_audio_segments": 3, "num_visual_segments": 3, "num_both_segments": 2,
        },
        "test": {
            "num_clips": 2, "num_timed_clips": 2, "num_videos": 2, "num_videos_there": 2,
            "num_audio_segments": 5, "num_visual_segments": 1, "num_both_segments": 0,
        },
    }  # fmt: skip
    assert report["categories"]["Bus"] == {
        "train": {"tags": 1, "audio": None, "visual": None, "both": None},
        "val": {"tags": 1, "audio": 3, "visual": 2, "both": 2},
        "test": {"tags": 1, "audio": 1, "visual": 1, "both": 0},
    }
    assert report["categories"]["Bark"]["val"] == {"tags": 0, "audio": 0, "visual": 1, "both": 0}


def test_what_should_make_one_careful_is_listed() -> None:
    report = make()
    assert report["missing_videos"] == {"count": 1, "items": ["b"]}
    assert report["empty_videos"] == {"count": 1, "items": ["c"]}
    assert report["duplicate_videos"]["items"] == [{"video_ids": ["a", "d"], "splits": ["train", "test"]}]
    assert report["duplicate_videos_in_two_splits"] == report["duplicate_videos"]
    assert report["videos_with_several_clips"] == {"count": 1, "items": ["a"]}
    assert report["videos_in_two_splits"]["train/test"] == {"count": 1, "items": ["a"]}
    assert report["clips_without_rows"] == {
        "audio": {"count": 0, "items": []},
        "visual": {"count": 1, "items": ["d (test)"]},
    }
    assert report["repeated_tags"]["train"]["items"] == ["a: Bark"]
    assert report["categories_without_training_clips"]["items"] == ["<b>|`x`"]
    assert report["clips_that_contradict"]["items"] == [
        "the same content: a (train) says Bark, Bus but d (test) says Bark",
        "the same content: d (test) says Bark but e (test) says Bark, Bus",
    ]
    assert not {"leaks_left_out", "chosen_videos"} & set(report)
    json.dumps(report, allow_nan=False)


def test_released_features_need_no_videos() -> None:
    assert make(needs_videos=False)["missing_videos"]["count"] == 0


def test_choices_of_the_reader_are_listed() -> None:
    report = make(
        replace(ANNOTATIONS, leaks_left_out=("x (train)",), chosen_videos=("a: a_0_1.mp4 chosen, not a.mp4",))
    )
    assert report["leaks_left_out"]["items"] == ["x (train)"]
    page = parsing_audit_markdown(report)
    assert "- clips of train and val left out, as their video is in test: 1 (`x (train)`)" in page
    assert "- ids that name several files: 1 (`a: a_0_1.mp4 chosen, not a.mp4`)" in page


def test_the_page_says_what_was_found_and_nothing_else() -> None:
    page = parsing_audit_markdown(make())
    assert "5 rows of clips, 4 of what is heard, 3 of what is seen; 5 clips, 4 videos (0.0 MB), 3 categories." in page
    assert "Segment labels: two lists." in page
    assert "- clips of val and test without visual rows: 1 (`d (test)`)" in page
    assert "- clips of train with a tag twice, taken once: 1 (`a: Bark`)" in page
    assert "without audio rows" not in page
    assert "| test | 2 | 2 | 2 | 2 | 5 | 1 | 0 |" in page
    assert "| 1 | Bus | 1 | 1 | 1 | 3 | 2 | 2 | 1 | 1 | 0 |" in page
    assert "| 2 | &lt;b&gt;&#124;&#96;x&#96; | 0 | 0 | 0 |" in page


@pytest.mark.parametrize("form", ["llp", "csv"])
def test_the_page_has_words_for_every_oddity_of_every_format(
    dataset_params, write_llp, write_parsing_tables, form: str
) -> None:
    clips, events = "path,split,tags\na.mp4,train,Bark\n", "clip,modality,category,start,end\n"
    raw = write_llp() if form == "llp" else write_parsing_tables(clips, events)
    annotations = read_clips(dataset_params(task="parsing", format=form), raw)
    assert {"clips_without_rows"} < set(annotations.oddities) <= set(ODDITIES)
    odd = {kind: {part: [f"{kind} {part}"] for part in parts} for kind, parts in annotations.oddities.items()}
    manifest = ParsingManifest(annotations.clips, (), annotations.categories)
    page = parsing_audit_markdown(audit_parsing("small", replace(annotations, oddities=odd), manifest, 10))
    assert all(f"`{kind} {part}`" in page for kind, parts in odd.items() for part in parts)

import json
from dataclasses import replace

import pytest

from pipeline.annotations.audit import audit, audit_markdown
from pipeline.annotations.rules import Annotations
from pipeline.store.manifest import Clip, Manifest, VideoFile

CLIPS = (
    Clip("a", "a", "videos/a.mp4", "Bark", "1111", "train"),
    Clip("a~2", "a", "videos/a.mp4", "Bark", "1100", "test"),
    Clip("b", "b", "videos/b.mp4", "Bus", "0000", "test"),
    Clip("c", "c", "videos/c.mp4", "Bark", "0111", "train"),
    Clip("d", "d", "videos/d.mp4", "Bark", "0110", "val"),
)
VIDEOS = (
    VideoFile("a", "videos/a.mp4", 10, "same"),
    VideoFile("b", "videos/b.mp4", None, None),
    VideoFile("c", "videos/c.mp4", 0, "nothing"),
    VideoFile("d", "videos/d.mp4", 10, "same"),
)
CATEGORIES = ("Bark", "Bus", "<script>|`x`")


def make() -> dict:
    annotations = Annotations(CLIPS, CATEGORIES, 6, ("Bark&e&good&0&1",), {"good": 6})
    return audit("small", annotations, Manifest(CLIPS, VIDEOS, CATEGORIES))


def test_clips_are_counted_by_split_and_category() -> None:
    report = make()
    assert (report["num_rows"], report["num_clips"], report["num_videos"], report["num_bytes"]) == (6, 5, 4, 20)
    assert report["splits"]["test"] == {"num_clips": 2, "num_videos": 2, "background_share": 0.75}
    assert report["categories"]["Bark"] == {"train": 2, "val": 1, "test": 1}
    assert report["event_length_clips"] == {"0": 1, "1": 0, "2": 2, "3": 1, "4": 1}
    assert report["background_share"] == 0.45
    assert report["qualities"] == {"good": 6}


def test_what_should_make_one_careful_is_listed() -> None:
    report = make()
    assert report["missing_videos"] == {"count": 1, "items": ["b"]}
    assert report["empty_videos"] == {"count": 1, "items": ["c"]}
    assert report["duplicate_videos"]["items"] == [{"video_ids": ["a", "d"], "splits": ["train", "val", "test"]}]
    assert report["videos_with_several_clips"] == {"count": 1, "items": ["a"]}
    assert report["videos_in_two_splits"] == {
        "train/val": {"count": 0, "items": []},
        "train/test": {"count": 1, "items": ["a"]},
        "val/test": {"count": 0, "items": []},
    }
    assert report["clips_without_event"] == {"count": 1, "items": ["b"]}
    assert report["rows_without_split"] == {"count": 1, "items": ["Bark&e&good&0&1"]}
    assert report["categories_without_training_clips"]["items"] == ["Bus", "<script>|`x`"]
    json.dumps(report, allow_nan=False)


def test_empty_files_do_not_count_as_copies_of_each_other() -> None:
    videos = tuple(VideoFile(video.video_id, video.path, 0, "nothing") for video in VIDEOS)
    report = audit("small", Annotations(CLIPS, CATEGORIES, 5), Manifest(CLIPS, videos, CATEGORIES))
    assert report["duplicate_videos"]["count"] == 0
    assert report["empty_videos"]["count"] == 4


def test_long_lists_keep_the_first_hundred_and_the_count() -> None:
    videos = tuple(VideoFile(f"v{number}", f"v{number}.mp4", None, None) for number in range(250))
    clips = tuple(Clip(video.video_id, video.video_id, video.path, "Bark", "1", "train") for video in videos)
    report = audit("small", Annotations(clips, ("Bark",), 250), Manifest(clips, videos, ("Bark",)))
    assert report["missing_videos"]["count"] == 250
    assert report["missing_videos"]["items"] == [f"v{number}" for number in range(100)]
    assert "missing videos: 250 (`v0`, `v1`, `v2`, `v3`, `v4`, `v5`, `v6`, `v7`, `v8`, `v9`, …)" in audit_markdown(
        report
    )


def test_no_clips_at_all_are_no_division_by_zero() -> None:
    report = audit("small", Annotations((), ("Bark",), 1, ("row",)), Manifest((), (), ("Bark",)))
    assert report["background_share"] is None
    assert "– of the segments" in audit_markdown(report)


def test_the_page_says_what_was_found() -> None:
    page = audit_markdown(make())
    assert "6 rows, 5 clips, 4 videos" in page
    assert "- videos in both train and test: 1 (`a`)" in page
    assert "- groups of videos with the same content: 1 (`a` = `d` in train and val and test)" in page
    assert "train and val:" not in page
    assert "| test | 2 | 2 | 75.0 % |" in page


def test_names_cannot_break_the_page() -> None:
    page = audit_markdown(make())
    assert "| 2 | &lt;script&gt;&#124;&#96;x&#96; | 0 | 0 | 0 |" in page
    assert "`<script>|'x'`" in page  # inside inline code Markdown shows it as it is


def test_background_clips_are_counted_apart_and_looked_for_in_the_splits() -> None:
    background = (
        Clip("c~2", "c", "videos/c.mp4", "", "0000", "background"),
        Clip("n", "n", "videos/n.mp4", "", "0000", "background"),
    )
    videos = (*VIDEOS, VideoFile("n", "videos/n.mp4", 10, "same"))
    clips = (*CLIPS[:4], background[0], CLIPS[4], background[1])
    report = audit("small", Annotations(clips, CATEGORIES, 8), Manifest(clips, videos, CATEGORIES))
    without = make()
    changed = {key for key in without if report[key] != without[key]} - {"num_rows", "num_videos", "num_bytes"}
    assert report["duplicate_videos_in_two_splits"] == report["duplicate_videos"]
    assert report["num_background_clips"] == 2
    assert report["num_clips"] == 5
    assert report["splits"] == without["splits"]
    assert changed == {
        "duplicate_videos", "duplicate_videos_in_two_splits", "videos_with_several_clips", "videos_in_two_splits",
        "qualities", "rows_without_split",
    }  # fmt: skip
    assert report["videos_with_several_clips"]["items"] == ["a", "c"]
    assert report["videos_in_two_splits"]["train/background"] == {"count": 1, "items": ["c"]}
    assert list(report["videos_in_two_splits"]) == [
        "train/val", "train/test", "train/background", "val/test", "val/background", "test/background",
    ]  # fmt: skip
    assert report["duplicate_videos"]["items"] == [
        {"video_ids": ["a", "d", "n"], "splits": ["train", "val", "test", "background"]}
    ]
    page = audit_markdown(report)
    assert "\n\nBackground clips, of no split, never scored, for weak training: 2.\n\n## Worth a look\n" in page
    assert "- videos in both train and background: 1 (`c`)" in page


def test_without_background_clips_the_audit_says_nothing_of_them() -> None:
    report = make()
    assert "num_background_clips" not in report
    assert not any("background" in pair for pair in report["videos_in_two_splits"])
    assert "Background clips" not in audit_markdown(report)


def test_background_clips_without_a_video_are_none_that_is_missing() -> None:
    noisy = Clip("noisy-000", "noisy-000", "", "", "0000", "background")
    manifest = Manifest((*CLIPS, noisy), (*VIDEOS, VideoFile("noisy-000", "", None, None)), CATEGORIES)
    report = audit("small", Annotations(manifest.clips, CATEGORIES, 6), manifest)
    assert report["num_background_clips"] == 1
    assert report["num_videos"] == 4
    assert report["missing_videos"] == {"count": 1, "items": ["b"]}


def audit_of(*clips: Clip, hashes: dict[str, str] | None = None, **notes: tuple[str, ...]) -> dict:
    """Audit clips whose videos exist, each with a hash of its own where `hashes` says no other."""
    ids = dict.fromkeys(clip.video_id for clip in clips)
    videos = tuple(VideoFile(id_, f"videos/{id_}.mp4", 10, (hashes or {}).get(id_, f"hash {id_}")) for id_ in ids)
    return audit("small", Annotations(clips, CATEGORIES, len(clips), **notes), Manifest(clips, videos, CATEGORIES))


def clip_of(clip_id: str, category: str, events: str, split: str = "train") -> Clip:
    video_id = clip_id.partition("~")[0]
    return Clip(clip_id, video_id, f"videos/{video_id}.mp4", category, events, split)


def test_one_video_of_two_categories_at_once_contradicts_itself() -> None:
    report = audit_of(clip_of("a", "Bark", "0110"), clip_of("a~2", "Bus", "0011", "test"))
    assert report["clips_that_contradict"] == {
        "count": 1,
        "items": ["a (train) says Bark 0110 but a~2 (test) says Bus 0011"],
    }
    assert (
        "- pairs of clips that contradict each other: 1 (`a (train) says Bark 0110 but a~2 (test) says Bus 0011`)"
        in audit_markdown(report)
    )


def test_a_video_without_a_file_is_compared_too() -> None:
    clips = (clip_of("a", "Bark", "0110"), clip_of("a~2", "Bus", "0011"))
    manifest = Manifest(clips, (VideoFile("a", "videos/a.mp4", None, None),), CATEGORIES)
    assert audit("small", Annotations(clips, CATEGORIES, 2), manifest)["clips_that_contradict"]["count"] == 1


def test_copies_contradict_by_category_or_by_events() -> None:
    report = audit_of(
        clip_of("a", "Bark", "0110"),
        clip_of("b", "Bark", "0111", "val"),
        clip_of("c", "Bark", "0110"),
        clip_of("d", "Bus", "1100"),
        hashes=dict.fromkeys("abcd", "same"),
    )
    assert report["clips_that_contradict"]["items"] == [
        "the same content: a (train) says Bark 0110 but b (val) says Bark 0111",
        "the same content: a (train) says Bark 0110 but d (train) says Bus 1100",
        "the same content: b (val) says Bark 0111 but c (train) says Bark 0110",
        "the same content: b (val) says Bark 0111 but d (train) says Bus 1100",
        "the same content: c (train) says Bark 0110 but d (train) says Bus 1100",
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (clip_of("a", "Bark", "1000"), clip_of("a~2", "Bus", "0011")),  # one after the other
        (clip_of("a", "Bark", "1100"), clip_of("a~2", "Bark", "0011")),  # two events of one category
        (clip_of("a", "Bark", "1100"), clip_of("b", "Bus", "1100")),  # other content
    ],
)
def test_what_can_both_be_true_is_no_contradiction(one: Clip, other: Clip) -> None:
    report = audit_of(one, other)
    assert "clips_that_contradict" not in report
    assert "contradict" not in audit_markdown(report)


def test_empty_files_are_no_copies_that_contradict() -> None:
    clips = (clip_of("a", "Bark", "0110"), clip_of("b", "Bus", "0110"))
    videos = tuple(VideoFile(clip.video_id, clip.path, 0, "nothing") for clip in clips)
    report = audit("small", Annotations(clips, CATEGORIES, 2), Manifest(clips, videos, CATEGORIES))
    assert "clips_that_contradict" not in report


def test_of_many_copies_the_first_hundred_are_compared() -> None:
    clips = [clip_of(f"v{number}", "Bark", f"{number:020b}") for number in range(1000)]
    report = audit_of(*clips, hashes={clip.video_id: "same" for clip in clips})
    assert report["clips_that_contradict"]["count"] == 100 * 99 // 2
    assert len(report["clips_that_contradict"]["items"]) == 100


def test_copies_in_two_splits_are_counted_as_leaks() -> None:
    ids = [f"v{number}" for number in range(240)]
    clips = [clip_of(id_, "Bark", "1111", "train" if number < 239 else "test") for number, id_ in enumerate(ids)]
    report = audit_of(*clips, hashes={id_: f"pair {number // 2}" for number, id_ in enumerate(ids)})
    assert report["duplicate_videos"]["count"] == 120
    assert report["duplicate_videos_in_two_splits"] == {
        "count": 1,
        "items": [{"video_ids": ["v238", "v239"], "splits": ["train", "test"]}],
    }
    assert "- of them across splits: 1 (`v238` = `v239` in train and test)" in audit_markdown(report)
    within = audit_of(*clips[:4], hashes={"v0": "same", "v1": "same"})
    assert within["duplicate_videos"]["count"] == 1
    assert "duplicate_videos_in_two_splits" not in within
    assert "across splits" not in audit_markdown(within)


def test_what_the_reader_noted_is_listed() -> None:
    notes = {
        "leaks_left_out": ("a~2 (train)",),
        "chosen_videos": ("b: b_2.mp4, not b_1.mp4",),
        "label_contradictions": tuple(f"row {number} <b>" for number in range(101)),
        "num_contradicting_segments": 205,
    }
    report = audit_of(clip_of("a", "Bark", "1111"), **notes)
    assert report["leaks_left_out"] == {"count": 1, "items": ["a~2 (train)"]}
    assert report["chosen_videos"]["items"] == ["b: b_2.mp4, not b_1.mp4"]
    assert report["label_contradictions"]["count"] == 101
    assert len(report["label_contradictions"]["items"]) == 100
    page = audit_markdown(report)
    assert "- clips of train and val left out, as their video is in test: 1 (`a~2 (train)`)\n" in page
    assert "- ids that name several files: 1 (`b: b_2.mp4, not b_1.mp4`)\n" in page
    assert (
        "- rows on which Annotations.txt and a label file differ (205 segments): 101 (`row 0 <b>`, `row 1 <b>`, "
        in page
    )
    assert report["num_contradicting_segments"] == 205
    json.dumps(report, allow_nan=False)


def test_what_there_is_none_of_has_no_key() -> None:
    assert list(audit_of(clip_of("a", "Bark", "1111"))) == [
        "dataset", "num_rows", "num_clips", "num_videos", "num_categories", "num_segments", "num_bytes",
        "background_share", "splits", "categories", "event_length_clips", "labels", "qualities", "missing_videos",
        "empty_videos", "duplicate_videos", "videos_with_several_clips", "videos_in_two_splits",
        "clips_without_event", "rows_without_split", "categories_without_training_clips",
    ]  # fmt: skip


def test_where_labels_and_event_shares_are_from_is_said() -> None:
    derived = audit_of(clip_of("a", "Bark", "1111"))
    assert derived["labels"] == {"segments": "annotations", "event_shares": "derived"}
    report = audit_of(clip_of("a", "Bark", "1111"), truth="right_labels.h5", event_shares="prob_label.h5")
    assert report["labels"] == {"segments": "right_labels.h5", "event_shares": "prob_label.h5"}
    assert "\n\nSegment labels: right_labels.h5. Event shares: prob_label.h5.\n\n" in audit_markdown(report)


def test_event_shares_that_are_not_those_of_the_segments_are_listed() -> None:
    clips = [replace(clip_of(name, "Bark", "1100"), event_share=share) for name, share in (("a", 0.5003), ("b", 0.75))]
    report = audit_of(*clips, clip_of("c", "Bark", "????"))
    assert report["shares_that_differ"] == {"count": 1, "items": ["b"]}
    assert "- clips whose event share is not that of their segment labels: 1 (`b`)" in audit_markdown(report)


def test_clips_without_times_are_counted_apart_from_clips_without_events() -> None:
    report = audit_of(
        clip_of("a", "Bark", "1100"),
        clip_of("b", "Bark", "0000"),
        clip_of("c", "Bark", "????"),
        hashes={"a": "same", "c": "same"},
    )
    assert report["untimed_clips"] == {"count": 1, "items": ["c"]}
    assert report["clips_without_event"] == {"count": 1, "items": ["b"]}
    assert report["splits"]["train"] == {"num_clips": 3, "num_videos": 3, "background_share": 0.75}
    assert report["background_share"] == 0.75
    assert report["event_length_clips"] == {"0": 1, "1": 0, "2": 1, "3": 0, "4": 0}
    assert report["categories"]["Bark"]["train"] == 3
    assert "clips_that_contradict" not in report
    assert "- clips with a category but without times, for weak training only: 1 (`c`)" in audit_markdown(report)


def test_a_clean_data_set_says_so() -> None:
    report = audit("small", Annotations(CLIPS[:1], ("Bark",), 1), Manifest(CLIPS[:1], VIDEOS[:1], ("Bark",)))
    assert "## Worth a look\n\nNothing.\n" in audit_markdown(report)

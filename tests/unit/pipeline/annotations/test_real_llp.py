"""The lists of LLP as released, in both published copies."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.annotations.llp import CATEGORIES, EVENTS
from pipeline.annotations.prepare import prepare
from pipeline.annotations.reader import read_clips
from pipeline.params.schema import DatasetParams
from pipeline.store.manifest import SPLITS
from pipeline.store.parsing_manifest import ParsingManifest, load_parsing_manifest

PARAMS = DatasetParams(
    name="llp",
    task="parsing",
    format="llp",
    videos="videos",
    split="official",
    ambiguous_videos="largest",
    labels="annotations",
    short_clips="mask",
    num_segments=10,
    segment_seconds=1.0,
    min_coverage=0.99,
)
COPIES = {
    "shared": "as CPSP's repository has it: three damaged rows, used as they are",
    "repository2020": "as corrected in AVVP-ECCV20",
}
"""Of ``AVVP_eval_audio.csv``, by the names that the golden vectors have for them."""
KINDS = ("audio", "visual", "both")


@pytest.fixture(scope="module")
def rows(second_golden_set: Path) -> dict:
    return json.loads((second_golden_set / "llp_rows.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def prepared(
    real_llp: Path, rows: dict, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[ParsingManifest, dict]]:
    """Return what makes a manifest and an audit of a copy; the corrected one is made from the other."""
    done: dict[str, tuple[ParsingManifest, dict]] = {}

    def of(copy: str) -> tuple[ParsingManifest, dict]:
        if copy not in done:
            folder = tmp_path_factory.mktemp(copy)
            raw = folder / "raw"
            raw.mkdir()
            for path in real_llp.glob("*.csv"):
                (raw / path.name).write_bytes(path.read_bytes())
            lines = (raw / EVENTS["audio"]).read_text().split("\n")
            for row in rows["differing_rows"]:
                lines[row["line"] - 1] = "\t".join(map(str, row[copy]))
            (raw / EVENTS["audio"]).write_text("\n".join(lines))
            manifest = prepare(PARAMS, raw, folder / "prepared", source="released")
            assert load_parsing_manifest(folder / "prepared") == manifest
            done[copy] = manifest, json.loads((folder / "prepared/audit.json").read_text(encoding="utf-8"))
        return done[copy]

    return of


def masks(manifest: ParsingManifest, split: str) -> np.ndarray:
    """Return what is heard and seen in a split, (N, 2, C, T)."""
    clips = [clip for clip in manifest.clips if clip.split == split]
    return np.stack([clip.event_masks(manifest.categories, 10) for clip in clips])


def test_the_files_here_are_the_copy_with_the_damaged_rows(real_llp: Path, rows: dict) -> None:
    lines = (real_llp / EVENTS["audio"]).read_text().split("\n")
    for row in rows["differing_rows"]:
        assert lines[row["line"] - 1] == "\t".join(map(str, row["shared"]))


@pytest.mark.parametrize("copy", COPIES)
def test_every_clip_of_the_lists_is_there_and_only_train_is_without_times(prepared, copy: str) -> None:
    manifest, report = prepared(copy)
    assert [report["splits"][split]["num_clips"] for split in SPLITS] == [10000, 649, 1200]
    assert [report["splits"][split]["num_timed_clips"] for split in SPLITS] == [0, 649, 1200]
    assert report["num_clips"] == report["num_videos"] == len({clip.video_id for clip in manifest.clips}) == 11849
    assert all(clip.video_id == clip.clip_id[:11] == clip.clip_id.rsplit("_", 2)[0] for clip in manifest.clips)
    assert {clip.clip_id: clip.video_id for clip in manifest.clips}["1-VMTJRpjbE_150_160"] == "1-VMTJRpjbE"
    assert [video.video_id for video in manifest.videos] == [clip.video_id for clip in manifest.clips]
    assert all(listed["count"] == 0 for listed in report["videos_in_two_splits"].values())


@pytest.mark.parametrize("copy", COPIES)
def test_the_truth_is_that_of_the_released_code_class_by_class(prepared, second_golden_set: Path, copy: str) -> None:
    manifest, report = prepared(copy)
    with np.load(second_golden_set / "llp_truth.npz") as released:
        for split in ("val", "test"):
            heard, seen = masks(manifest, split).transpose(1, 0, 2, 3)
            for name, truth in (("a", heard), ("v", seen), ("av", heard & seen)):
                np.testing.assert_array_equal(truth.sum(axis=(0, 2)), released[f"{split}_{copy}_count_{name}"])
    audio, both = {"shared": (14568, 9591), "repository2020": (14576, 9592)}[copy]
    counts = [[report["splits"][split][f"num_{kind}_segments"] for split in ("val", "test")] for kind in KINDS]
    assert counts == [[8089, audio], [6115, 11789], [5078, both]]


@pytest.mark.parametrize("copy", COPIES)
def test_the_truth_of_single_clips_is_that_of_the_released_code(
    prepared, rows: dict, second_golden_set: Path, copy: str
) -> None:
    manifest, _ = prepared(copy)
    assert list(manifest.categories) == rows["categories"] == list(CATEGORIES)
    clips = {clip.clip_id: clip for clip in manifest.clips}
    compared = [name for name in rows["names"] if rows["membership"][name] != "neither"]
    assert len(compared) == 13
    with np.load(second_golden_set / "llp_truth.npz") as released:
        for name in compared:
            heard, seen = clips[name].event_masks(manifest.categories, 10)
            place = rows["names"].index(name)
            np.testing.assert_array_equal(heard, released[f"audio_{copy}"][place], err_msg=name)
            np.testing.assert_array_equal(seen, released["visual"][place], err_msg=name)
            np.testing.assert_array_equal(heard & seen, released[f"av_{copy}"][place], err_msg=name)


def test_the_truth_of_every_clip_is_that_of_rows_taken_one_by_one(prepared, real_llp: Path) -> None:
    manifest, _ = prepared("shared")
    timed = [clip for clip in manifest.clips if clip.is_timed]
    place = {clip.clip_id: number for number, clip in enumerate(timed)}
    truth = np.zeros((len(timed), 2, 25, 10), bool)
    for modality, name in enumerate(EVENTS.values()):
        for line in (real_llp / name).read_text().splitlines()[1:]:
            clip_id, onset, offset, category = line.split("\t")
            if clip_id in place:
                truth[place[clip_id], modality, CATEGORIES.index(category), int(onset) : int(offset)] = True
    found = np.stack([clip.event_masks(manifest.categories, 10) for clip in timed])
    np.testing.assert_array_equal(found, truth)


@pytest.mark.parametrize("copy", COPIES)
def test_the_audit_says_which_copy_it_is(prepared, copy: str) -> None:
    _, report = prepared(copy)
    expected = f"AVVP_eval_audio.csv ({COPIES[copy]}) and AVVP_eval_visual.csv"
    assert report["labels"] == {"segments": expected}


def test_line_ends_do_not_make_another_copy_and_a_changed_row_does(real_llp: Path, tmp_path: Path) -> None:
    for path in real_llp.glob("*.csv"):
        (tmp_path / path.name).write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert COPIES["shared"] in read_clips(PARAMS, tmp_path).truth
    content = (real_llp / EVENTS["audio"]).read_bytes()
    (tmp_path / EVENTS["audio"]).write_bytes(content.replace(b"\t8\t10\tBlender\n", b"\t8\t9\tBlender\n", 1))
    assert "(another than the two published copies)" in read_clips(PARAMS, tmp_path).truth


@pytest.mark.parametrize("copy", COPIES)
def test_names_that_no_list_has_are_in_the_audit(prepared, rows: dict, copy: str) -> None:
    _, report = prepared(copy)
    for modality, key in (("audio", copy), ("visual", "visual")):
        items = report["names_in_no_list"][modality]["items"]
        assert sorted(item.split(":")[0] for item in items) == rows["names_in_eval_but_not_in_val_or_test"][key]
        like = {item.split(":")[0]: item.split(" has ")[1] for item in items if " has " in item}
        damaged = {"KvIjsmANkxI_10_20`": "KvIjsmANkxI_10_20"} if key == "shared" else {}
        assert like == {
            "VMTJRpjbE_150_160": "1-VMTJRpjbE_150_160", "19jWnmYnlD8_30_400": "19jWnmYnlD8_30_40", **damaged,
        }  # fmt: skip
    is_damaged = copy == "shared"
    assert (
        report["categories_as_names"]["audio"]["items"] == ["Baby_cry_infant_cry: 2 rows from line 930 on"][:is_damaged]
    )
    assert report["names_with_stray_characters"]["audio"]["items"] == ["KvIjsmANkxI_10_20`: line 2449"][:is_damaged]
    assert (
        report["rows_of_training_clips"]["audio"]["count"] == report["rows_of_training_clips"]["visual"]["count"] == 0
    )


@pytest.mark.parametrize("copy", COPIES)
def test_rows_that_set_nothing_or_set_it_again_are_in_the_audit(prepared, rows: dict, copy: str) -> None:
    _, report = prepared(copy)
    for key, expected in (
        ("empty_intervals", rows["empty_intervals"]),
        ("reversed_intervals", rows["reversed_intervals"]),
    ):
        assert report[key]["audio"]["items"] == [
            f"line {line}: {name}, {category}, {start} to {end} s" for line, name, start, end, category in expected
        ]
        assert report[key]["visual"]["count"] == 0
    assert report["repeated_rows"]["audio"]["count"] == 8
    overlapping = [item.split(":")[0].split(", ") for item in report["overlapping_events"]["audio"]["items"]]
    assert sorted(overlapping) == rows["overlapping_or_repeated"][copy]
    assert len(overlapping) == 16
    assert report["repeated_rows"]["visual"]["count"] == report["overlapping_events"]["visual"]["count"] == 0
    assert report["events_without_segment"]["audio"]["count"] == 0


@pytest.mark.parametrize(("copy", "num_of_test"), [("shared", 52), ("repository2020", 51)])
def test_clips_whose_tags_and_rows_differ_are_in_the_audit(prepared, rows: dict, copy: str, num_of_test: int) -> None:
    _, report = prepared(copy)
    counts = {split: listed["count"] for split, listed in report["clips_whose_tags_differ"].items()}
    assert counts == {"val": 30, "test": num_of_test}
    assert report["clips_without_rows"]["audio"]["count"] == rows["videos_without_audio_rows"] == 9
    assert report["clips_without_rows"]["visual"]["count"] == rows["videos_without_visual_rows"] == 191
    assert {split: listed["items"] for split, listed in report["repeated_tags"].items()} == {
        "train": [], "val": [], "test": ["LcFWKgFphXI_20_30: Clapping"],
    }  # fmt: skip


def test_the_leak_free_split_is_the_official_one_as_no_video_is_in_two(real_llp: Path) -> None:
    official = read_clips(PARAMS, real_llp)
    assert read_clips(PARAMS.model_copy(update={"split": "leak_free"}), real_llp) == official

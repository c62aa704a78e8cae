from pathlib import Path

import pytest

from pipeline.annotations.ave import read_ave
from pipeline.annotations.csv_parsing import read_csv_parsing
from pipeline.annotations.llp import read_llp
from pipeline.annotations.parsing_events import ParsingAnnotations
from pipeline.annotations.reader import read_clips, without_leaks
from pipeline.annotations.rules import Annotations
from pipeline.core.errors import AnnotationError
from pipeline.store.manifest import Clip
from pipeline.store.parsing_manifest import ParsedClip

ROWS = [
    "Bark&both&good&0&10",
    "Bus&both&good&2&5",
    "Bark&alone&good&6&8",
    "Bus&late&good&0&1",
    "Bark&late&good&0&1",
    "Bus&tested&good&0&1",
]


@pytest.mark.parametrize(
    ("task", "format_"),
    [
        ("localization", "synthetic"),
        ("localization", "ave"),
        ("localization", "csv"),
        ("parsing", "synthetic"),
        ("parsing", "llp"),
        ("parsing", "csv"),
    ],
)
def test_a_missing_raw_folder_says_what_to_do(dataset_params, tmp_path: Path, task: str, format_: str) -> None:
    with pytest.raises(AnnotationError, match=r"raw: .* found no folder; put there what data/small/README.md lists"):
        read_clips(dataset_params(task=task, format=format_), tmp_path / "raw")


def test_the_rendered_data_set_is_read_as_ave(dataset_params, write_ave) -> None:
    raw = write_ave(ROWS)
    assert read_clips(dataset_params(format="synthetic"), raw) == read_ave(dataset_params(), raw)


def test_for_parsing_the_rendered_data_set_is_read_as_llp(dataset_params, write_llp) -> None:
    raw = write_llp()
    for format_ in ("llp", "synthetic"):
        params = dataset_params(task="parsing", format=format_)
        assert read_clips(params, raw, "released") == read_llp(params, raw)


def test_for_parsing_tables_of_ones_own_are_two(dataset_params, write_parsing_tables) -> None:
    raw = write_parsing_tables("path,split,tags\na.mp4,train,Bark\n", "clip,modality,category,start,end\n")
    params = dataset_params(task="parsing", format="csv")
    assert read_clips(params, raw) == read_csv_parsing(params, raw)


def test_a_table_of_ones_own_is_read_whatever_the_features(dataset_params, write_table) -> None:
    raw = write_table("path,category,start,end,split\ndog.mp4,Bark,0,3,train\n")
    params = dataset_params(format="csv")
    assert read_clips(params, raw, "released") == read_clips(params, raw)
    assert [clip.clip_id for clip in read_clips(params, raw).clips] == ["dog"]


def test_train_and_val_clips_of_a_video_in_test_are_left_out_on_demand(dataset_params, write_ave) -> None:
    raw = write_ave(ROWS, orders=([0, 3], [2, 4], [1, 5]))
    official = read_clips(dataset_params(), raw)
    leak_free = read_clips(dataset_params(split="leak_free"), raw)
    assert official.leaks_left_out == ()
    assert leak_free.leaks_left_out == ("both (train)",)
    assert [clip.clip_id for clip in leak_free.clips] == ["both~2", "alone", "late", "late~2", "tested"]
    assert leak_free.categories == official.categories
    assert leak_free.num_rows == 6


def test_every_clip_of_a_leaking_video_goes_and_no_other() -> None:
    def clip(clip_id: str, split: str) -> Clip:
        video_id = clip_id.partition("~")[0]
        return Clip(clip_id, video_id, f"videos/{video_id}.mp4", "Bark", "1", split)

    kept = (clip("a", "test"), clip("a~2", "background"), clip("b", "train"), clip("b~2", "val"), clip("c", "test"))
    leaks = (clip("a~3", "val"), clip("a~4", "train"))
    annotations = without_leaks(Annotations((*kept[:2], *leaks, *kept[2:]), ("Bark",), 7))
    assert annotations == Annotations(kept, ("Bark",), 7, leaks_left_out=("a~3 (val)", "a~4 (train)"))


def test_leaks_of_parsing_are_left_out_likewise() -> None:
    def clip(clip_id: str, video_id: str, split: str) -> ParsedClip:
        events = None if split == "train" else {}
        return ParsedClip(clip_id, video_id, f"{video_id}.mp4", ("Bark",), events, events, split)

    kept = (clip("a_0", "a", "test"), clip("b_0", "b", "train"), clip("b_9", "b", "val"))
    leaks = (clip("a_2", "a", "val"), clip("a_1", "a", "train"))
    annotations = ParsingAnnotations((*leaks, *kept), ("Bark",), 5, {}, "lists")
    assert without_leaks(annotations) == ParsingAnnotations(
        kept, ("Bark",), 5, {}, "lists", leaks_left_out=("a_2 (val)", "a_1 (train)")
    )


def test_background_clips_come_with_released_features_and_no_split_touches_them(
    dataset_params, write_ave, write_labels
) -> None:
    raw = write_ave(ROWS, orders=([0, 3], [2, 4], [1, 5]))
    write_labels(raw, "labels_noisy.h5", [[0, 0, 1]])
    released = read_clips(dataset_params(split="leak_free"), raw, "released")
    assert [clip.clip_id for clip in released.clips if clip.split == "background"] == ["noisy-000"]
    assert released.leaks_left_out == ("both (train)",)
    assert not any(clip.split == "background" for clip in read_clips(dataset_params(), raw).clips)

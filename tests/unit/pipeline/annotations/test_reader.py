from pathlib import Path

import pytest

from pipeline.annotations.reader import read_clips, without_leaks
from pipeline.annotations.rules import Annotations
from pipeline.core.errors import AnnotationError
from pipeline.store.manifest import Clip

ROWS = [
    "Bark&both&good&0&10",
    "Bus&both&good&2&5",
    "Bark&alone&good&6&8",
    "Bus&late&good&0&1",
    "Bark&late&good&0&1",
    "Bus&tested&good&0&1",
]


@pytest.mark.parametrize("format_", ["synthetic", "ave", "csv"])
def test_a_missing_raw_folder_says_what_to_do(dataset_params, tmp_path: Path, format_: str) -> None:
    with pytest.raises(AnnotationError, match=r"raw: .* found no folder; put there what data/small/README.md lists"):
        read_clips(dataset_params(format=format_), tmp_path / "raw")


def test_the_rendered_data_set_is_read_as_ave(dataset_params, write_ave) -> None:
    raw = write_ave(ROWS)
    assert read_clips(dataset_params(format="synthetic"), raw) == read_clips(dataset_params(), raw)


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


def test_background_clips_come_with_released_features_and_no_split_touches_them(
    dataset_params, write_ave, write_labels
) -> None:
    raw = write_ave(ROWS, orders=([0, 3], [2, 4], [1, 5]))
    write_labels(raw, "labels_noisy.h5", [[0, 0, 1]])
    released = read_clips(dataset_params(split="leak_free"), raw, "released")
    assert [clip.clip_id for clip in released.clips if clip.split == "background"] == ["noisy-000"]
    assert released.leaks_left_out == ("both (train)",)
    assert not any(clip.split == "background" for clip in read_clips(dataset_params(), raw).clips)

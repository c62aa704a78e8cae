import h5py
import numpy as np
import pytest

from pipeline.annotations.ave import read_ave
from pipeline.core.errors import AnnotationError

ROWS = [
    "Church bell&aaa&good&0&10",
    "Bark&bbb&good&2&5",
    "Church bell&aaa&good&6&8",
    "Accordion&-c_&bad&0&0",
]


def test_rows_become_clips_in_the_order_of_the_file(dataset_params, write_ave) -> None:
    raw = write_ave(ROWS, orders=([0, 3], [1], [2]))
    annotations = read_ave(dataset_params(), raw)
    assert [tuple(vars(clip).values()) for clip in annotations.clips] == [
        ("aaa", "aaa", "videos/aaa.mp4", "Church bell", "1111111111", "train", 1.0),
        ("bbb", "bbb", "videos/bbb.mp4", "Bark", "0011100000", "val", 0.3),
        ("aaa~2", "aaa", "videos/aaa.mp4", "Church bell", "0000001100", "test", 0.2),
        ("-c_", "-c_", "videos/-c_.mp4", "Accordion", "0000000000", "train", 0.0),
    ]
    assert annotations.num_rows == 4
    assert annotations.qualities == {"good": 3, "bad": 1}


def test_classes_are_numbered_as_first_named_not_by_the_alphabet(dataset_params, write_ave) -> None:
    assert read_ave(dataset_params(), write_ave(ROWS)).categories == ("Church bell", "Bark", "Accordion")


def test_the_split_may_be_rows_or_row_numbers(dataset_params, write_ave) -> None:
    by_rows = read_ave(dataset_params(), write_ave(ROWS, sets=([3, 0], [1], [2])))
    both = read_ave(dataset_params(), write_ave(ROWS, orders=([0, 3], [1], [2]), sets=([3, 0], [1], [2])))
    assert by_rows == both


@pytest.mark.parametrize("sets", [None, ([0, 2, 3], [1], [])])
def test_clips_of_a_split_come_in_the_order_of_its_row_numbers(dataset_params, write_ave, sets) -> None:
    raw = write_ave(ROWS, orders=([3, 2, 0], [1], []), sets=sets)
    assert [clip.clip_id for clip in read_ave(dataset_params(), raw).clips] == ["-c_", "bbb", "aaa~2", "aaa"]


def test_a_header_line_shifts_no_row_number(dataset_params, write_ave) -> None:
    header = "Category&VideoID&Quality&StartTime&EndTime"
    raw = write_ave(ROWS, orders=([0, 3], [1], [2]), header=header)
    (raw / "Annotations.txt").write_text("\n".join([header, *ROWS]) + "\r\n\r\n", encoding="utf-8")
    assert [clip.split for clip in read_ave(dataset_params(), raw).clips] == ["train", "val", "test", "train"]


def test_a_header_line_in_the_split_is_skipped(dataset_params, write_ave) -> None:
    raw = write_ave(ROWS)
    text = (raw / "trainSet.txt").read_text(encoding="utf-8")
    (raw / "trainSet.txt").write_text(f"Category&VideoID&Quality&StartTime&EndTime\n{text}", encoding="utf-8")
    assert len(read_ave(dataset_params(), raw).clips) == 4


def test_rows_in_no_split_are_left_out_and_listed(dataset_params, write_ave) -> None:
    annotations = read_ave(dataset_params(), write_ave(ROWS, orders=([2], [], [1])))
    assert [clip.clip_id for clip in annotations.clips] == ["bbb", "aaa~2"]
    assert annotations.rows_without_split == (ROWS[0], ROWS[3])
    assert annotations.categories == ("Church bell", "Bark", "Accordion")


def test_two_forms_of_the_split_that_disagree_are_refused_naming_the_first_row(dataset_params, write_ave) -> None:
    raw = write_ave(ROWS, orders=([0, 3], [1], [2]), sets=([0, 3], [2], [1]))
    with pytest.raises(AnnotationError, match=r"line 2, 'Bark&bbb&good&2&5': .* val by \*_order.h5, found test by"):
        read_ave(dataset_params(), raw)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("Bark&x&good&0", r"line 2: expected Category&VideoID&Quality&Start&End, found 'Bark&x&good&0'"),
        ("Bark&x&good&0&1&2", r"line 2: expected Category&"),
        ("", r"line 2: expected Category&VideoID&Quality&Start&End, found ''"),
        ("&x&good&0&1", r"line 2: expected a category, found nothing"),
        ("background&x&good&0&1", r"line 2: expected a category, found 'background'"),
        ("Bark&../x&good&0&1", r"line 2: expected an id that can be a file name, found '../x'"),
        ("Bark&a/x&good&0&1", r"found 'a/x', which leads to another folder"),
        ("Bark&a\0x&good&0&1", r"found 'a\\x00x', with a control character"),
        ("Bark&&good&0&1", r"expected an id that can be a file name, found nothing"),
        ("Bark&x&good&3&1", r"line 2: expected start and end in seconds within the clip, found start 3 after end 1"),
        ("Bark&x&good&-1&1", r"found '-1', which is negative"),
        ("Bark&x&good&0&11", r"found end 11 after the clip's 10 s; mend the row, or dataset.num_segments"),
        ("Bark&x&good&a&b", r"found 'a', not a plain number"),
        ("Church bell&aaa&good&0&10", r"line 2: expected every row once, found line 1 again"),
    ],
)
def test_a_faulty_row_is_refused_with_its_line(dataset_params, write_ave, row: str, message: str) -> None:
    raw = write_ave([ROWS[0], row, ROWS[1]])
    with pytest.raises(AnnotationError, match=message) as error:
        read_ave(dataset_params(), raw)
    assert str(error.value).startswith(f"{raw / 'Annotations.txt'} has 1 fault: ")
    assert "\n" not in str(error.value)


def test_faulty_rows_are_reported_together(dataset_params, write_ave) -> None:
    raw = write_ave([f"Bark&x/{number}&good&5&1" for number in range(8)])
    with pytest.raises(AnnotationError, match="has 16 faults, the first 10"):
        read_ave(dataset_params(), raw)


def test_two_videos_that_would_share_a_clip_id_are_refused(dataset_params, write_ave) -> None:
    raw = write_ave(["Bark&a&good&0&1", "Bark&a~2&good&0&1", "Bark&a&good&2&3"])
    with pytest.raises(AnnotationError, match=r"line 3: expected an id of its own for every clip, found 'a~2' twice"):
        read_ave(dataset_params(), raw)


def test_missing_annotations_say_what_to_put_where(dataset_params, tmp_path) -> None:
    with pytest.raises(AnnotationError, match=r"Annotations.txt: .* found no file; .* see data/small/README.md"):
        read_ave(dataset_params(), tmp_path)


def test_annotations_without_rows_are_refused(dataset_params, write_ave) -> None:
    with pytest.raises(AnnotationError, match="expected a row per clip, found none"):
        read_ave(dataset_params(), write_ave([]))


@pytest.mark.parametrize("missing", ["trainSet.txt", "valSet.txt", "testSet.txt"])
def test_a_split_with_a_file_missing_is_refused(dataset_params, write_ave, missing: str) -> None:
    raw = write_ave(ROWS)
    (raw / missing).unlink()
    with pytest.raises(AnnotationError, match=r"expected trainSet.txt, .* found \w+Set.txt, \w+Set.txt; put"):
        read_ave(dataset_params(), raw)


def test_no_split_at_all_is_refused(dataset_params, write_ave) -> None:
    raw = write_ave(ROWS)
    for path in raw.glob("*Set.txt"):
        path.unlink()
    with pytest.raises(AnnotationError, match="found none of them"):
        read_ave(dataset_params(), raw)


@pytest.mark.parametrize(
    ("orders", "message"),
    [
        (([0, 4], [], []), r"train_order.h5 place 1: expected row numbers from 0 to 3, found row 4"),
        (([0], [-1], []), r"val_order.h5 place 0: expected row numbers from 0 to 3, found row -1"),
        (([0, 0], [], []), r"train_order.h5 place 1: .* found row 0, which is in train already"),
        (([0], [1], [2, 1]), r"test_order.h5 place 1: .* found row 1, which is in val already"),
    ],
)
def test_row_numbers_that_contradict_the_rows_are_refused(dataset_params, write_ave, orders, message) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_ave(dataset_params(), write_ave(ROWS, orders=orders))


@pytest.mark.parametrize("content", [np.zeros(2), np.zeros((2, 1), dtype=int), None])
def test_an_order_of_another_shape_or_type_is_refused(dataset_params, write_ave, content) -> None:
    raw = write_ave(ROWS, orders=([0], [1], [2]))
    with h5py.File(raw / "val_order.h5", "w") as file:
        if content is not None:
            file["order"] = content
    with pytest.raises(AnnotationError, match=r"val_order.h5: expected data set `order`, whole numbers"):
        read_ave(dataset_params(), raw)


def test_an_order_that_is_not_hdf5_is_refused(dataset_params, write_ave) -> None:
    raw = write_ave(ROWS, orders=([0], [1], [2]))
    (raw / "val_order.h5").write_text("<html>", encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"val_order.h5: expected an HDF5 file"):
        read_ave(dataset_params(), raw)


def test_a_split_row_that_no_annotation_has_is_refused(dataset_params, write_ave) -> None:
    raw = write_ave(ROWS)
    (raw / "valSet.txt").write_text("Bark&bbb&good&2&6\n", encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"valSet.txt has 1 fault: line 1: expected a row of Annotations.txt"):
        read_ave(dataset_params(), raw)


def test_a_row_in_two_splits_is_refused(dataset_params, write_ave) -> None:
    raw = write_ave(ROWS, sets=([0, 1], [2], [3, 1]))
    with pytest.raises(AnnotationError, match=r"testSet.txt has 1 fault: line 2: .* which is in train already"):
        read_ave(dataset_params(), raw)

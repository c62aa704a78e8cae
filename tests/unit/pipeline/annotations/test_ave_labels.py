import numpy as np
import pytest

from pipeline.annotations.ave import read_ave
from pipeline.core.errors import AnnotationError
from pipeline.store.manifest import Clip

ROWS = [
    "Church bell&aaa&good&0&10",
    "Bark&bbb&good&2&5",
    "Church bell&aaa&good&6&8",
    "Accordion&-c_&bad&0&0",
]
CATEGORY_LABELS = np.eye(4, dtype=np.float32)[[0, 1, 0, 2]]  # classes of ROWS; the last column is background
SEGMENT_LABELS = np.zeros((4, 10, 4), dtype=np.float32)
for _row, (_class, _start, _end) in enumerate([(0, 0, 10), (1, 2, 5), (0, 6, 8), (2, 0, 0)]):
    SEGMENT_LABELS[_row, :, 3] = 1
    SEGMENT_LABELS[_row, _start:_end] = np.eye(4)[_class]
BACKGROUND_LABELS = np.eye(4, dtype=np.float32)[[3, 3]]


def changed(labels: np.ndarray, place: tuple[int, ...], value: float) -> np.ndarray:
    labels = labels.copy()
    labels[place] = value
    return labels


@pytest.mark.parametrize("data_set", ["avadataset", "dataset"])
@pytest.mark.parametrize("dtype", [np.float64, np.int8, np.bool_])
def test_labels_that_agree_change_nothing(dataset_params, write_ave, write_labels, data_set, dtype) -> None:
    raw = write_ave(ROWS)
    without = read_ave(dataset_params(), raw)
    write_labels(raw, "mil_labels.h5", CATEGORY_LABELS.astype(dtype), data_set=data_set)
    for name in ("right_labels.h5", "right_label.h5", "labels.h5"):
        write_labels(raw, name, SEGMENT_LABELS.astype(dtype), data_set=data_set)
    assert read_ave(dataset_params(), raw) == without
    assert without.label_contradictions == ()


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([0, 2, 1, 3], r"row 1: expected 'Bark', .* in line 2, found 'Church bell' \(rows that differ: 2\); "),
        ([3, 1, 2, 0], r"row 0: expected 'Church bell', .* in line 1, found 'Accordion' \(rows that differ: 2\); "),
        (
            [3, 0, 1, 2],
            r"row 0: .* found 'Accordion' \(rows that differ: 4\); the labels are in another order or of an",
        ),
    ],
)
def test_category_labels_in_another_order_are_refused_naming_the_first_row(
    dataset_params, write_ave, write_labels, order: list[int], message: str
) -> None:
    raw = write_ave(ROWS)
    write_labels(raw, "mil_labels.h5", CATEGORY_LABELS[order])
    with pytest.raises(AnnotationError, match=rf"mil_labels.h5 {message}"):
        read_ave(dataset_params(), raw)


@pytest.mark.parametrize(
    ("class_", "value", "found"),
    [(1, 0, "no class"), (2, 1, "'Bark' and 'Accordion'"), (3, 1, "'Bark' and background")],
)
def test_category_labels_name_the_category_alone(
    dataset_params, write_ave, write_labels, class_: int, value: int, found: str
) -> None:
    raw = write_ave(ROWS, header="Category&VideoID&Quality&StartTime&EndTime")
    write_labels(raw, "mil_labels.h5", changed(CATEGORY_LABELS, (1, class_), value))
    with pytest.raises(AnnotationError, match=rf"row 1: expected 'Bark', .* in line 3, found {found} \(rows"):
        read_ave(dataset_params(), raw)


@pytest.mark.parametrize("name", ["right_labels.h5", "right_label.h5", "labels.h5"])
def test_segment_labels_of_another_category_are_refused(dataset_params, write_ave, write_labels, name: str) -> None:
    raw = write_ave(ROWS)
    write_labels(raw, name, SEGMENT_LABELS[[0, 2, 1, 3]])
    with pytest.raises(AnnotationError, match=rf"{name} row 1: expected 'Bark', .* found 'Church bell' \(rows"):
        read_ave(dataset_params(), raw)


def other_segments() -> np.ndarray:
    """Return labels that differ in three segments of two rows."""
    labels = changed(SEGMENT_LABELS, (1, 4), np.array([0, 0, 0, 1]))
    labels[3, :2] = [0, 0, 1, 0]
    return labels


def test_segment_labels_that_differ_are_noted_and_the_annotation_wins(dataset_params, write_ave, write_labels) -> None:
    raw = write_ave(ROWS, header="Category&VideoID&Quality&StartTime&EndTime")
    without = read_ave(dataset_params(), raw)
    write_labels(raw, "right_labels.h5", other_segments())
    annotations = read_ave(dataset_params(), raw)
    assert annotations.clips == without.clips
    assert annotations.truth == without.truth == "Annotations.txt"
    assert annotations.num_contradicting_segments == 3
    assert annotations.label_contradictions == (
        "row 1, line 3, bbb: Annotations.txt says 0011100000, right_labels.h5 says 0011000000",
        "row 3, line 5, -c_: Annotations.txt says 0000000000, right_labels.h5 says 1100000000",
    )


@pytest.mark.parametrize("name", ["right_labels.h5", "right_label.h5", "labels.h5"])
def test_released_segment_labels_win_where_they_are_asked_for(dataset_params, write_ave, write_labels, name) -> None:
    raw = write_ave(ROWS, orders=([0, 3], [2], [1]))
    write_labels(raw, name, other_segments())
    by_row, released = read_ave(dataset_params(), raw), read_ave(dataset_params(labels="released"), raw)
    assert [clip.events for clip in released.clips] == ["1111111111", "0011000000", "0000001100", "1100000000"]
    assert [clip.event_share for clip in released.clips] == [1.0, 0.2, 0.2, 0.2]
    assert [clip.category for clip in released.clips] == [clip.category for clip in by_row.clips]
    assert released.truth == name
    assert released.label_contradictions == by_row.label_contradictions
    assert len(released.label_contradictions) == 2


def test_without_released_labels_the_annotations_are_the_truth(dataset_params, write_ave) -> None:
    raw = write_ave(ROWS)
    released = read_ave(dataset_params(labels="released"), raw)
    assert released.clips == read_ave(dataset_params(), raw).clips
    assert released.truth == "Annotations.txt, as none of right_labels.h5, right_label.h5, labels.h5 is there"


def test_two_released_label_files_have_to_say_the_same(dataset_params, write_ave, write_labels) -> None:
    raw = write_ave(ROWS)
    write_labels(raw, "right_labels.h5", SEGMENT_LABELS)
    write_labels(raw, "labels.h5", other_segments())
    assert len(read_ave(dataset_params(), raw).label_contradictions) == 2
    message = r"labels.h5 row 1: expected 0011100000, as right_labels.h5 says, .* released, found 0011000000; leave the"
    with pytest.raises(AnnotationError, match=message):
        read_ave(dataset_params(labels="released"), raw)


@pytest.mark.parametrize("labels", ["annotations", "released"])
@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((2, 0), [0, 0, 0, 0], r"row 2 segment 0: expected one class, found no class \(such segments: 1\); use the"),
        ((0, 3), [1, 0, 0, 1], r"row 0 segment 3: expected one class, found 'Church bell' and background \(such"),
        (
            (1, 5),
            [0, 0, 1, 0],
            r"row 1: expected 'Bark', .* in line 2, found 'Bark' and 'Accordion' \(rows that differ: 1",
        ),
        ((3, 0), [1, 0, 0, 0], r"row 3: expected 'Accordion', .* in line 4, found 'Church bell' \(rows that differ: 1"),
    ],
)
def test_segments_of_no_or_two_classes_and_clips_of_another_category_are_refused(
    dataset_params, write_ave, write_labels, labels: str, place, value: list[int], message: str
) -> None:
    raw = write_ave(ROWS)
    write_labels(raw, "right_labels.h5", changed(SEGMENT_LABELS, place, np.array(value)))
    with pytest.raises(AnnotationError, match=rf"right_labels.h5 {message}") as caught:
        read_ave(dataset_params(labels=labels), raw)
    assert "\n" not in str(caught.value)


def test_segment_labels_without_any_event_are_no_other_category(dataset_params, write_ave, write_labels) -> None:
    raw = write_ave(ROWS)
    write_labels(raw, "labels.h5", changed(SEGMENT_LABELS, (1,), np.array([0, 0, 0, 1])))
    assert read_ave(dataset_params(), raw).label_contradictions == (
        "row 1, line 2, bbb: Annotations.txt says 0011100000, labels.h5 says 0000000000",
    )


@pytest.mark.parametrize(("name", "labels"), [("mil_labels.h5", CATEGORY_LABELS), ("right_labels.h5", SEGMENT_LABELS)])
def test_labels_too_few_or_too_many_are_refused(dataset_params, write_ave, write_labels, name, labels) -> None:
    raw = write_ave(ROWS)
    write_labels(raw, name, labels[:3])
    with pytest.raises(
        AnnotationError,
        match=rf"{name}: expected a row for each of the 4 in Annotations.txt, found 3, row 3, line 4 "
        r"'Accordion&-c_&bad&0&0', is the first without labels; ",
    ):
        read_ave(dataset_params(), raw)
    write_labels(raw, name, np.concatenate([labels, labels]))
    with pytest.raises(AnnotationError, match=r"found 8, row 4 is the first without a line; "):
        read_ave(dataset_params(), raw)


@pytest.mark.parametrize("value", [0.5, 2, -1, float("nan")])
def test_labels_other_than_zero_and_one_are_refused(dataset_params, write_ave, write_labels, value: float) -> None:
    raw = write_ave(ROWS)
    path = write_labels(raw, "right_labels.h5", changed(SEGMENT_LABELS, (2, 5, 1), value))
    with pytest.raises(
        AnnotationError, match=rf"right_labels.h5 row 2 segment 5 class 1: expected 0 or 1, found {value:g}; "
    ):
        read_ave(dataset_params(), raw)
    path.unlink()
    write_labels(raw, "mil_labels.h5", changed(CATEGORY_LABELS, (2, 3), value))
    with pytest.raises(AnnotationError, match=rf"mil_labels.h5 row 2 class 3: expected 0 or 1, found {value:g}; "):
        read_ave(dataset_params(), raw)


@pytest.mark.parametrize(
    ("name", "labels", "message"),
    [
        ("mil_labels.h5", CATEGORY_LABELS[:, :3], r"shape \(rows, 4\), found shape \(4, 3\), float32; use the"),
        ("mil_labels.h5", SEGMENT_LABELS, r"shape \(rows, 4\), found shape \(4, 10, 4\), float32"),
        ("right_labels.h5", SEGMENT_LABELS[:, :9], r"shape \(rows, 10, 4\), found shape \(4, 9, 4\), float32"),
        ("right_labels.h5", CATEGORY_LABELS, r"shape \(rows, 10, 4\), found shape \(4, 4\), float32"),
        ("mil_labels.h5", CATEGORY_LABELS.astype("S1"), r"shape \(rows, 4\), found shape \(4, 4\), \|S1"),
        ("mil_labels.h5", 1.0, r"shape \(rows, 4\), found shape \(\), float64"),
    ],
)
def test_labels_of_another_shape_or_type_are_refused(
    dataset_params, write_ave, write_labels, name: str, labels, message: str
) -> None:
    raw = write_ave(ROWS)
    write_labels(raw, name, labels)
    with pytest.raises(AnnotationError, match=rf"{name}: expected data set `avadataset`, numbers of {message}"):
        read_ave(dataset_params(), raw)


def test_labels_under_another_name_are_refused(dataset_params, write_ave, write_labels) -> None:
    raw = write_ave(ROWS)
    write_labels(raw, "mil_labels.h5", CATEGORY_LABELS, data_set="order")
    with pytest.raises(AnnotationError, match=r"mil_labels.h5: expected data set `avadataset`, .* found \['order'\]"):
        read_ave(dataset_params(), raw)


def test_labels_that_are_not_hdf5_are_refused(dataset_params, write_ave) -> None:
    raw = write_ave(ROWS)
    (raw / "mil_labels.h5").write_text("<html>", encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"mil_labels.h5: expected an HDF5 file, found none that can be read"):
        read_ave(dataset_params(), raw)


def test_released_features_bring_their_background_clips(dataset_params, write_ave, write_labels) -> None:
    raw = write_ave(ROWS, orders=([3, 0], [1], [2]))
    write_labels(raw, "labels_noisy.h5", BACKGROUND_LABELS)
    extracted = read_ave(dataset_params(), raw)
    released = read_ave(dataset_params(), raw, "released")
    assert not any(clip.split == "background" for clip in extracted.clips)
    assert released.clips == (
        *extracted.clips,
        Clip("noisy-000", "noisy-000", "", "", "0000000000", "background"),
        Clip("noisy-001", "noisy-001", "", "", "0000000000", "background"),
    )
    assert released.categories == extracted.categories
    assert released.num_rows == 4


def test_released_features_without_background_clips_bring_none(dataset_params, write_ave) -> None:
    raw = write_ave(ROWS)
    assert read_ave(dataset_params(), raw, "released") == read_ave(dataset_params(), raw)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((1, 3), 0, r"row 1: expected background alone, the last class, found no class; "),
        ((1, 1), 1, r"row 1: expected background alone, the last class, found 'Bark' and background; "),
        ((0, 3), 0.5, r"row 0 class 3: expected 0 or 1, found 0.5; "),
    ],
)
def test_background_labels_that_name_something_else_are_refused(
    dataset_params, write_ave, write_labels, place, value: float, message: str
) -> None:
    raw = write_ave(ROWS)
    write_labels(raw, "labels_noisy.h5", changed(BACKGROUND_LABELS, place, value))
    with pytest.raises(AnnotationError, match=rf"labels_noisy.h5 {message}"):
        read_ave(dataset_params(), raw, "released")


def test_background_labels_of_another_width_are_refused(dataset_params, write_ave, write_labels) -> None:
    raw = write_ave(ROWS)
    write_labels(raw, "labels_noisy.h5", np.eye(5)[[4, 4]])
    with pytest.raises(AnnotationError, match=r"labels_noisy.h5: .* shape \(rows, 4\), found shape \(2, 5\), float64"):
        read_ave(dataset_params(), raw, "released")


@pytest.mark.parametrize("split", ["train", None])
def test_a_video_called_like_a_background_clip_is_refused(dataset_params, write_ave, write_labels, split) -> None:
    raw = write_ave([*ROWS, "Bark&noisy-001&good&0&1"], orders=([0, 4] if split else [0], [1], [2]))
    write_labels(raw, "labels_noisy.h5", BACKGROUND_LABELS)
    assert read_ave(dataset_params(), raw).num_rows == 5
    with pytest.raises(
        AnnotationError,
        match=r"Annotations.txt line 5: expected another id than those that the clips of labels_noisy.h5 get, "
        r"noisy-000 to noisy-001, found 'noisy-001'; ",
    ):
        read_ave(dataset_params(), raw, "released")


@pytest.mark.parametrize("names", [["audio_feature_noisy.h5"], ["audio_feature_noisy.h5", "visual_feature_noisy.h5"]])
def test_background_features_without_labels_are_refused(dataset_params, write_ave, names: list[str]) -> None:
    raw = write_ave(ROWS)
    for name in names:
        (raw / name).write_bytes(b"")
    assert len(read_ave(dataset_params(), raw).clips) == 4
    expected = r"labels_noisy.h5: expected labels that say " + " and ".join(names) + " are of background, found no file"
    with pytest.raises(AnnotationError, match=expected):
        read_ave(dataset_params(), raw, "released")

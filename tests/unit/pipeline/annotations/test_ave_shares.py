import h5py
import numpy as np
import pytest

from pipeline.annotations.ave import read_ave
from pipeline.core.errors import AnnotationError

ROWS = ["Church bell&aaa&good&0&10", "Bark&bbb&good&2&5", "Church bell&aaa&good&6&8", "Accordion&-c_&bad&0&0"]
SHARES = np.array([[1, 0, 0, 0], [0, 0.4, 0, 0.6], [0.2, 0, 0, 0.8], [0, 0, 0, 1]])


@pytest.mark.parametrize("data_set", ["avadataset", "prob_label"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_shares_of_the_file_are_those_of_the_clips(
    dataset_params, write_ave, write_labels, data_set, dtype
) -> None:
    raw = write_ave(ROWS, orders=([0, 3], [1], [2]))
    derived = read_ave(dataset_params(), raw)
    write_labels(raw, "prob_label.h5", SHARES.astype(dtype), data_set=data_set)
    annotations = read_ave(dataset_params(), raw)
    expected = [1, float(dtype(0.4)), float(dtype(0.2)), 0]
    assert [clip.event_share for clip in annotations.clips] == expected
    assert annotations.event_shares == "prob_label.h5"
    assert [clip.event_share for clip in derived.clips] == [1, 0.3, 0.2, 0]
    assert derived.event_shares == "derived"
    assert [clip.events for clip in annotations.clips] == [clip.events for clip in derived.clips]


@pytest.mark.parametrize(
    ("row", "shares", "found"),
    [
        (0, [1.2, 0, 0, -0.2], "-0.2 of background"),
        (1, [0, 0.4, 0, 0.5], "the sum 0.9"),
        (1, [0, 0.4, 0.1, 0.5], "0.1 of 'Accordion'"),
        (2, [0, 0.2, 0, 0.8], "0.2 of 'Bark'"),
        (3, [np.nan, 0, 0, 1], "nan of 'Church bell'"),
        (3, [0, 0, np.inf, 1], "inf of 'Accordion'"),
    ],
)
def test_a_row_that_is_no_such_share_is_refused(dataset_params, write_ave, write_labels, row, shares, found) -> None:
    raw = write_ave(ROWS)
    values = SHARES.copy()
    values[row] = shares
    write_labels(raw, "prob_label.h5", values)
    category = ROWS[row].partition("&")[0]
    message = (
        rf"prob_label.h5 row {row}: expected shares of '{category}' \(line {row + 1} of .*, found {found}; the file"
    )
    with pytest.raises(AnnotationError, match=message) as caught:
        read_ave(dataset_params(), raw)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shares", [SHARES[:3], SHARES[:, :3], SHARES[:, None], SHARES.astype("S3")])
def test_shares_of_another_shape_or_type_are_refused(dataset_params, write_ave, write_labels, shares) -> None:
    raw = write_ave(ROWS)
    write_labels(raw, "prob_label.h5", shares)
    message = r"prob_label.h5: expected one data set, numbers of shape \(4, 4\), a row for each .*, found shape \("
    with pytest.raises(AnnotationError, match=message):
        read_ave(dataset_params(), raw)


def test_a_file_of_two_data_sets_is_refused(dataset_params, write_ave, write_labels) -> None:
    raw = write_ave(ROWS)
    with h5py.File(write_labels(raw, "prob_label.h5", SHARES), "a") as file:
        file["other"] = SHARES
    with pytest.raises(AnnotationError, match=r"expected one data set, .* found \['avadataset', 'other'\]"):
        read_ave(dataset_params(), raw)

"""Which order of rows the annotations allow, and which one the doubled videos prove."""

import numpy as np
import pytest

from pipeline.core.errors import AnnotationError
from pipeline.doctor.orders import examine_order, possible_orders

ANNOTATED = ["d", "b", "a", "b", "c", "d"]


@pytest.fixture
def features_of():
    """Return a maker of rows: equal ones for equal videos."""

    def make(video_ids):
        return np.stack([np.random.default_rng(ord(name)).random((4, 3)) for name in video_ids])

    return make


@pytest.mark.parametrize(
    ("order", "told"), [(ANNOTATED, "annotation order"), (sorted(ANNOTATED), "sorted video ids"), ("adbcbd", None)]
)
def test_doubled_videos_tell_the_order(order, told, features_of, in_memory, write_annotations):
    evidence = examine_order(in_memory(features_of(order)), write_annotations(ANNOTATED))
    assert (evidence.num_annotated, evidence.num_videos, evidence.num_pairs) == (6, 4, 2)
    assert evidence.told == told
    if told:
        assert evidence.num_equal[told] == 2


def test_rows_that_differ_by_rounding_are_equal_and_missing_ones_are_not(features_of, in_memory, write_annotations):
    rows = features_of(ANNOTATED)
    rows[3] += 1e-5
    rows[[0, 5]] = 0
    evidence = examine_order(in_memory(rows), write_annotations(ANNOTATED))
    assert evidence.num_equal["annotation order"] == 1


def test_rows_that_are_all_equal_tell_no_order(features_of, in_memory, write_annotations):
    evidence = examine_order(in_memory(features_of("aaaaaa")), write_annotations(ANNOTATED))
    assert set(evidence.num_equal.values()) == {2}
    assert evidence.told is None


def test_a_row_per_video_has_two_orders_and_nothing_that_tells_them_apart(features_of, in_memory, write_annotations):
    evidence = examine_order(in_memory(features_of("dbac")), write_annotations(ANNOTATED))
    assert [order.video_ids for order in evidence.orders] == [("d", "b", "a", "c"), ("a", "b", "c", "d")]
    assert (evidence.num_pairs, evidence.told) == (0, None)


def test_another_number_of_rows_fits_no_order(features_of, in_memory, write_annotations):
    evidence = examine_order(in_memory(features_of("abcde")), write_annotations(ANNOTATED))
    assert (evidence.orders, evidence.num_pairs, evidence.told) == ((), 0, None)


def test_annotations_that_are_sorted_allow_one_order():
    assert [order.name for order in possible_orders(3, ["a", "b", "b"])] == ["annotation order"]


def test_annotations_of_another_form_are_refused(features_of, in_memory, tmp_path):
    (tmp_path / "Annotations.txt").write_text("a,b,c\n")
    with pytest.raises(AnnotationError, match="Category&VideoID&Quality&Start&End"):
        examine_order(in_memory(features_of("ab")), tmp_path / "Annotations.txt")

import pytest

from pipeline.drawing.timelines import Lane, Span, TimeAxis, find_spans


class TestSpans:
    def test_join_neighbours_of_one_name_that_are_equally_masked(self):
        found = find_spans(("dog", "dog", "dog", "cat"), (False, False, True, True))
        assert found == (Span("dog", 0, 2, False), Span("dog", 2, 1, True), Span("cat", 3, 1, True))

    def test_leave_gaps_where_nothing_is_said(self):
        found = find_spans((None, "dog", None, None, "dog", "dog"), segment_seconds=0.5)
        assert [(span.start_seconds, span.stop_seconds) for span in found] == [(0.5, 1.0), (2.0, 3.0)]
        assert find_spans((None, None)) == find_spans(()) == ()

    def test_of_a_mask_of_another_length_are_refused(self):
        with pytest.raises(ValueError, match="zip"):
            find_spans(("dog", "dog"), (False,))

    def test_say_which_segments_counting_from_one(self):
        assert Span("dog", 0, 1, False).title == "segment 1: dog"
        assert Span("dog", 2, 3, True).title == "segments 3 to 5: dog, masked: a modality is missing"
        assert (Span("dog", 0, 1).numbers, Span("dog", 2, 3).numbers) == ("1", "3–5")


def test_a_lane_without_masks_joins_what_they_alone_cut():
    lane = Lane("predicted", find_spans(("dog", "dog", "cat", None, "cat"), (True, False, False, False, True)))
    assert lane.without_masks() == Lane("predicted", find_spans(("dog", "dog", "cat", None, "cat")))


class TestTimeAxis:
    def test_lays_time_from_left_to_right(self):
        axis = TimeAxis(10.0, 20.0, 50, 150)
        assert [axis.x(seconds) for seconds in (10, 15, 20)] == [50, 100, 150]
        assert axis.box(12, 15) == (70, 30)
        assert axis.box(12, 15, gap=4) == (72, 26)

    def test_has_a_point_over_the_middle_of_every_segment(self):
        axis = TimeAxis(0, 3, 0, 300)
        assert axis.middles(3) == [50, 150, 250]
        assert axis.curve([0.0, 1.0, 0.25], floor=100, ceiling=0) == [(50, 100), (150, 0), (250, 75)]

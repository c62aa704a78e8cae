from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from pipeline.synthetic.plan import NUM_SEGMENTS, Distractor
from pipeline.synthetic.scene import build_scene, draw_frame, first_frame_of_segment, num_frames, segment_of_frame


@pytest.mark.parametrize("frame_rate", [Fraction(25), Fraction(24), Fraction(30000, 1001), Fraction(1758, 100)])
def test_a_segment_begins_with_its_first_frame(frame_rate):
    for segment in range(NUM_SEGMENTS):
        first = first_frame_of_segment(segment, frame_rate)
        assert first == int(segment * num_frames(frame_rate) / NUM_SEGMENTS)
        assert segment_of_frame(first, frame_rate) == segment
        assert segment == 0 or segment_of_frame(first - 1, frame_rate) == segment - 1
    assert segment_of_frame(num_frames(frame_rate) - 1, frame_rate) == NUM_SEGMENTS - 1


def test_the_object_is_on_screen_exactly_in_the_frames_of_the_segments_in_which_it_is_seen(make_plan):
    plan = make_plan(seen="0011110000")
    scene, empty = build_scene(plan), build_scene(replace(plan, seen="0" * 10))
    shown = [not np.array_equal(draw_frame(scene, i), draw_frame(empty, i)) for i in range(250)]
    assert shown == [50 <= index < 150 for index in range(250)]


def test_a_seen_distractor_is_drawn_and_a_heard_one_is_not(make_plan):
    silent = make_plan(seen="0" * 10)
    for modality in ("seen", "heard"):
        distractor = Distractor("Truck", modality, "1" * 10)
        frame = draw_frame(build_scene(replace(silent, distractor=distractor)), 0)
        assert (abs(frame.astype(int) - draw_frame(build_scene(silent), 0)) > 60).any() == (modality == "seen")

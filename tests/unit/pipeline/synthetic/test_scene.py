from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from pipeline.synthetic.plan import CATEGORIES, NUM_SEGMENTS, Source
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
    scene = build_scene(make_plan(sources=(Source("Siren", "0011110000", "1" * 10),)))
    empty = build_scene(make_plan(sources=()))
    shown = [not np.array_equal(draw_frame(scene, i), draw_frame(empty, i)) for i in range(250)]
    assert shown == [50 <= index < 150 for index in range(250)]


def test_every_source_that_is_seen_is_drawn_beside_the_others_and_one_that_is_only_heard_is_not(make_plan):
    empty = draw_frame(build_scene(make_plan(sources=())), 0).astype(int)

    def share_covered(*seen: str) -> float:
        sources = tuple(Source(name, mask, "1" * 10) for name, mask in zip(CATEGORIES, seen, strict=False))
        frame = draw_frame(build_scene(make_plan(sources=sources)), 0)
        return float((abs(frame - empty) > 40).any(axis=2).mean())

    assert share_covered("0" * 10) == 0
    one = share_covered("1" * 10)
    assert share_covered("1" * 10, "0" * 10) == one > 0.02
    assert share_covered("1" * 10, "1" * 10) > share_covered("1" * 10, "0111111111") > 0.02


def test_the_pictures_take_size_lightness_and_clutter_of_the_plan(make_plan):
    def build(**changes):
        return build_scene(make_plan(difficulty=replace(make_plan().difficulty, **changes)))

    for share, height in ((0.5, 24), (0.75, 36)):
        scene = build(object_heights=(share, share))
        assert {sprite.colours.shape[1] for sprite in scene.sprites} == {height}
    dark, light = (build(background_greys=(grey, grey)).background.mean() / 255 for grey in (0.3, 0.7))
    assert dark == pytest.approx(0.3, abs=0.1)
    assert light == pytest.approx(0.7, abs=0.1)
    assert not np.array_equal(build(clutter=(0, 1)).background, build(clutter=(60, 61)).background)

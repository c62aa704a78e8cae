import numpy as np
import pytest

from pipeline.drawing.attention import COLOUR, MAX_OPACITY, attention_map, blend, enlarge


def test_the_map_is_read_row_by_row() -> None:
    attention = np.zeros(49)
    attention[7 * 5 + 2] = 1
    assert np.argwhere(attention_map(attention) == 1).tolist() == [[5, 2]]


def test_next_to_no_preference_is_next_to_invisible() -> None:
    even = np.full(49, 1 / 49)
    slight = even + np.linspace(0, 1e-4, 49)
    assert attention_map(even).max() == 0
    assert attention_map(slight).max() == pytest.approx(49e-4, rel=1e-3)
    assert attention_map(even + np.linspace(0, 1, 49)).max() == 1


def test_only_what_is_attended_to_changes_its_colour() -> None:
    strengths = np.zeros((7, 7), np.float32)
    strengths[:2, :2] = 1
    picture = np.full((70, 140, 3), 100, np.uint8)
    marked = blend(picture, enlarge(strengths, 140, 70))
    assert (marked[35:] == 100).all()
    expected = [round(100 + MAX_OPACITY * (channel - 100)) for channel in COLOUR]
    assert np.abs(marked[8, 16].astype(int) - expected).max() <= 1
    assert marked[8, 60].tolist() == [100, 100, 100]

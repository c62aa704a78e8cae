import numpy as np
import pytest

from pipeline.synthetic.painting import draw_object
from pipeline.synthetic.plan import CATEGORIES


@pytest.mark.parametrize("category", CATEGORIES)
def test_objects_are_opaque_inside_clear_at_the_edge_and_move(category):
    picture = draw_object(category, 60, 0.1)
    assert picture.shape == (60, 60, 4)
    assert picture.min() >= 0
    assert picture.max() <= 1.001
    assert (picture[..., :3] <= picture[..., 3:] + 1e-6).all()
    assert 0.2 < (picture[..., 3] > 0.99).mean() < 0.9
    assert picture[[0, 0, -1, -1], [0, -1, 0, -1], 3].max() < 0.05
    assert not np.array_equal(picture, draw_object(category, 60, 0.35))


def test_objects_of_different_categories_look_different():
    pictures = [draw_object(category, 40, 0.0) for category in CATEGORIES]
    for index, picture in enumerate(pictures):
        assert all(abs(picture - other).mean() > 0.05 for other in pictures[:index])

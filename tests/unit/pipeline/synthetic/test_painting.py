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


MEANS = {
    "Church bell": (0.2228, 0.1607, 0.0525, 0.3528),
    "Dog bark": (0.2781, 0.2585, 0.2538, 0.4935),
    "Frying food": (0.2893, 0.2701, 0.2362, 0.4933),
    "Siren": (0.1953, 0.1149, 0.1976, 0.5297),
    "Ticking clock": (0.3462, 0.4089, 0.3867, 0.5535),
    "Truck": (0.1789, 0.2972, 0.1999, 0.532),
    "Violin": (0.1529, 0.0788, 0.0436, 0.2733),
}
"""Red, green, blue and alpha of each object over its cycle: the pictures stay what they were."""


@pytest.mark.parametrize("category", CATEGORIES)
def test_an_object_looks_as_it_always_did(category):
    cycle = [draw_object(category, 60, step / 8).mean(axis=(0, 1)) for step in range(8)]
    np.testing.assert_allclose(np.mean(cycle, axis=0), MEANS[category], atol=2e-4)

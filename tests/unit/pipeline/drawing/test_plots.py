import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import IdentityTransform

from pipeline.drawing.palette import Colour
from pipeline.drawing.plots import draw_bar

RED = Colour("#ff0000", "#0000ff")


def pixels_of(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


@pytest.fixture(params=["pixels of a figure", "time of axes"])
def drawn(request: pytest.FixtureRequest) -> np.ndarray:
    """Return 200 x 40 pixels with a bar from 20 to 60 whose words are longer than it."""
    figure = Figure(figsize=(2, 0.4), dpi=100)
    words = "a $\\frac{ name that is too long"
    if request.param == "time of axes":
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 10), ylim=(0, 1), xticks=[], yticks=[], frameon=False)
        draw_bar(axes, (1, 0.25, 2, 0.5), RED, words)
    else:
        draw_bar(figure, (20, 10, 40, 20), RED, words, transform=IdentityTransform())
    return pixels_of(figure)


def test_a_bar_is_as_long_as_its_time(drawn: np.ndarray) -> None:
    rows, columns = np.nonzero((drawn != 255).any(axis=2))
    assert (columns.min(), columns.max()) == pytest.approx((20, 59), abs=1)
    assert (rows.min(), rows.max()) == pytest.approx((10, 29), abs=1)


def test_words_end_where_the_bar_ends(drawn: np.ndarray) -> None:
    inside = drawn[12:28, 22:58].astype(int)
    assert (inside[..., 2] > inside[..., 0]).any(), "the words are in the ink of the colour"
    assert (drawn[:, 62:] == 255).all()

"""Spans as bars of matplotlib, in a figure's pixels or over the time of axes."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Transform

from pipeline.drawing.palette import Colour

LABEL_SIZE = 8  # points


def draw_bar(
    canvas: Axes | Figure,
    box: tuple[float, float, float, float],
    colour: Colour,
    words: str,
    *,
    transform: Transform | None = None,
) -> None:
    """Draw a bar with words in it, which are cut where the bar ends.

    Parameters
    ----------
    canvas : Axes or Figure
    box : tuple of float
        Left, bottom, width and height, in the units of `transform`.
    colour : Colour
    words : str
        Never read as markup.
    transform : Transform, optional
        By default, the canvas's own.
    """
    left, bottom, width, height = box
    bar = Rectangle((left, bottom), width, height, color=colour.fill, linewidth=0)
    label = Text(left, bottom + height / 2, f"  {words}", parse_math=False, color=colour.ink, va="center_baseline")
    label.set_fontsize(LABEL_SIZE)
    for artist in (bar, label):
        if transform is not None:
            artist.set_transform(transform)
        canvas.add_artist(artist)
    label.set_clip_path(bar)

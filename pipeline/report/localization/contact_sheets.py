"""A clip of localization as a picture: where the network looked, relevance, truth and prediction."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from pipeline.drawing.heat import attention_overlays, blend, enlarge
from pipeline.drawing.palette import Colour
from pipeline.drawing.plots import draw_bar
from pipeline.drawing.timelines import TimeAxis
from pipeline.report.contact_sheets import BLUE, GAP, GREY, PIXELS, begin_sheet, read_pictures, save_sheet
from pipeline.report.localization.run import LocalizationPrediction, LocalizationRun

BELOW = 124
LANE_HEIGHT = 24


def draw_sheet(run: LocalizationRun, prediction: LocalizationPrediction, colours: Mapping[str, Colour]) -> bytes:
    """Return the sheet of a clip as PNG."""
    clip = prediction.clip
    overlays = attention_overlays(prediction.maps["attention"], prediction.is_event)
    pictures = [
        picture if overlay is None else _blended(picture, overlay)
        for picture, overlay in zip(read_pictures(run, clip), overlays, strict=True)
    ]
    figure, axis = begin_sheet(f"{clip.category}   {clip.clip_id}", pictures, run.num_seconds, below=BELOW)
    _draw_relevance(figure, prediction, axis)
    for row, lane in enumerate(reversed(run.lanes(prediction))):
        bottom = GAP + row * (LANE_HEIGHT + GAP)
        for span in lane.without_masks().spans:
            left, length = axis.box(span.start_seconds, span.stop_seconds, gap=GAP)
            box = (left, bottom, length, LANE_HEIGHT)
            draw_bar(figure, box, colours[span.name], f"{lane.name}: {span.name}", transform=PIXELS)
    return save_sheet(figure)


def _draw_relevance(figure: Figure, prediction: LocalizationPrediction, axis: TimeAxis) -> None:
    bottom, top = 66, BELOW - 8
    x, y = zip(*axis.curve(prediction.relevance, floor=bottom, ceiling=top), strict=True)
    ends, half = (axis.left, axis.right), ((bottom + top) / 2,) * 2
    figure.add_artist(Line2D(ends, half, transform=PIXELS, color=GREY, linestyle=":", linewidth=1))
    figure.add_artist(Line2D(x, y, transform=PIXELS, color=BLUE, marker="o", markersize=4, linewidth=1.5))


def _blended(picture: Image.Image, overlay: np.ndarray) -> Image.Image:
    return Image.fromarray(blend(np.asarray(picture), enlarge(overlay, *picture.size)))

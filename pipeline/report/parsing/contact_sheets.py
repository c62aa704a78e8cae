"""A clip of parsing as a picture: its thumbnails above its lanes, truth over prediction, with the probability."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from pipeline.drawing.palette import Colour
from pipeline.drawing.plots import LABEL_SIZE, draw_bar
from pipeline.drawing.timelines import TimeAxis
from pipeline.report.contact_sheets import BLUE, GAP, GREY, PIXELS, begin_sheet, read_pictures, save_sheet
from pipeline.report.parsing.run import VERBS, ParsedLane, ParsingPrediction, ParsingRun

LEFT, LABELS = 190, 60  # room beside the pictures, and of it for what a row is
MAX_NAME = 19
BAR_HEIGHT, CURVE_HEIGHT, LANE_GAP = 13, 26, 12
LANE_HEIGHT = 2 * BAR_HEIGHT + CURVE_HEIGHT + LANE_GAP
GROUND = Colour("#ececee", "#ececee")


def draw_sheet(run: ParsingRun, prediction: ParsingPrediction, colours: Mapping[str, Colour]) -> bytes:
    """Return the sheet of a clip as PNG."""
    clip = prediction.clip
    title = f"{', '.join(prediction.categories) or 'nothing'}   {clip.clip_id}"
    below = len(prediction.lanes) * LANE_HEIGHT + 2 * GAP
    figure, axis = begin_sheet(title, read_pictures(run, clip), run.num_seconds, left=LEFT, below=below)
    for row, lane in enumerate(prediction.lanes):
        _draw_lane(figure, lane, axis, below - GAP - row * LANE_HEIGHT, run.params.dataset.segment_seconds, colours)
    return save_sheet(figure)


def _draw_lane(
    figure: Figure, lane: ParsedLane, axis: TimeAxis, top: float, segment_seconds: float, colours: Mapping[str, Colour]
) -> None:
    name = lane.category if len(lane.category) <= MAX_NAME else f"{lane.category[: MAX_NAME - 1]}…"
    _write(figure, 4, top - BAR_HEIGHT / 2, name, "bold")
    _write(figure, 4, top - 3 * BAR_HEIGHT / 2, VERBS[lane.modality])
    whole = axis.box(axis.start_seconds, axis.stop_seconds, gap=GAP)
    for row, drawn in enumerate(lane.drawn(segment_seconds)):
        bottom = top - (row + 1) * BAR_HEIGHT
        _write(figure, LEFT - LABELS, bottom + BAR_HEIGHT / 2, drawn.name)
        draw_bar(figure, (whole[0], bottom, whole[1], BAR_HEIGHT - 1), GROUND, "", transform=PIXELS)
        for span in drawn.spans:
            left, length = axis.box(span.start_seconds, span.stop_seconds, gap=GAP)
            draw_bar(figure, (left, bottom, length, BAR_HEIGHT - 1), colours[lane.category], "", transform=PIXELS)
    floor = top - 2 * BAR_HEIGHT - CURVE_HEIGHT
    ceiling = top - 2 * BAR_HEIGHT - 3
    _write(figure, LEFT - LABELS, (floor + ceiling) / 2, f"clip {lane.gate:.2f}")
    x, y = zip(*axis.curve(lane.probability, floor=floor, ceiling=ceiling), strict=True)
    ends, half = (axis.left, axis.right), ((floor + ceiling) / 2,) * 2
    figure.add_artist(Line2D(ends, half, transform=PIXELS, color=GREY, linestyle=":", linewidth=1))
    figure.add_artist(Line2D(x, y, transform=PIXELS, color=BLUE, marker="o", markersize=3, linewidth=1.2))


def _write(figure: Figure, x: float, y: float, words: str, weight: str = "normal") -> None:
    text = Text(x, y, words, transform=PIXELS, parse_math=False)
    text.set(size=LABEL_SIZE, weight=weight, va="center_baseline")
    figure.add_artist(text)

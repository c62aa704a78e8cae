"""Parsing in a rendered video: a bar of lanes below the pictures, each named, and lit while its category is there."""

from collections.abc import Mapping

from PIL import Image, ImageDraw

from pipeline.drawing.palette import GREY, Colour
from pipeline.drawing.timelines import TimeAxis
from pipeline.prediction.output import printable
from pipeline.prediction.parsing.events import SENSED, Lane, ParsedVideo, Segment
from pipeline.prediction.screen import ALARM, INK, Screen, font, shortened
from pipeline.prediction.videos import MISSING

LANE_SHARE, MIN_LANE = 0.06, 16
"""Height of a lane: a share of the shorter side, and pixels."""
BAR_SHARE, MIN_LANES = 0.4, 2
"""Up to this share of the height of the pictures there are lanes; so many there are in any case."""
NAMES_SHARE = 0.42
EMPTY = "#3a3d42"


class ParsingScreen(Screen):
    """Draws frames; the parts that stay for a segment are drawn once.

    The bar has the lanes, the most probable ones, as many as fit, in class order; and above them a line for what is
    missing, and for what is there without a lane.

    Parameters
    ----------
    prediction : ParsedVideo
    shape : tuple of int
        Height and width of the frames, in pixels.
    colours : mapping
        By category.
    remark : str
        Shown all the time.
    """

    def __init__(
        self, prediction: ParsedVideo, shape: tuple[int, int], colours: Mapping[str, Colour], remark: str
    ) -> None:
        super().__init__(prediction, shape)
        self._segments, self._categories = prediction.segments, prediction.categories
        self._colours, self._remark = colours, remark
        self._lane_height = _lane_height(self._picture_height, self._picture_width)
        self._lanes = _most_probable(prediction, self._picture_height, self._lane_height)
        self._hidden = [lane for lane in prediction.lanes if lane not in self._lanes]
        self._margin = round(0.35 * self._lane_height)
        self._font, self._small_font = font(round(0.68 * self._lane_height)), font(round(0.55 * self._lane_height))
        self._names_right = round(NAMES_SHARE * self.width)
        self.time = TimeAxis(0.0, self.end_seconds, self._names_right + self._margin, self.width - self._margin)
        top = self._lane_top(0)
        self.strip_rows = slice(top - 1, top + max(1, len(self._lanes)) * self._lane_height + 1)
        self._strips = self._draw_strips()

    def bar_height(self, prediction: ParsedVideo, picture_height: int, picture_width: int) -> int:
        """Return the height of the lanes that are shown, of a line above them, and of the margins."""
        lane_height = _lane_height(picture_height, picture_width)
        num_lanes = max(1, len(_most_probable(prediction, picture_height, lane_height)))
        return (num_lanes + 1) * lane_height + 2 * round(0.35 * lane_height)

    def draw_bar(self, number: int) -> Image.Image:
        """Return the bar with the names of the lanes, lit where their category is in a segment."""
        bar = self._strips.copy()
        draw, segment = ImageDraw.Draw(bar), self._segments[number]
        room = self.width - 3 * self._margin - draw.textlength(self._remark, self._small_font)
        status = shortened(draw, self._status(segment), "", self._small_font, room)
        draw.text((self._margin, self._lane_top(0) - self._lane_height // 2), status, GREY, self._small_font, "lm")
        for place, lane in enumerate(self._lanes):
            self._draw_name(draw, self._lane_top(place) + self._lane_height // 2, lane, segment)
        return bar

    def _lane_top(self, place: int) -> int:
        return self._margin + (place + 1) * self._lane_height

    def _status(self, segment: Segment) -> str:
        """Return what is missing, and what is there without a lane, else how much that is in all of the video."""
        parts = [f"no {MISSING[modality]}" for modality in segment.missing]
        also = [_name(lane) for lane in self._hidden if _is_in(lane, segment)]
        if also:
            parts.append(f"also {', '.join(also)}")
        elif self._hidden:
            parts.append(f"{len(self._hidden)} more not shown")
        elif not self._lanes:
            parts.append("nothing heard or seen")
        return ", ".join(parts)

    def _draw_strips(self) -> Image.Image:
        """Return the bar with all events of the lanes, and the remark; a lane has a gap where its modality has one."""
        bar, draw = self.blank_bar()
        for place in range(max(1, len(self._lanes))):
            rows = self._lane_top(place) + 1, self._lane_top(place) + self._lane_height - 2
            lane = self._lanes[place] if self._lanes else None
            for segment in self._segments:
                if lane is None or lane.modality not in segment.missing:
                    self._draw_box(draw, (segment.start_seconds, segment.end_seconds), rows, EMPTY)
            for event in lane.events if lane else ():
                self._draw_box(draw, (event.start_seconds, event.end_seconds), rows, self._colours[event.category].fill)
        right, middle = self.width - self._margin, self._margin + self._lane_height // 2
        draw.text((right, middle), self._remark, ALARM, self._small_font, anchor="rm")
        return bar

    def _draw_box(
        self, draw: ImageDraw.ImageDraw, times: tuple[float, float], rows: tuple[int, int], fill: str
    ) -> None:
        left, width = self.time.box(*times)
        draw.rectangle((left, rows[0], left + max(0, width - 1), rows[1]), fill)

    def _draw_name(self, draw: ImageDraw.ImageDraw, middle: int, lane: Lane, segment: Segment) -> None:
        is_there = _is_in(lane, segment)
        probabilities = segment.probabilities(lane.modality)
        number = f" {probabilities[self._categories.index(lane.category)]:.2f}" if is_there and probabilities else ""
        room = self._names_right - self._margin
        words = shortened(draw, _name(lane), number, self._font, room)
        draw.text((self._margin, middle), words, INK if is_there else GREY, self._font, "lm")


def _is_in(lane: Lane, segment: Segment) -> bool:
    return lane.category in segment.sensed(lane.modality)


def _name(lane: Lane) -> str:
    return f"{SENSED[lane.modality]}: {printable(lane.category)}"


def _lane_height(picture_height: int, picture_width: int) -> int:
    return max(MIN_LANE, round(LANE_SHARE * min(picture_height, picture_width)))


def _most_probable(prediction: ParsedVideo, picture_height: int, lane_height: int) -> list[Lane]:
    """Return the lanes that are shown, in class order."""
    num_shown = max(MIN_LANES, round(BAR_SHARE * picture_height) // lane_height)
    chosen = sorted(prediction.lanes, key=lambda lane: -lane.probability)[:num_shown]
    return [lane for lane in prediction.lanes if lane in chosen]

"""Localization in a rendered video: attention over the pictures of events; the event, and a strip of all of them."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from pipeline.drawing.heat import attention_overlays
from pipeline.drawing.palette import GREY, Colour
from pipeline.drawing.timelines import TimeAxis
from pipeline.prediction.localization.events import LocalizedVideo, Segment
from pipeline.prediction.output import printable
from pipeline.prediction.screen import ALARM, INK, Screen, font, shortened
from pipeline.prediction.videos import MISSING

BAR_SHARE, MIN_BAR = 0.15, 48


class LocalizationScreen(Screen):
    """Draws frames; the parts that stay for a segment are drawn once.

    Parameters
    ----------
    prediction : LocalizedVideo
    shape : tuple of int
        Height and width of the frames, in pixels.
    colours : mapping
        By category.
    remark : str
        Shown all the time.
    """

    def __init__(
        self, prediction: LocalizedVideo, shape: tuple[int, int], colours: Mapping[str, Colour], remark: str
    ) -> None:
        super().__init__(prediction, shape)
        self._segments, self._colours, self._remark = prediction.segments, colours, remark
        bar_height = self.height - self._picture_height
        self._font, self._small_font = font(round(0.36 * bar_height)), font(round(0.24 * bar_height))
        self._margin = round(0.16 * bar_height)
        self._strip_top, self._strip_bottom = round(0.62 * bar_height), bar_height - self._margin
        self.time = TimeAxis(0.0, self.end_seconds, self._margin, self.width - self._margin)
        self.strip_rows = slice(self._strip_top - 4, self._strip_bottom + 5)
        self._strip = self._draw_strip(prediction)
        self._overlays = attention_overlays(prediction.attention, prediction.is_event)

    def bar_height(self, picture_height: int, picture_width: int) -> int:
        """Return a share of the shorter side."""
        return max(MIN_BAR, round(BAR_SHARE * min(picture_height, picture_width)))

    def overlay_of(self, number: int) -> np.ndarray | None:
        """Return where the network looked, if it found an event."""
        return self._overlays[number]

    def draw_bar(self, number: int) -> Image.Image:
        """Return the bar with the event of a segment."""
        bar = self._strip.copy()
        self._draw_label(ImageDraw.Draw(bar), self._segments[number])
        return bar

    def _draw_strip(self, prediction: LocalizedVideo) -> Image.Image:
        """Return the bar with all events of the video and the remark."""
        bar, draw = self.blank_bar()
        top, bottom = self._strip_top, self._strip_bottom
        draw.rectangle((self._margin, top, self.width - self._margin, bottom), GREY)
        for event in prediction.events:
            left, width = self.time.box(event.start_seconds, event.end_seconds)
            draw.rectangle((left, top, left + max(0, width - 1), bottom), self._colours[event.category].fill)
        right, middle = self.width - self._margin, self._strip_top // 2
        draw.text((right, middle), self._remark, ALARM, self._small_font, anchor="rm")
        return bar

    def _draw_label(self, draw: ImageDraw.ImageDraw, segment: Segment) -> None:
        middle, size = self._strip_top // 2, round(self._font.size)
        fill = self._colours[segment.prediction].fill if segment.is_event else GREY
        box = (self._margin, middle - size // 2, self._margin + size, middle - size // 2 + size)
        draw.rectangle(box, fill, INK)
        room = self.width - 3 * self._margin - size - draw.textlength(self._remark, self._small_font)
        name, number = printable(segment.prediction), "" if segment.relevance is None else f" {segment.relevance:.2f}"
        if segment.missing:
            name, number = f"no {' and no '.join(MISSING[modality] for modality in segment.missing)}", ""
        words = shortened(draw, name, number, self._font, room)
        ink = INK if segment.is_event else GREY
        draw.text((box[2] + self._margin // 2, middle), words, ink, self._font, anchor="lm")

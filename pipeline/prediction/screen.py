"""What is drawn around and over the frames of a video: a bar below them that says what is said.

What is the same for both tasks; what the bar holds is drawn by :mod:`pipeline.prediction.localization.screen` and
:mod:`pipeline.prediction.parsing.screen`.
"""

import math
from abc import ABC, abstractmethod
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.drawing.heat import blend, enlarge
from pipeline.drawing.timelines import TimeAxis
from pipeline.prediction.videos import VideoPrediction

MIN_WIDTH = 320
INK, ALARM, GROUND = "#f2f3f5", "#ff8a80", "#17181a"


class Screen(ABC):
    """Draws frames with a bar below; the parts that stay for a segment are drawn once.

    A subclass sets, before the first frame, `time`: where the strips of the bar lie, in pixels from the left; and
    `strip_rows`: the rows of the bar over which the present time is marked.

    Parameters
    ----------
    prediction : VideoPrediction
    shape : tuple of int
        Height and width of the frames, in pixels.

    Attributes
    ----------
    width, height : int
        Of what is drawn, in pixels; even, as the codec wants them.
    """

    time: TimeAxis
    strip_rows: slice

    def __init__(self, prediction: VideoPrediction, shape: tuple[int, int]) -> None:
        self._prediction = prediction
        scale = max(1, math.ceil(MIN_WIDTH / shape[1]))
        self._picture_height, self._picture_width = shape[0] * scale, shape[1] * scale
        bar = self.bar_height(self._picture_height, self._picture_width)
        self.width = self._picture_width + self._picture_width % 2
        self.height = self._picture_height + bar + (self._picture_height + bar) % 2
        self._drawn = -1
        self._bar = np.zeros((0, self.width, 3), np.uint8)
        self._overlay: np.ndarray | None = None

    @abstractmethod
    def bar_height(self, picture_height: int, picture_width: int) -> int:
        """Return how high the bar is below pictures of a size, all in pixels."""

    @abstractmethod
    def draw_bar(self, number: int) -> Image.Image:
        """Return the bar while a segment is shown."""

    def overlay_of(self, number: int) -> np.ndarray | None:
        """Return what lies over the picture while a segment is shown; see :func:`.attention_overlays`."""
        return None

    @property
    def end_seconds(self) -> float:
        """When the time ends that the strips show."""
        return max(float(self._prediction.segments[-1].end_seconds), self._prediction.duration_seconds)

    def blank_bar(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """Return a bar with nothing in it, and what draws into it."""
        bar = Image.new("RGB", (self.width, self.height - self._picture_height), GROUND)
        return bar, ImageDraw.Draw(bar)

    def draw(self, image: np.ndarray, seconds: float) -> np.ndarray:
        """Return the screen (height, width, 3) at a time, from a frame (H, W, 3), uint8."""
        self._prepare(seconds)
        if image.shape[:2] != (self._picture_height, self._picture_width):
            image = cv2.resize(image, (self._picture_width, self._picture_height), interpolation=cv2.INTER_LINEAR)
        if self._overlay is not None:
            image = blend(image, self._overlay)
        screen = np.zeros((self.height, self.width, 3), np.uint8)
        screen[: self._picture_height, : self._picture_width] = image
        screen[self._picture_height :] = self._bar
        x = min(round(self.time.x(max(0.0, seconds))), int(self.time.right) - 1)
        rows = slice(self._picture_height + self.strip_rows.start, self._picture_height + self.strip_rows.stop)
        screen[rows, max(0, x - 3) : x + 4] = 0
        screen[rows, x - 1 : x + 2] = 255
        return screen

    def _prepare(self, seconds: float) -> None:
        """Draw what depends on the segment."""
        number = self._prediction.segment_at(seconds)
        if number == self._drawn:
            return
        self._drawn = number
        self._bar = np.asarray(self.draw_bar(number))
        overlay = self.overlay_of(number)
        self._overlay = None if overlay is None else enlarge(overlay, self._picture_width, self._picture_height)


def font(size: int) -> ImageFont.FreeTypeFont:
    """Return the font of the bar, of a height in pixels."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)


def shortened(draw: ImageDraw.ImageDraw, name: str, rest: str, of: ImageFont.FreeTypeFont, room: float) -> str:
    """Return a name and what follows it, of which the name is cut so that both fit into a room, in pixels."""
    while len(name) > 1 and draw.textlength(name + rest, of) > room:
        name = name.removesuffix("…")[:-1] + "…"
    return name + rest

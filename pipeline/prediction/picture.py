"""A video's prediction as one picture: rows of strips, one below the other, over the same stretch of time.

What is the same for both tasks: the page, its title, what is seen and what is heard. What is said is drawn by
:mod:`pipeline.prediction.localization.picture` and :mod:`pipeline.prediction.parsing.picture`.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipeline.core.files import atomic_write
from pipeline.drawing.heat import blend, enlarge
from pipeline.drawing.palette import GREY
from pipeline.drawing.thumbnails import colour_limits, read_pictures, spectrogram_of
from pipeline.features.audio.log_mel import HOP_SAMPLES, SAMPLE_RATE_HZ, to_mono
from pipeline.media.waveform import read_waveform
from pipeline.prediction.output import printable
from pipeline.prediction.videos import VideoPrediction

MAX_ROWS = 12
THUMBNAIL_WIDTH = 160
DOTS_PER_INCH = 110
LABEL_SIZE = 8  # points

# Inches.
WIDTH, RIGHT, TITLE, BOTTOM = 12.0, 0.25, 0.85, 0.15
SPECTROGRAM, TICKS, GAP = 0.55, 0.3, 0.06

INK, FAINT, ALARM = "#222222", "#e4e6e9", "#a4161a"


@dataclass(frozen=True)
class Strip:
    """A strip of a row: its height in inches, and what draws it into axes over the time of the row, from 0 to 1."""

    height: float
    draw: Callable[[Axes], None]


def count_shown(prediction: VideoPrediction, segments_per_row: int) -> int:
    """Return how many segments are drawn: those of at most :data:`MAX_ROWS` rows."""
    return min(len(prediction.segments), MAX_ROWS * segments_per_row)


def save_page(
    prediction: VideoPrediction,
    path: Path,
    strips_of: Callable[[range], Sequence[Strip]],
    *,
    segments_per_row: int,
    left: float,
    notes: Sequence[str],
) -> None:
    """Draw a prediction into a PNG file.

    Parameters
    ----------
    prediction : VideoPrediction
    path : Path
    strips_of : callable
        Returns the strips of a row, of its segments.
    segments_per_row : int
        A row for as many; at most :data:`MAX_ROWS` rows are drawn, and the title says so.
    left : float
        Room for the names of strips, in inches.
    notes : sequence of str
        Lines below the title; the last one is an alarm if there are two.
    """
    num_shown = count_shown(prediction, segments_per_row)
    starts = range(0, num_shown, segments_per_row)
    rows = [strips_of(range(start, min(num_shown, start + segments_per_row))) for start in starts]
    heights = [sum(strip.height for strip in strips) + GAP * len(strips) + TICKS for strips in rows]
    total = TITLE + sum(heights) + BOTTOM
    figure = Figure(figsize=(WIDTH, total), dpi=DOTS_PER_INCH, facecolor="white")
    _write_title(figure, prediction, num_shown, left, notes)
    top = total - TITLE
    for start, strips, height in zip(starts, rows, heights, strict=True):
        upper = top
        for strip in strips:
            upper -= strip.height
            box = (left / WIDTH, upper / total, (WIDTH - left - RIGHT) / WIDTH, strip.height / total)
            strip.draw(_axes(figure, box, prediction, start, segments_per_row))
            upper -= GAP
        top -= height
    with warnings.catch_warnings(), atomic_write(path) as temporary:
        warnings.filterwarnings("ignore", message="Glyph")  # a name in a script that the font lacks shows as boxes
        FigureCanvasAgg(figure).print_png(str(temporary))


def _write_title(
    figure: Figure, prediction: VideoPrediction, num_shown: int, left: float, notes: Sequence[str]
) -> None:
    total = figure.get_figheight()
    shown = prediction.segments[num_shown - 1].end_seconds
    cut = "" if num_shown == len(prediction.segments) else f", the first {shown:g} s of them"
    title = f"{printable(prediction.path.name)}   ({prediction.duration_seconds:.1f} s{cut})"
    lines = [(title, 12, INK), (notes[0], 8, INK), *((note, 8, ALARM) for note in notes[1:])]
    y = total - 0.14
    for text, size, colour in lines:
        figure.text(left / WIDTH, y / total, text, size=size, color=colour, va="top", parse_math=False)
        y -= size / 72 * 1.6


def _axes(
    figure: Figure, box: tuple[float, float, float, float], prediction: VideoPrediction, first: int, num_segments: int
) -> Axes:
    """Return axes over the time of a row, without any frame."""
    seconds = prediction.segment_seconds
    axes = figure.add_axes(box)
    axes.set_xlim(first * seconds, (first + num_segments) * seconds)
    axes.set_ylim(0, 1)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return axes


def draw_label(axes: Axes, text: str) -> None:
    """Write what a strip shows, left of it."""
    axes.set_ylabel(text, rotation=0, ha="right", va="center", size=LABEL_SIZE, color=INK)


def draw_seconds(axes: Axes, prediction: VideoPrediction, span: range) -> None:
    """Write the times of the borders of segments below a strip."""
    segments = [prediction.segments[number] for number in span]
    borders = [segment.start_seconds for segment in segments] + [segments[-1].end_seconds]
    axes.set_xticks(borders, [f"{border:g}" for border in borders], size=7, color=INK)
    axes.tick_params(length=2, color=GREY)


def pictures_strip(
    prediction: VideoPrediction, num_shown: int, segments_per_row: int, left: float, label: str
) -> Callable[[range, Sequence[np.ndarray | None]], Strip]:
    """Read a picture of each segment shown, and return what makes the strip of a row.

    It takes the segments of the row, and for all segments what lies over their pictures, see
    :func:`pipeline.drawing.heat.attention_overlays`.

    Raises
    ------
    MediaError
        If the video cannot be read any more.
    """
    seconds = prediction.segment_seconds
    pictures = read_pictures(prediction.path, num_segments=num_shown, segment_seconds=seconds, width=THUMBNAIL_WIDTH)
    height, width = next((picture.shape[:2] for picture in pictures if picture is not None), (9, 16))
    column = (WIDTH - left - RIGHT) / segments_per_row

    def draw(axes: Axes, span: range, overlays: Sequence[np.ndarray | None]) -> None:
        draw_label(axes, label)
        limits = axes.get_xlim()
        for number in span:
            segment, picture, overlay = prediction.segments[number], pictures[number], overlays[number]
            margin = 0.01 * (segment.end_seconds - segment.start_seconds)
            extent = (segment.start_seconds + margin, segment.end_seconds - margin, 0.0, 1.0)
            if picture is None:
                axes.add_patch(Rectangle((extent[0], 0), extent[1] - extent[0], 1, color=FAINT, lw=0))
                continue
            if overlay is not None:
                picture = blend(picture, enlarge(overlay, picture.shape[1], picture.shape[0]))
            axes.imshow(picture, extent=extent, aspect="auto", interpolation="antialiased")
        axes.set_xlim(*limits)

    strip_height = min(2.0, max(0.3, column * height / width))
    return lambda span, overlays: Strip(strip_height, partial(draw, span=span, overlays=overlays))


def sound_strip(prediction: VideoPrediction, num_shown: int) -> Callable[[range], Strip]:
    """Read the sound of the segments shown, and return what makes the strip of a row: its log-mel spectrogram.

    Raises
    ------
    MediaError
        If the sound cannot be read any more.
    """
    waveform = read_waveform(prediction.path, num_seconds=prediction.segments[num_shown - 1].end_seconds)
    spectrogram = spectrogram_of(to_mono(waveform.samples), waveform.sample_rate_hz).T  # bands, frames of 10 ms
    dark, bright = colour_limits(spectrogram)
    frames_per_second = SAMPLE_RATE_HZ / HOP_SAMPLES

    def draw(axes: Axes, span: range) -> None:
        draw_label(axes, "heard\n(log-mel)")
        start, stop = prediction.segments[span.start].start_seconds, prediction.segments[span[-1]].end_seconds
        limits = axes.get_xlim()
        axes.imshow(
            spectrogram[:, round(start * frames_per_second) : round(stop * frames_per_second)],
            extent=(start, stop, 0.0, 1.0),
            aspect="auto",
            origin="lower",
            cmap="magma",
            vmin=dark,
            vmax=bright,
        )
        axes.set_xlim(*limits)

    return lambda span: Strip(SPECTROGRAM, partial(draw, span=span))

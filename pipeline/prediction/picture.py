"""A video's prediction as one picture: what is seen, heard, attended to and said, over time."""

import math
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipeline.core.files import atomic_write
from pipeline.drawing.heat import attention_overlays, blend, enlarge
from pipeline.drawing.palette import GREY, HUES, Colour
from pipeline.drawing.plots import draw_bar
from pipeline.drawing.thumbnails import colour_limits, read_pictures, spectrogram_of
from pipeline.features.audio.log_mel import HOP_SAMPLES, SAMPLE_RATE_HZ, to_mono
from pipeline.media.waveform import read_waveform
from pipeline.metrics.labels import EVENT_THRESHOLD
from pipeline.prediction.events import VideoPrediction
from pipeline.prediction.output import printable

MAX_ROWS = 12
THUMBNAIL_WIDTH = 160
DOTS_PER_INCH = 110

# Inches.
WIDTH, LEFT, RIGHT, TITLE, BOTTOM = 12.0, 0.95, 0.25, 0.85, 0.15
EVENTS, SPECTROGRAM, RELEVANCE, TICKS, GAP = 0.26, 0.55, 0.6, 0.3, 0.06

INK, FAINT, ALARM = "#222222", "#e4e6e9", "#a4161a"


def save_picture(
    prediction: VideoPrediction, path: Path, *, segments_per_row: int, colours: Mapping[str, Colour], notes: list[str]
) -> None:
    """Draw a prediction into a PNG file.

    Parameters
    ----------
    prediction : VideoPrediction
    path : Path
    segments_per_row : int
        A row for as many; at most :data:`MAX_ROWS` rows are drawn, and the title says so.
    colours : mapping
        By category.
    notes : list of str
        Lines below the title; the last one is an alarm if there are two.

    Raises
    ------
    MediaError
        If the video cannot be read any more.
    """
    num_shown = min(len(prediction.segments), MAX_ROWS * segments_per_row)
    seconds = prediction.segments[0].end_seconds
    pictures = read_pictures(prediction.path, num_segments=num_shown, segment_seconds=seconds, width=THUMBNAIL_WIDTH)
    spectrogram = _spectrogram(prediction, num_shown)
    height, width = next((picture.shape[:2] for picture in pictures if picture is not None), (9, 16))
    column = (WIDTH - LEFT - RIGHT) / segments_per_row
    heights = [min(2.0, max(0.3, column * height / width)), EVENTS, SPECTROGRAM, RELEVANCE]
    row_height = sum(heights) + GAP * len(heights) + TICKS
    num_rows = math.ceil(num_shown / segments_per_row)
    total = TITLE + num_rows * row_height + BOTTOM
    figure = Figure(figsize=(WIDTH, total), dpi=DOTS_PER_INCH, facecolor="white")
    _write_title(figure, prediction, num_shown, notes)
    for row in range(num_rows):
        span = range(row * segments_per_row, min(num_shown, (row + 1) * segments_per_row))
        top = total - TITLE - row * row_height
        strips = []
        for strip_height in heights:
            top -= strip_height
            box = (LEFT / WIDTH, top / total, (WIDTH - LEFT - RIGHT) / WIDTH, strip_height / total)
            strips.append(_strip(figure, box, prediction, span.start, segments_per_row))
            top -= GAP
        _draw_pictures(strips[0], prediction, span, pictures)
        _draw_events(strips[1], prediction, span, colours)
        _draw_spectrogram(strips[2], prediction, span, spectrogram)
        _draw_relevance(strips[3], prediction, span)
    with warnings.catch_warnings(), atomic_write(path) as temporary:
        warnings.filterwarnings("ignore", message="Glyph")  # a name in a script that the font lacks shows as boxes
        FigureCanvasAgg(figure).print_png(str(temporary))


def _spectrogram(prediction: VideoPrediction, num_shown: int) -> np.ndarray:
    """Return the log-mel spectrogram (bands, frames of 10 ms) of the segments shown."""
    waveform = read_waveform(prediction.path, num_seconds=prediction.segments[num_shown - 1].end_seconds)
    return spectrogram_of(to_mono(waveform.samples), waveform.sample_rate_hz).T


def _write_title(figure: Figure, prediction: VideoPrediction, num_shown: int, notes: list[str]) -> None:
    total = figure.get_figheight()
    shown = prediction.segments[num_shown - 1].end_seconds
    cut = "" if num_shown == len(prediction.segments) else f", the first {shown:g} s of them"
    title = f"{printable(prediction.path.name)}   ({prediction.duration_seconds:.1f} s{cut})"
    lines = [(title, 12, INK), (notes[0], 8, INK), *((note, 8, ALARM) for note in notes[1:])]
    y = total - 0.14
    for text, size, colour in lines:
        figure.text(LEFT / WIDTH, y / total, text, size=size, color=colour, va="top", parse_math=False)
        y -= size / 72 * 1.6


def _strip(
    figure: Figure, box: tuple[float, float, float, float], prediction: VideoPrediction, first: int, num_segments: int
) -> Axes:
    """Return axes over the time of a row, without any frame."""
    seconds = prediction.segments[0].end_seconds
    axes = figure.add_axes(box)
    axes.set_xlim(first * seconds, (first + num_segments) * seconds)
    axes.set_ylim(0, 1)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return axes


def _label(axes: Axes, text: str) -> None:
    axes.set_ylabel(text, rotation=0, ha="right", va="center", size=8, color=INK)


def _draw_pictures(axes: Axes, prediction: VideoPrediction, span: range, pictures: list[np.ndarray | None]) -> None:
    _label(axes, "seen,\nattention")
    limits = axes.get_xlim()
    overlays = attention_overlays(prediction.attention, prediction.is_event)
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


def _draw_events(axes: Axes, prediction: VideoPrediction, span: range, colours: Mapping[str, Colour]) -> None:
    _label(axes, "event")
    start, stop = prediction.segments[span.start].start_seconds, prediction.segments[span[-1]].end_seconds
    axes.add_patch(Rectangle((start, 0.35), stop - start, 0.3, color=FAINT, lw=0))
    for number in span:
        segment = prediction.segments[number]
        if segment.missing:
            width = segment.end_seconds - segment.start_seconds
            axes.add_patch(Rectangle((segment.start_seconds, 0.1), width, 0.8, fill=False, ec=GREY, hatch="////", lw=0))
    for event in prediction.events:
        left, right = max(event.start_seconds, start), min(event.end_seconds, stop)
        if left < right:
            words = f"{printable(event.category)}  {event.relevance:.2f}"
            draw_bar(axes, (left, 0, right - left, 1), colours[event.category], words)


def _draw_spectrogram(axes: Axes, prediction: VideoPrediction, span: range, spectrogram: np.ndarray) -> None:
    _label(axes, "heard\n(log-mel)")
    start, stop = prediction.segments[span.start].start_seconds, prediction.segments[span[-1]].end_seconds
    frames_per_second = SAMPLE_RATE_HZ / HOP_SAMPLES
    limits = axes.get_xlim()
    dark, bright = colour_limits(spectrogram)
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


def _draw_relevance(axes: Axes, prediction: VideoPrediction, span: range) -> None:
    _label(axes, "relevance")
    segments = [prediction.segments[number] for number in span]
    middles = [(segment.start_seconds + segment.end_seconds) / 2 for segment in segments]
    values = [math.nan if segment.relevance is None else segment.relevance for segment in segments]
    axes.set_ylim(-0.05, 1.05)
    borders = [segment.start_seconds for segment in segments] + [segments[-1].end_seconds]
    axes.hlines(EVENT_THRESHOLD, borders[0], borders[-1], color=GREY, lw=0.8, ls=(0, (4, 3)))
    axes.fill_between(middles, values, color=HUES[0], alpha=0.12, lw=0)
    axes.plot(middles, values, color=HUES[0], lw=1.4, marker="o", ms=3.5, clip_on=False)
    axes.set_yticks([0, EVENT_THRESHOLD, 1], ["0", f"{EVENT_THRESHOLD:g}", "1"], size=7, color=INK)
    axes.set_xticks(borders, [f"{border:g}" for border in borders], size=7, color=INK)
    axes.tick_params(length=2, color=GREY)

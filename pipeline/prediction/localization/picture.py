"""Localization as a picture: what is seen, attended to, said and heard over time, and the relevance."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from pipeline.drawing.heat import attention_overlays
from pipeline.drawing.palette import GREY, HUES, Colour
from pipeline.drawing.plots import draw_bar
from pipeline.metrics.labels import EVENT_THRESHOLD
from pipeline.prediction.localization.events import LocalizedVideo
from pipeline.prediction.output import printable
from pipeline.prediction.picture import (
    FAINT,
    INK,
    Strip,
    count_shown,
    draw_label,
    draw_seconds,
    pictures_strip,
    save_page,
    sound_strip,
)

# Inches.
LEFT, EVENTS, RELEVANCE = 0.95, 0.26, 0.6


def save_picture(
    prediction: LocalizedVideo,
    path: Path,
    *,
    segments_per_row: int,
    colours: Mapping[str, Colour],
    notes: Sequence[str],
) -> None:
    """Draw a prediction into a PNG file.

    Parameters
    ----------
    prediction : LocalizedVideo
    path : Path
    segments_per_row : int
    colours : mapping
        By category.
    notes : sequence of str
        As :func:`pipeline.prediction.picture.save_page`.

    Raises
    ------
    MediaError
        If the video cannot be read any more.
    """
    num_shown = count_shown(prediction, segments_per_row)
    seen = pictures_strip(prediction, num_shown, segments_per_row, LEFT, "seen,\nattention")
    heard = sound_strip(prediction, num_shown)
    overlays = attention_overlays(prediction.attention, prediction.is_event)

    def strips(span: range) -> list[Strip]:
        return [
            seen(span, overlays),
            Strip(EVENTS, partial(_draw_events, prediction=prediction, span=span, colours=colours)),
            heard(span),
            Strip(RELEVANCE, partial(_draw_relevance, prediction=prediction, span=span)),
        ]

    save_page(prediction, path, strips, segments_per_row=segments_per_row, left=LEFT, notes=notes)


def _draw_events(axes: Axes, prediction: LocalizedVideo, span: range, colours: Mapping[str, Colour]) -> None:
    draw_label(axes, "event")
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


def _draw_relevance(axes: Axes, prediction: LocalizedVideo, span: range) -> None:
    draw_label(axes, "relevance")
    segments = [prediction.segments[number] for number in span]
    middles = [(segment.start_seconds + segment.end_seconds) / 2 for segment in segments]
    values = [math.nan if segment.relevance is None else segment.relevance for segment in segments]
    axes.set_ylim(-0.05, 1.05)
    start, stop = segments[0].start_seconds, segments[-1].end_seconds
    axes.hlines(EVENT_THRESHOLD, start, stop, color=GREY, lw=0.8, ls=(0, (4, 3)))
    axes.fill_between(middles, values, color=HUES[0], alpha=0.12, lw=0)
    axes.plot(middles, values, color=HUES[0], lw=1.4, marker="o", ms=3.5, clip_on=False)
    axes.set_yticks([0, EVENT_THRESHOLD, 1], ["0", f"{EVENT_THRESHOLD:g}", "1"], size=7, color=INK)
    draw_seconds(axes, prediction, span)

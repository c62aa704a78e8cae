"""Parsing as a picture: below the frames a lane for each category that is seen, below the sound for each heard."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from pipeline.drawing.palette import GREY, Colour
from pipeline.drawing.plots import draw_bar
from pipeline.prediction.output import printable
from pipeline.prediction.parsing.events import SENSED, Lane, ParsedVideo
from pipeline.prediction.picture import (
    FAINT,
    INK,
    LABEL_SIZE,
    Strip,
    count_shown,
    draw_seconds,
    pictures_strip,
    save_page,
    sound_strip,
)
from pipeline.store.parsing_manifest import MODALITIES

# Inches.
LEFT, LANE = 1.95, 0.2
MAX_NAME = 26  # characters


def save_picture(
    prediction: ParsedVideo,
    path: Path,
    *,
    segments_per_row: int,
    colours: Mapping[str, Colour],
    notes: Sequence[str],
) -> None:
    """Draw a prediction into a PNG file; a modality that the file lacks throughout is left out.

    Parameters
    ----------
    prediction : ParsedVideo
    path : Path
    segments_per_row : int
        A row has the lanes of what is in its segments.
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
    shown = [modality for modality in reversed(MODALITIES) if not prediction.lacks(modality)]
    if "visual" in shown:
        pictures = pictures_strip(prediction, num_shown, segments_per_row, LEFT, "seen")
    if "audio" in shown:
        sound = sound_strip(prediction, num_shown)

    def strips(span: range) -> list[Strip]:
        drawn = []
        for modality in shown:
            lanes = _lanes_of(prediction, span, modality)
            drawn.append(pictures(span, [None] * num_shown) if modality == "visual" else sound(span))
            draw = partial(_draw_lanes, prediction=prediction, span=span, modality=modality, colours=colours)
            has_times = modality == shown[-1]
            drawn.append(Strip(LANE * max(1, len(lanes)), partial(draw, lanes=lanes, has_times=has_times)))
        return drawn

    save_page(prediction, path, strips, segments_per_row=segments_per_row, left=LEFT, notes=notes)


def _lanes_of(prediction: ParsedVideo, span: range, modality: str) -> list[Lane]:
    """Return the lanes of a modality with an event in a row."""
    segments = [prediction.segments[number] for number in span]
    names = {category for segment in segments for category in segment.sensed(modality)}
    return [lane for lane in prediction.lanes if lane.modality == modality and lane.category in names]


def _draw_lanes(
    axes: Axes,
    prediction: ParsedVideo,
    span: range,
    modality: str,
    lanes: Sequence[Lane],
    colours: Mapping[str, Colour],
    has_times: bool,
) -> None:
    start, stop = prediction.segments[span.start].start_seconds, prediction.segments[span[-1]].end_seconds
    num_lanes = max(1, len(lanes))
    axes.set_ylim(num_lanes, 0)
    for number in range(num_lanes):
        axes.add_patch(Rectangle((start, number + 0.35), stop - start, 0.3, color=FAINT, lw=0))
    for number in span:
        segment = prediction.segments[number]
        if modality in segment.missing:
            corner, width = (segment.start_seconds, 0.1), segment.end_seconds - segment.start_seconds
            axes.add_patch(Rectangle(corner, width, num_lanes - 0.2, fill=False, ec=GREY, hatch="////", lw=0))
    for number, lane in enumerate(lanes):
        _write_name(axes, number, printable(lane.category), INK)
        for event in lane.events:
            left, right = max(event.start_seconds, start), min(event.end_seconds, stop)
            if left < right:
                box = (left, number + 0.08, right - left, 0.84)
                draw_bar(axes, box, colours[lane.category], f"{event.probability:.2f}")
    if not lanes:
        _write_name(axes, 0, f"nothing {SENSED[modality]}", GREY)
    if has_times:
        draw_seconds(axes, prediction, span)


def _write_name(axes: Axes, number: int, name: str, colour: str) -> None:
    """Write what a lane is of, left of it."""
    words = name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
    axes.text(
        -0.006,
        number + 0.5,
        words,
        transform=axes.get_yaxis_transform(),
        ha="right",
        va="center_baseline",
        size=LABEL_SIZE,
        color=colour,
        parse_math=False,
    )

"""Figures of one clip as SVG text.

Time runs from left to right, over the width of whatever holds the figure; a matrix has time on both axes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from markupsafe import Markup

from pipeline.report.figures import element, number_text, path_through, svg
from pipeline.store.manifest import BACKGROUND

SEGMENT_WIDTH = 100
RELEVANCE_HEIGHT = 100
WAVEFORM_HEIGHT = 100
QUIET = 0.01
"""A clip whose loudest sample is below this is drawn as quiet as it is."""

STRIP_CELL = 10
TRUTH_TOP, PREDICTED_TOP, MARK_TOP, CURVE_TOP, STRIP_HEIGHT = 0, 9, 18, 21, 32
STRIP_ROW = 8

MATRIX_SIZE = 100
MATRIX_LEFT, MATRIX_BOTTOM, EVENT_BAR = 17, 17, 3


@dataclass(frozen=True)
class Stretch:
    """Neighbouring segments with one name, from `start` (0 is the first), `length` of them."""

    name: str
    start: int
    length: int
    is_masked: bool

    @property
    def title(self) -> str:
        """What the page says when one points at it; segments count from 1."""
        last = self.start + self.length
        where = f"segment {last}" if self.length == 1 else f"segments {self.start + 1} to {last}"
        return f"{where}: {self.name}{', masked: a modality is missing' if self.is_masked else ''}"


def stretches(names: Sequence[str], masked: Sequence[bool] = ()) -> Iterator[Stretch]:
    """Yield the stretches of a clip in order; `masked` says for each segment whether a modality is missing."""
    pairs = enumerate(zip(names, masked or (False,) * len(names), strict=True))
    for (name, is_masked), group in groupby(pairs, key=lambda item: item[1]):
        segments = [position for position, _ in group]
        yield Stretch(name, segments[0], len(segments), is_masked)


def relevance_curve(values: Sequence[float]) -> Markup:
    """Draw the event probability per segment, with the threshold 0.5."""
    width = SEGMENT_WIDTH * len(values)
    points = [((segment + 0.5) * SEGMENT_WIDTH, RELEVANCE_HEIGHT * (1 - value)) for segment, value in enumerate(values)]
    floor = [(points[-1][0], float(RELEVANCE_HEIGHT)), (points[0][0], float(RELEVANCE_HEIGHT))]
    middle = RELEVANCE_HEIGHT / 2
    parts = [
        element("line", class_="threshold", x1=0, x2=width, y1=middle, y2=middle),
        element("path", class_="area", d=f"{path_through([*points, *floor])}Z"),
        element("path", class_="line first", d=path_through(points)),
        *(element("path", class_="point", d=f"M{number_text(x)} {number_text(y)}h0") for x, y in points),
        *(
            element(
                "rect",
                element("title", f"segment {segment + 1}: event probability {value:.2f}"),
                class_="hover",
                x=segment * SEGMENT_WIDTH,
                y=0,
                width=SEGMENT_WIDTH,
                height=RELEVANCE_HEIGHT,
            )
            for segment, value in enumerate(values)
        ),
    ]
    return svg(parts, width, RELEVANCE_HEIGHT, "relevance", title="event probability", preserveAspectRatio="none")


def waveform(extremes: np.ndarray) -> Markup:
    """Draw the lowest and highest sample of each stretch of time, (columns, 2), as high as the loudest one."""
    loudest = max(float(np.abs(extremes).max()), QUIET)
    middle = WAVEFORM_HEIGHT / 2
    low, high = np.round(middle * (1 - extremes.T / loudest)).astype(int)
    points = [*enumerate(high.tolist()), *reversed(list(enumerate(low.tolist())))]
    outline = "M" + "L".join(f"{x} {y}" for x, y in points) + "Z"
    parts = [element("path", class_="wave", d=outline)]
    return svg(parts, len(extremes) - 1, WAVEFORM_HEIGHT, "waveform", title="waveform", preserveAspectRatio="none")


def strip(
    *,
    truth: Sequence[str],
    predicted: Sequence[str],
    masked: Sequence[bool],
    relevance: Sequence[float],
    fills: Mapping[str, str],
) -> Markup:
    """Draw a clip in one row of a list: truth above prediction, a mark under wrong segments, the relevance below."""
    width = STRIP_CELL * len(truth)
    parts = [_cells(stretch, TRUTH_TOP, fills) for stretch in stretches(truth)]
    parts += [_cells(stretch, PREDICTED_TOP, fills) for stretch in stretches(predicted, masked)]
    borders = "".join(f"M{x} 0V{MARK_TOP}" for x in range(STRIP_CELL, width, STRIP_CELL))
    parts.append(element("path", class_="border", d=borders))
    wrong = "".join(
        f"M{segment * STRIP_CELL} {MARK_TOP + 1}h{STRIP_CELL}"
        for segment, pair in enumerate(zip(truth, predicted, strict=True))
        if pair[0] != pair[1]
    )
    if wrong:
        parts.append(element("path", class_="mark", d=wrong))
    height = STRIP_HEIGHT - CURVE_TOP
    curve = [
        ((segment + 0.5) * STRIP_CELL, CURVE_TOP + height * (1 - value)) for segment, value in enumerate(relevance)
    ]
    parts.append(element("path", class_="threshold", d=f"M0 {number_text(CURVE_TOP + height / 2)}h{width}"))
    parts.append(element("path", class_="line first", d=path_through(curve)))
    return svg(
        parts,
        width,
        STRIP_HEIGHT,
        "strip",
        title=_in_words(truth, predicted, relevance),
        preserveAspectRatio="none",
    )


def matrix(address: str, *, events: Sequence[bool], fill: str, rows: str, columns: str, title: str) -> Markup:
    """Draw a matrix (T, T), given as the address of a picture of T x T pixels, with its axes.

    Beside both axes are bars of the colour `fill` where an event truly is; `rows` and `columns` name the axes.
    """
    number = len(events)
    cell = MATRIX_SIZE / number
    left, bottom = MATRIX_LEFT, MATRIX_SIZE
    parts = [element("rect", class_="frame", x=left, y=0, width=MATRIX_SIZE, height=MATRIX_SIZE)]
    parts.append(
        element(
            "image",
            href=address,
            x=left,
            y=0,
            width=MATRIX_SIZE,
            height=MATRIX_SIZE,
            preserveAspectRatio="none",
            class_="pixels",
        )
    )
    for stretch in stretches(["event" if event else "" for event in events]):
        if stretch.name:
            start, length = stretch.start * cell, stretch.length * cell
            bar = {"class_": "event", "fill": fill}
            parts.append(element("rect", x=left - EVENT_BAR - 1, y=start, width=EVENT_BAR, height=length, **bar))
            parts.append(element("rect", x=left + start, y=bottom + 1, width=length, height=EVENT_BAR, **bar))
    for segment in sorted({0, (number - 1) // 2, number - 1}):
        middle = (segment + 0.5) * cell
        parts.append(element("text", str(segment + 1), class_="end", x=left - EVENT_BAR - 2, y=middle + 2))
        parts.append(element("text", str(segment + 1), class_="middle", x=left + middle, y=bottom + EVENT_BAR + 7))
    centre = MATRIX_SIZE / 2
    height = MATRIX_SIZE + MATRIX_BOTTOM
    parts.append(element("text", columns, class_="middle", x=left + centre, y=height - 1))
    parts.append(element("text", rows, class_="middle", transform=f"translate(6 {number_text(centre)}) rotate(-90)"))
    return svg(parts, left + MATRIX_SIZE + 1, height, "matrix", title=title)


def _cells(stretch: Stretch, top: int, fills: Mapping[str, str]) -> Markup:
    styles = ["background"] * (stretch.name == BACKGROUND) + ["masked"] * stretch.is_masked
    return element(
        "rect",
        x=stretch.start * STRIP_CELL,
        y=top,
        width=stretch.length * STRIP_CELL,
        height=STRIP_ROW,
        fill=fills[stretch.name],
        **({"class_": " ".join(styles)} if styles else {}),
    )


def _in_words(truth: Sequence[str], predicted: Sequence[str], relevance: Sequence[float]) -> str:
    lines = []
    for what, names in (("truth", truth), ("predicted", predicted)):
        lines.append(f"{what}: " + ", ".join(f"{s.name} {_span(s)}" for s in stretches(names)))
    return "\n".join([*lines, "relevance: " + " ".join(f"{value:.2f}" for value in relevance)])


def _span(stretch: Stretch) -> str:
    last = stretch.start + stretch.length
    return str(last) if stretch.length == 1 else f"{stretch.start + 1}–{last}"

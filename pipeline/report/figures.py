"""Figures drawn as SVG text: line charts, the relevance of a clip, and confusion of many categories.

Colours come from the page's style sheet, so that a figure follows light and dark; every mark carries a title.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

CHART_WIDTH, CHART_HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 10, 24
MARK_LINE_HEIGHT = 15
NUM_TICKS = 4

RELEVANCE_HEIGHT = 100
SEGMENT_WIDTH = 100

MAP_CELL = 10


@dataclass(frozen=True)
class Series:
    """One line of a chart: `values` per epoch (None: a gap) and the style class that colours it."""

    name: str
    values: Sequence[float | None]
    style: str = "first"


@dataclass(frozen=True)
class Mark:
    """A vertical line at an epoch; without a label it is only a line."""

    epoch: float
    label: str = ""
    style: str = "first"


def element(name: str, *children: str, **attributes: object) -> Markup:
    """Return an SVG element; text is escaped, ``class_`` means ``class`` and ``stroke_width`` ``stroke-width``.

    >>> element("text", "<b>", class_="tick", x=1.5)
    Markup('<text class="tick" x="1.5">&lt;b&gt;</text>')
    """
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"' for key, value in attributes.items()
    )
    return Markup(f"<{name}{pairs}>{Markup('').join(children)}</{name}>")


def line_chart(epochs: Sequence[float], series: Sequence[Series], marks: Sequence[Mark], *, title: str) -> Markup:
    """Draw `series` over `epochs`, with a vertical line and a dot on every series at each of `marks`."""
    values = [value for line in series for value in line.values if value is not None]
    y_ticks = ticks(*_limits(values))
    x_ticks = [tick for tick in ticks(epochs[0], epochs[-1]) if tick == round(tick)]
    top = TOP + MARK_LINE_HEIGHT * sum(bool(mark.label) for mark in marks)
    x_of = _scale((epochs[0], epochs[-1]), (LEFT, CHART_WIDTH - RIGHT))
    y_of = _scale((y_ticks[0], y_ticks[-1]), (CHART_HEIGHT - BOTTOM, top))
    parts = [element("title", title)]
    for tick in y_ticks:
        y = y_of(tick)
        parts.append(element("line", class_="grid", x1=LEFT, x2=CHART_WIDTH - RIGHT, y1=y, y2=y))
        parts.append(element("text", f"{tick:g}", class_="tick end", x=LEFT - 8, y=y + 4))
    for tick in x_ticks:
        if epochs[0] <= tick <= epochs[-1]:
            parts.append(element("text", f"{tick:g}", class_="tick middle", x=x_of(tick), y=CHART_HEIGHT - BOTTOM + 18))
    parts += _mark_lines(marks, x_of, top)
    for line in series:
        points = [
            None if value is None else (x_of(epoch), y_of(value))
            for epoch, value in zip(epochs, line.values, strict=True)
        ]
        parts.append(element("path", class_=f"line {line.style}", d=_path(points)))
        for mark in marks:
            point = points[list(epochs).index(mark.epoch)] if mark.epoch in epochs else None
            if point is not None:
                parts.append(element("circle", class_=f"dot {line.style}", cx=point[0], cy=point[1], r=4))
    parts += _hover_areas(epochs, series, x_of, top)
    return _svg(parts, CHART_WIDTH, CHART_HEIGHT, "chart")


def relevance_curve(values: Sequence[float]) -> Markup:
    """Draw the event probability per segment, as wide as its container, with the threshold 0.5."""
    width = SEGMENT_WIDTH * len(values)
    points = [
        ((segment + 0.5) * SEGMENT_WIDTH, RELEVANCE_HEIGHT * (1 - min(1.0, max(0.0, value))))
        for segment, value in enumerate(values)
    ]
    floor = [(points[-1][0], float(RELEVANCE_HEIGHT)), (points[0][0], float(RELEVANCE_HEIGHT))]
    middle = RELEVANCE_HEIGHT / 2
    parts = [
        element("line", class_="threshold", x1=0, x2=width, y1=middle, y2=middle),
        element("path", class_="area", d=f"{_path([*points, *floor])}Z"),
        element("path", class_="line first", d=_path(points)),
        *(element("path", class_="point", d=f"M{_text(x)} {_text(y)}h0") for x, y in points),
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
    return _svg(parts, width, RELEVANCE_HEIGHT, "relevance", preserveAspectRatio="none")


def confusion_map(counts: np.ndarray, names: Sequence[str]) -> Markup:
    """Draw a square per pair of names that occurs, its opacity the share of the row; shape (C, C), int."""
    size = MAP_CELL * len(names)
    totals = counts.sum(axis=1)
    parts = [element("rect", class_="frame", x=0, y=0, width=size, height=size)]
    for row, column in np.argwhere(counts):
        count, share = int(counts[row, column]), counts[row, column] / totals[row]
        parts.append(
            element(
                "rect",
                element("title", f"{names[row]} → {names[column]}: {count} segments, {share:.0%} of the row"),
                class_="right" if row == column else "wrong",
                x=int(column) * MAP_CELL,
                y=int(row) * MAP_CELL,
                width=MAP_CELL,
                height=MAP_CELL,
                fill_opacity=float(max(0.12, share)),
            )
        )
    return _svg(parts, size, size, "confusion-map")


def ticks(low: float, high: float) -> list[float]:
    """Return about four round numbers from at or below `low` to at or above `high`.

    >>> ticks(0, 87)
    [0.0, 25.0, 50.0, 75.0, 100.0]
    """
    rough = max(high - low, 1e-9) / NUM_TICKS
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{number * step:.10g}") for number in range(first, max(last, first + 1) + 1)]


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Return the range an axis shows: from zero unless the values are far from it."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    if 0 <= low < 0.6 * high:
        low = 0.0
    return (low, high) if high > low else (low - 0.5 * abs(low or 1), high + 0.5 * abs(high or 1))


def _scale(source: tuple[float, float], target: tuple[float, float]):  # type: ignore[no-untyped-def]
    span = source[1] - source[0]

    def convert(value: float) -> float:
        share = (value - source[0]) / span if span else 0.5
        return target[0] + share * (target[1] - target[0])

    return convert


def _mark_lines(marks: Sequence[Mark], x_of, top: float) -> list[Markup]:  # type: ignore[no-untyped-def]
    parts = []
    for position, mark in enumerate(marks):
        x = x_of(mark.epoch)
        label_y = TOP + MARK_LINE_HEIGHT * position
        parts.append(element("line", class_=f"mark {mark.style}", x1=x, x2=x, y1=top - 6, y2=CHART_HEIGHT - BOTTOM))
        if mark.label:
            anchor = "end" if x > CHART_WIDTH / 2 else "start"
            parts.append(element("text", mark.label, class_=f"mark-label {mark.style} {anchor}", x=x, y=label_y))
    return parts


def _hover_areas(epochs, series: Sequence[Series], x_of, top: float) -> list[Markup]:  # type: ignore[no-untyped-def]
    width = (CHART_WIDTH - LEFT - RIGHT) / max(1, len(epochs) - 1)
    parts = []
    for position, epoch in enumerate(epochs):
        values = ", ".join(
            f"{line.name} {value:.4g}" for line in series if (value := line.values[position]) is not None
        )
        parts.append(
            element(
                "rect",
                element("title", f"epoch {epoch:g}: {values or 'no value'}"),
                class_="hover",
                x=x_of(epoch) - width / 2,
                y=top,
                width=width,
                height=CHART_HEIGHT - BOTTOM - top,
            )
        )
    return parts


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """Return path data through `points`, lifting the pen at every gap."""
    commands, is_down = [], False
    for point in points:
        if point is not None:
            commands.append(f"{'L' if is_down else 'M'}{_text(point[0])} {_text(point[1])}")
        is_down = point is not None
    return "".join(commands)


def _svg(parts: Sequence[str], width: float, height: float, style: str, **attributes: object) -> Markup:
    return element("svg", *parts, class_=style, viewBox=f"0 0 {_text(width)} {_text(height)}", role="img", **attributes)


def _text(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)

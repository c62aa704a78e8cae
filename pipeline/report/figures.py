"""Figures drawn as SVG text: line charts and reliability diagrams.

Colours come from the page's style sheet, so that a figure follows light and dark; every mark carries a title.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.drawing.svg import element, path_through, svg
from pipeline.report.calibration import Calibration

CHART_WIDTH, CHART_HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 10, 24
MARK_LINE_HEIGHT = 15
NUM_TICKS = 4

PLOT_HEIGHT = 190
COUNTS_HEIGHT = 34
SMALLEST_DOT, LARGEST_DOT = 2.5, 7.0
DIAGRAM_HEIGHT = TOP + PLOT_HEIGHT + 10 + COUNTS_HEIGHT + 32


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
        parts.append(element("path", class_=f"line {line.style}", d=path_through(points)))
        for mark in marks:
            point = points[list(epochs).index(mark.epoch)] if mark.epoch in epochs else None
            if point is not None:
                parts.append(element("circle", class_=f"dot {line.style}", cx=point[0], cy=point[1], r=4))
    parts += _hover_areas(epochs, series, x_of, top)
    return svg(parts, CHART_WIDTH, CHART_HEIGHT, "chart")


def reliability_diagram(calibration: Calibration, *, title: str) -> Markup:
    """Draw the share of events against the probability said, bin by bin, above the number of segments in each bin.

    The area of a point grows with that number.
    """
    num_bins = len(calibration.counts)
    x_of = _scale((0, 1), (LEFT, CHART_WIDTH - RIGHT))
    y_of = _scale((0, 1), (TOP + PLOT_HEIGHT, TOP))
    floor = DIAGRAM_HEIGHT - 32
    highest = max(1, int(calibration.counts.max()))
    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(element("line", class_="grid", x1=LEFT, x2=CHART_WIDTH - RIGHT, y1=y_of(tick), y2=y_of(tick)))
        parts.append(element("text", f"{tick:g}", class_="tick end", x=LEFT - 8, y=y_of(tick) + 4))
    parts.append(element("line", class_="diagonal", x1=x_of(0), y1=y_of(0), x2=x_of(1), y2=y_of(1)))
    filled = calibration.counts > 0
    places = zip(calibration.mean_probability[filled].tolist(), calibration.event_share[filled].tolist(), strict=True)
    points = [(x_of(said), y_of(found)) for said, found in places]
    parts.append(element("path", class_="link first", d=path_through(points)))
    for count, (x, y) in zip(calibration.counts[filled].tolist(), points, strict=True):
        radius = SMALLEST_DOT + (LARGEST_DOT - SMALLEST_DOT) * math.sqrt(count / highest)
        parts.append(element("circle", class_="dot first", cx=x, cy=y, r=radius))
    width = (CHART_WIDTH - LEFT - RIGHT) / num_bins
    for place, count in enumerate(calibration.counts.tolist()):
        left, height = x_of(place / num_bins), COUNTS_HEIGHT * count / highest
        bar = {"x": left + 1, "width": width - 2}
        parts.append(element("rect", class_="bin", y=floor - height, height=height, **bar))
        parts.append(element("text", _short_count(count), class_="tick middle", x=left + width / 2, y=floor + 13))
        text = f"{place / num_bins:g} to {(place + 1) / num_bins:g}: {count} segments"
        if count:
            said, found = calibration.mean_probability[place], calibration.event_share[place]
            text += f", said {said:.2f}, an event in {found:.2f} of them"
        parts.append(
            element("rect", element("title", text), class_="hover", x=left, width=width, y=TOP, height=floor - TOP)
        )
    for tick in (0, 0.5, 1):
        parts.append(element("text", f"{tick:g}", class_="tick middle", x=x_of(tick), y=floor + 28))
    return svg(parts, CHART_WIDTH, DIAGRAM_HEIGHT, "chart", title=title)


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


def _short_count(count: int) -> str:
    return f"{count / 1000:.0f}k" if count >= 10_000 else str(count)


def _scale(source: tuple[float, float], target: tuple[float, float]) -> Callable[[float], float]:
    span = source[1] - source[0]

    def convert(value: float) -> float:
        share = (value - source[0]) / span if span else 0.5
        return target[0] + share * (target[1] - target[0])

    return convert


def _mark_lines(marks: Sequence[Mark], x_of: Callable[[float], float], top: float) -> list[Markup]:
    parts = []
    for position, mark in enumerate(marks):
        x = x_of(mark.epoch)
        label_y = TOP + MARK_LINE_HEIGHT * position
        parts.append(element("line", class_=f"mark {mark.style}", x1=x, x2=x, y1=top - 6, y2=CHART_HEIGHT - BOTTOM))
        if mark.label:
            anchor = "end" if x > CHART_WIDTH / 2 else "start"
            parts.append(element("text", mark.label, class_=f"mark-label {mark.style} {anchor}", x=x, y=label_y))
    return parts


def _hover_areas(
    epochs: Sequence[float], series: Sequence[Series], x_of: Callable[[float], float], top: float
) -> list[Markup]:
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

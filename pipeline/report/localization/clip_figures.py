"""Figures of one clip as SVG text.

Time runs from left to right, over the width of whatever holds the figure; a matrix has time on both axes.
"""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from pipeline.drawing.svg import bars, element, number_text, path_through, svg
from pipeline.drawing.timelines import Lane, TimeAxis, find_spans

SEGMENT_WIDTH = 100
RELEVANCE_HEIGHT = 100

STRIP_CELL = 10
LANE_HEIGHT, LANE_GAP = 8, 1
MARK_HEIGHT, CURVE_HEIGHT = 3, 11

MATRIX_SIZE = 100
MATRIX_LEFT, MATRIX_BOTTOM, EVENT_BAR = 17, 17, 3


def relevance_curve(values: Sequence[float]) -> Markup:
    """Draw the event probability per segment, with the threshold 0.5."""
    width = SEGMENT_WIDTH * len(values)
    points = TimeAxis(0, len(values), 0, width).curve(values, floor=RELEVANCE_HEIGHT, ceiling=0)
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


def strip(
    lanes: Sequence[Lane],
    *,
    num_seconds: float,
    wrong: Sequence[bool],
    relevance: Sequence[float],
    fills: Mapping[str, str],
) -> Markup:
    """Draw a clip in one row of a list: its lanes, a mark under wrong segments, the relevance below.

    Parameters
    ----------
    lanes : sequence of Lane
        From top to bottom.
    num_seconds : float
        Length of the clip.
    wrong : sequence of bool, length T
    relevance : sequence of float, length T
        From 0 to 1.
    fills : mapping of str to str
        Colours by what the lanes name.
    """
    width = STRIP_CELL * len(relevance)
    axis = TimeAxis(0, num_seconds, 0, width)
    parts = []
    for row, lane in enumerate(lanes):
        parts += bars(lane, axis, top=row * (LANE_HEIGHT + LANE_GAP), height=LANE_HEIGHT, fills=fills)
    below = len(lanes) * (LANE_HEIGHT + LANE_GAP)
    borders = "".join(f"M{x} 0V{below}" for x in range(STRIP_CELL, width, STRIP_CELL))
    parts.append(element("path", class_="border", d=borders))
    marks = "".join(
        f"M{segment * STRIP_CELL} {below + 1}h{STRIP_CELL}" for segment, is_wrong in enumerate(wrong) if is_wrong
    )
    if marks:
        parts.append(element("path", class_="mark", d=marks))
    top = below + MARK_HEIGHT
    height = top + CURVE_HEIGHT
    parts.append(element("path", class_="threshold", d=f"M0 {number_text((top + height) / 2)}h{width}"))
    curve = axis.curve(relevance, floor=height, ceiling=top)
    parts.append(element("path", class_="line first", d=path_through(curve)))
    title = _in_words(lanes, relevance)
    return svg(parts, width, height, "strip", title=title, preserveAspectRatio="none")


def matrix(address: str, *, events: Sequence[bool], fill: str, rows: str, columns: str, title: str) -> Markup:
    """Draw a matrix (T, T), given as the address of a picture of T x T pixels, with its axes.

    Beside both axes are bars of the colour `fill` where an event truly is; `rows` and `columns` name the axes.
    """
    axis = TimeAxis(0, len(events), 0, MATRIX_SIZE)
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
    for span in find_spans(["event" if event else None for event in events]):
        start, length = axis.box(span.start_seconds, span.stop_seconds)
        bar = {"class_": "event", "fill": fill}
        parts.append(element("rect", x=left - EVENT_BAR - 1, y=start, width=EVENT_BAR, height=length, **bar))
        parts.append(element("rect", x=left + start, y=bottom + 1, width=length, height=EVENT_BAR, **bar))
    middles = axis.middles(len(events))
    for segment in sorted({0, (len(events) - 1) // 2, len(events) - 1}):
        number, middle = str(segment + 1), middles[segment]
        parts.append(element("text", number, class_="end", x=left - EVENT_BAR - 2, y=middle + 2))
        parts.append(element("text", number, class_="middle", x=left + middle, y=bottom + EVENT_BAR + 7))
    centre = MATRIX_SIZE / 2
    height = MATRIX_SIZE + MATRIX_BOTTOM
    parts.append(element("text", columns, class_="middle", x=left + centre, y=height - 1))
    parts.append(element("text", rows, class_="middle", transform=f"translate(6 {number_text(centre)}) rotate(-90)"))
    return svg(parts, left + MATRIX_SIZE + 1, height, "matrix", title=title)


def _in_words(lanes: Sequence[Lane], relevance: Sequence[float]) -> str:
    lines = [
        f"{lane.name}: " + ", ".join(f"{span.name} {span.numbers}" for span in lane.without_masks().spans)
        for lane in lanes
    ]
    return "\n".join([*lines, "relevance: " + " ".join(f"{value:.2f}" for value in relevance)])

"""Lanes of one clip as SVG text: truth above prediction, and the probability of each segment.

Time runs from left to right, over the width of whatever holds the figure.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from pipeline.drawing.svg import bars, element, number_text, path_through, svg
from pipeline.drawing.timelines import Lane, TimeAxis
from pipeline.report.mistakes import RIGHT
from pipeline.report.parsing.mistakes import KINDS
from pipeline.report.parsing.run import VERBS, ParsedLane

CELL = 10
BAR_HEIGHT, BAR_GAP = 8, 1
MARK_HEIGHT, CURVE_HEIGHT = 3, 20

STRIP_BAR, STRIP_GAP = 4, 3


def lane_figure(lane: ParsedLane, *, segment_seconds: float, fill: str) -> Markup:
    """Draw a lane: truth, prediction, a mark under wrong segments, the probability below with the threshold 0.5.

    Every segment says all of it in words.
    """
    width = CELL * len(lane.truth)
    axis = TimeAxis(0, len(lane.truth) * segment_seconds, 0, width)
    fills = {lane.category: fill}
    parts = []
    for row, drawn in enumerate(lane.drawn(segment_seconds)):
        top = row * (BAR_HEIGHT + BAR_GAP)
        parts.append(element("rect", class_="ground", x=0, y=top, width=width, height=BAR_HEIGHT))
        parts += bars(drawn, axis, top=top, height=BAR_HEIGHT, fills=fills)
    below = 2 * (BAR_HEIGHT + BAR_GAP)
    parts.append(element("path", class_="border", d="".join(f"M{x} 0V{below}" for x in range(CELL, width, CELL))))
    wrong = [segment for segment, kind in enumerate(lane.kinds) if kind != RIGHT]
    if wrong:
        parts.append(
            element("path", class_="mark", d="".join(f"M{place * CELL} {below + 1}h{CELL}" for place in wrong))
        )
    top = below + MARK_HEIGHT
    height = top + CURVE_HEIGHT
    parts.append(element("path", class_="threshold", d=f"M0 {number_text((top + height) / 2)}h{width}"))
    curve = axis.curve(lane.probability, floor=height, ceiling=top)
    parts.append(element("path", class_="line first", d=path_through(curve)))
    for segment, words in enumerate(_segments_in_words(lane)):
        place = {"x": segment * CELL, "y": 0, "width": CELL, "height": height}
        parts.append(element("rect", element("title", words), class_="hover", **place))
    return svg(parts, width, height, "strip lane", title=describe_lane(lane), preserveAspectRatio="none")


def lanes_strip(lanes: Sequence[ParsedLane], *, segment_seconds: float, fills: Mapping[str, str]) -> Markup:
    """Draw all lanes of a clip in one row of a list, what is seen and what is heard apart: truth above prediction."""
    parts = []
    for modality, verb in VERBS.items():
        of_modality = [lane for lane in lanes if lane.modality == modality]
        if of_modality:
            parts.append(element("span", verb, class_="modality"))
            parts.append(_strip_of(of_modality, segment_seconds, fills))
    return element("span", *parts, class_="strip lanes")


def _strip_of(lanes: Sequence[ParsedLane], segment_seconds: float, fills: Mapping[str, str]) -> Markup:
    num_segments = len(lanes[0].truth)
    width = CELL * num_segments
    axis = TimeAxis(0, num_segments * segment_seconds, 0, width)
    parts = []
    for row, lane in enumerate(lanes):
        top = row * (2 * STRIP_BAR + STRIP_GAP)
        parts.append(element("rect", class_="ground", x=0, y=top, width=width, height=2 * STRIP_BAR))
        for half, drawn in enumerate(lane.drawn(segment_seconds)):
            parts += bars(drawn, axis, top=top + half * STRIP_BAR, height=STRIP_BAR, fills=fills)
    height = len(lanes) * (2 * STRIP_BAR + STRIP_GAP) - STRIP_GAP
    parts.append(element("path", class_="border", d="".join(f"M{x} 0V{height}" for x in range(CELL, width, CELL))))
    title = "\n".join(_spans_in_words(lane) for lane in lanes)
    return svg(parts, width, height, "strip", title=title, preserveAspectRatio="none", style_=f"height:{height}px")


def describe_lane(lane: ParsedLane) -> str:
    """Return all that a lane shows, in words."""
    counts = Counter(lane.kinds)
    wrong = ", ".join(f"{counts[kind]} {KINDS[kind].name}" for kind in KINDS if counts[kind])
    return "\n".join(
        [
            _spans_in_words(lane),
            f"wrong: {wrong or 'nothing'}",
            "probability: " + " ".join(f"{value:.2f}" for value in lane.probability),
            f"the clip's: {lane.gate:.2f}",
        ]
    )


def _spans_in_words(lane: ParsedLane) -> str:
    truth, predicted = (_numbers(drawn) for drawn in lane.drawn(1.0))
    return f"{lane.category}, {VERBS[lane.modality]}: truth {truth}; predicted {predicted}"


def _numbers(lane: Lane) -> str:
    return ", ".join(span.numbers for span in lane.spans) or "nowhere"


def _segments_in_words(lane: ParsedLane) -> list[str]:
    verb = VERBS[lane.modality]
    words = []
    for segment, (true, said, value, has_media, kind, is_closed) in enumerate(
        zip(lane.truth, lane.predicted, lane.probability, lane.has_media, lane.kinds, lane.is_closed, strict=True),
        start=1,
    ):
        parts = [f"segment {segment}: {verb if true else f'not {verb}'}, {'predicted' if said else 'not predicted'}"]
        if kind != RIGHT:
            parts.append(KINDS[kind].name)
        parts.append(f"probability {value:.2f}")
        if is_closed:
            parts.append(f"closed by the clip's {lane.gate:.2f}")
        if not has_media:
            parts.append("no media")
        words.append("; ".join(parts))
    return words

"""Confusion of many categories as SVG text; colours come from the page's style sheet, every mark carries a title."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from pipeline.drawing.svg import element, svg

MAP_CELL = 10


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
    return svg(parts, size, size, "confusion-map")

"""Colours of categories: few, far apart also for colour-blind readers, and never the only sign.

The nine hues are Paul Tol's "muted" scheme without its grey, which background has, and with its indigo made lighter, so
that it can be seen on a dark page. More categories repeat them; the page writes the name beside every colour.
"""

from dataclasses import dataclass

from pipeline.store.manifest import BACKGROUND

HUES = (
    "#4a3fae", "#88ccee", "#44aa99", "#ddcc77", "#cc6677", "#aa4499", "#117733", "#882255", "#999933",
)  # fmt: skip
GREY = "#b9bcc1"

_DARK_INK, _LIGHT_INK = "#111111", "#ffffff"


@dataclass(frozen=True)
class Colour:
    """A fill and the ink that can be read on it, as ``#rrggbb``."""

    fill: str
    ink: str


def colours(categories: tuple[str, ...]) -> dict[str, Colour]:
    """Return a colour per category name, and grey for ``background``."""
    chosen = {name: _with_ink(HUES[index % len(HUES)]) for index, name in enumerate(categories)}
    return {**chosen, BACKGROUND: _with_ink(GREY)}


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colours as WCAG 2.2 defines it, 1 to 21."""
    dark, light = sorted((_luminance(first), _luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def _with_ink(fill: str) -> Colour:
    return Colour(fill, max((_DARK_INK, _LIGHT_INK), key=lambda ink: contrast(ink, fill)))


def _luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

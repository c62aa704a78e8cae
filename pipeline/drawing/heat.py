"""Where the network looked, and other small maps of numbers, as pictures: one rule for the report and for predictions.

A map of 7 x 7 weights is a PNG of some 200 bytes: smoothed it lies over a picture of any size, unsmoothed it shows the
numbers as they are.

How strongly a place is drawn depends on nothing but its own weight and on how many places there are: how many times
the even share 1/P it is, counted in doublings. A map stretched to its own range, or to the largest weight of its clip,
would make noise in an even map look like a preference, and two clips could not be compared. A linear scale that
ends at a weight of 1 would hide a network that spreads its look over a few places.

Axes: T segment, P position of the visual map, row by row, S its side; H W pixels.
"""

import io
import math
from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib import colormaps
from PIL import Image

SHADE, GLOW = 0.4, 0.55
"""Opacity over a picture: of the shade on all that is not looked at, and what a place adds, both at full strength."""


def attention_strengths(attention: np.ndarray) -> np.ndarray | None:
    r"""Return how far each weight :math:`w` stands out, as square maps.

    .. math:: \max(0, \log(w P) / \log P)

    is 0 at the even share 1/P or less, 1 where a position has all of the attention, and rises by the same amount with
    every doubling.

    Parameters
    ----------
    attention : np.ndarray, shape (T, P), float
        Weights that sum to one per segment; zero where nothing was computed.

    Returns
    -------
    np.ndarray, shape (T, S, S), float64, or None
        From 0 to 1; None where P is 1 or no square number, so that there is no map.

    Examples
    --------
    >>> attention_strengths(np.array([[0.25, 0.0, 0.25, 0.5]]))
    array([[[0. , 0. ],
            [0. , 0.5]]])
    """
    num_positions = attention.shape[1]
    side = math.isqrt(num_positions)
    if side < 2 or side * side != num_positions:
        return None
    even_shares = attention.astype(np.float64) * num_positions
    strengths: np.ndarray = np.log(even_shares.clip(1, num_positions)) / math.log(num_positions)
    return strengths.reshape(-1, side, side)


def attention_overlays(attention: np.ndarray, is_event: Sequence[bool]) -> list[np.ndarray | None]:
    """Return what lies over the picture of each segment: where the network looked, if it found an event there.

    Parameters
    ----------
    attention : np.ndarray, shape (T, P), float
        As :func:`attention_strengths`.
    is_event : sequence of bool, length T
        Whether an event is predicted.

    Returns
    -------
    list of np.ndarray, shape (S, S, 4), uint8, or None
        As :func:`overlay_colours`; None where nothing lies over the picture.
    """
    strengths = attention_strengths(attention)
    if strengths is None:
        return [None] * len(is_event)
    return [overlay_colours(of) if shown else None for of, shown in zip(strengths, is_event, strict=True)]


def overlay_colours(strengths: np.ndarray) -> np.ndarray:
    """Return the colours that lie over a picture, (S, S, 4), uint8.

    Places glow as strongly as they stand out, and the rest is shaded as far as the strongest one does: light can be
    told from dark on a picture of any colour. Over an even map nothing is drawn.
    """
    colours = colormaps["inferno"](np.sqrt(strengths))
    colours[..., 3] = SHADE * strengths.max() + GLOW * strengths
    rounded: np.ndarray = np.round(255 * colours).astype(np.uint8)
    return rounded


def enlarge(overlay: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return an overlay (S, S, 4), uint8, at the size of a picture, smoothed as browsers do it.

    Frames are stretched to the map, so the map is stretched to frames.

    Returns
    -------
    np.ndarray, shape (H, W, 4), float32
        Colours times opacity, 0 to 255, and opacity, 0 to 1.
    """
    weighted = overlay.astype(np.float32)
    weighted[..., 3] /= 255
    weighted[..., :3] *= weighted[..., 3:]
    enlarged: np.ndarray = cv2.resize(weighted, (width, height), interpolation=cv2.INTER_LINEAR)
    return enlarged


def blend(picture: np.ndarray, enlarged: np.ndarray) -> np.ndarray:
    """Return a picture (H, W, 3), uint8, under what :func:`enlarge` returns."""
    mixed: np.ndarray = picture * (1 - enlarged[..., 3:]) + enlarged[..., :3]
    return mixed.round().astype(np.uint8)


def map_colours(strengths: np.ndarray) -> np.ndarray:
    """Return the colours of a map that stands alone, dark at 0, bright at 1; (S, S, 3), uint8."""
    colours: np.ndarray = colormaps["inferno"](strengths, bytes=True)
    return colours[..., :3]


def matrix_colours(values: np.ndarray) -> np.ndarray:
    """Return the colours of a matrix of numbers from 0 on; what is 0 is transparent; (T, T, 4), uint8."""
    values = values.astype(np.float64)
    colours: np.ndarray = colormaps["viridis"](values / max(float(values.max()), 1e-12), bytes=True)
    colours[values == 0] = 0
    return colours


def encode_png(pixels: np.ndarray) -> bytes:
    """Return pixels (rows, columns, 3 or 4), uint8, as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()

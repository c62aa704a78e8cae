"""Small maps of numbers as pictures of as many pixels, which the browser enlarges.

A map of 7 x 7 weights is a PNG of some 200 bytes: smoothed it lies over a picture of any size, unsmoothed it shows the
numbers as they are.
"""

import io
import math

import numpy as np
from matplotlib import colormaps
from PIL import Image

STRONG_SHARES = 3
"""How often the even share a weight must be to be drawn in full, at the least: nearly even maps look so."""

OVERLAY_OPACITY = (0.4, 0.8)
"""Of what lies over a picture where a weight does not stand out, dark, and where it is drawn in full, bright."""


def attention_shares(attention: np.ndarray) -> np.ndarray | None:
    """Return how far each weight stands out, as square maps.

    A weight of the even share 1/P or less is 0; the clip's largest one, or :data:`STRONG_SHARES` even shares where all
    are smaller, is 1.

    Parameters
    ----------
    attention : np.ndarray, shape (T, P), float
        Weights that sum to one per segment, row by row of a square map.

    Returns
    -------
    np.ndarray, shape (T, S, S), float, or None
        From 0 to 1; None where P is 1 or no square number, so that there is no map.

    Examples
    --------
    >>> attention_shares(np.array([[0.25, 0.0, 0.25, 0.5]]))
    array([[[0. , 0. ],
            [0. , 0.5]]])
    """
    num_positions = attention.shape[1]
    side = math.isqrt(num_positions)
    if side < 2 or side * side != num_positions:
        return None
    weights = attention.astype(np.float64)
    even = 1 / num_positions
    full = max(float(weights.max()), STRONG_SHARES * even)
    shares: np.ndarray = np.clip((weights - even) / (full - even), 0, 1).reshape(-1, side, side)
    return shares


def overlay_colours(shares: np.ndarray) -> np.ndarray:
    """Return the colours that lie over a picture: a shade at 0, bright and nearly opaque at 1; (S, S, 4), uint8."""
    strength = np.sqrt(shares)
    colours = colormaps["inferno"](0.9 * strength)
    colours[..., 3] = np.interp(strength, (0, 1), OVERLAY_OPACITY)
    rounded: np.ndarray = np.round(255 * colours).astype(np.uint8)
    return rounded


def map_colours(shares: np.ndarray) -> np.ndarray:
    """Return the colours of a map that stands alone, dark at 0, bright at 1; (S, S, 3), uint8."""
    colours: np.ndarray = colormaps["inferno"](shares, bytes=True)
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

"""Where the network looked, laid over a picture.

Axes: P position of the visual map, row by row; H W pixels.
"""

import math

import cv2
import numpy as np

COLOUR = (255, 72, 0)
MAX_OPACITY = 0.55


def attention_map(attention: np.ndarray) -> np.ndarray:
    """Return how strongly each position of the map is to be marked.

    From the least to the most attended position it rises from 0 to 1; where those differ by less than an even share
    of the attention, it stays fainter: next to no preference is not shown as one.

    Parameters
    ----------
    attention : np.ndarray, shape (P,), float
        Weights of the positions of a square map.

    Returns
    -------
    np.ndarray, shape (H, W), float32

    Examples
    --------
    >>> attention_map(np.array([0.1, 0.1, 0.2, 0.6]))
    array([[0. , 0. ],
           [0.2, 1. ]], dtype=float32)
    >>> attention_map(np.array([0.25, 0.25, 0.25, 0.25])).max()
    np.float32(0.0)
    """
    side = math.isqrt(attention.size)
    spread = max(float(np.ptp(attention)), 1 / attention.size)
    shown: np.ndarray = ((attention - attention.min()) / spread).reshape(side, side).astype(np.float32)
    return shown


def enlarge(strengths: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return a map (h, w) at the size of a picture, (H, W, 1), float32, as opacity: frames are stretched to the map."""
    smooth = cv2.resize(strengths, (width, height), interpolation=cv2.INTER_CUBIC)
    return MAX_OPACITY * smooth.clip(0, 1)[..., np.newaxis]


def blend(picture: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Return a picture (H, W, 3), uint8, under a colour of the given opacity (H, W, 1), 0 to 1."""
    mixed: np.ndarray = picture + opacity * (np.array(COLOUR, np.float32) - picture)
    return mixed.round().astype(np.uint8)

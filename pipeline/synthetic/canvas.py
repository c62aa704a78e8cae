"""A square to paint on, and the shapes to paint: each a signed distance to its edge, (H, W), in units of x and y."""

from typing import Any

import numpy as np


class Canvas:
    """Shapes painted over one another on a square with x and y from -1 to 1, y pointing down."""

    def __init__(self, size: int) -> None:
        axis = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1
        self.x, self.y = np.meshgrid(axis, axis)
        self.pixels_per_unit = size / 2
        self.colour = np.zeros((size, size, 3), np.float32)  # premultiplied by alpha
        self.alpha = np.zeros((size, size), np.float32)

    def paint(self, distance: np.ndarray, colour: Any, opacity: Any = 1.0) -> None:
        """Cover where the signed `distance` to a shape's edge is negative; the edge is smoothed over a pixel."""
        coverage = np.clip(0.5 - distance * self.pixels_per_unit, 0, 1) * np.float32(opacity)
        rows, columns = np.flatnonzero(coverage.any(axis=1)), np.flatnonzero(coverage.any(axis=0))
        if not rows.size:
            return
        touched = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        coverage = coverage[touched]
        colour = np.asarray(colour, np.float32)
        layer = self.colour[touched]
        layer += coverage[..., None] * ((colour[touched] if colour.ndim == 3 else colour) - layer)
        self.alpha[touched] += coverage * (1 - self.alpha[touched])

    def glow(self, centre: tuple[float, float], radius: float, colour: Any, opacity: float) -> None:
        """Lay a soft disc over what is there, faded towards the edge of the square."""
        squared = (self.x - centre[0]) ** 2 + (self.y - centre[1]) ** 2
        edge = np.clip(2.5 * (1 - abs(self.x)), 0, 1) * np.clip(2.5 * (1 - abs(self.y)), 0, 1)
        self.paint(np.full_like(self.x, -1), colour, opacity * edge * np.exp(-squared / radius**2 * 3))


def circle(x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """Return the signed distance to a circle around the origin: negative inside."""
    distance: np.ndarray = np.hypot(x, y) - radius
    return distance


def ellipse(x: np.ndarray, y: np.ndarray, half_width: float, half_height: float) -> np.ndarray:
    """Return the approximate signed distance to an ellipse around the origin: negative inside."""
    return (np.hypot(x / half_width, y / half_height) - 1) * min(half_width, half_height)


def box(x: np.ndarray, y: np.ndarray, half_width: float, half_height: float, corner: float) -> np.ndarray:
    """Return the signed distance to a box around the origin with round corners: negative inside."""
    outside_x, outside_y = abs(x) - half_width + corner, abs(y) - half_height + corner
    distance: np.ndarray = (
        np.hypot(np.maximum(outside_x, 0), np.maximum(outside_y, 0))
        + np.minimum(np.maximum(outside_x, outside_y), 0)
        - corner
    )
    return distance


def line(x: np.ndarray, y: np.ndarray, start: Any, end: Any, width: float) -> np.ndarray:
    """Return the signed distance to a line of some width with round ends: negative inside."""
    direction = np.subtract(end, start, dtype=np.float32)
    along = ((x - start[0]) * direction[0] + (y - start[1]) * direction[1]) / (direction @ direction)
    along = np.clip(along, 0, 1)
    to_axis: np.ndarray = np.hypot(x - start[0] - along * direction[0], y - start[1] - along * direction[1])
    return to_axis - width / 2


def rotate(x: np.ndarray, y: np.ndarray, radians: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the coordinates turned by an angle, so that what is drawn with them is turned the other way."""
    cosine, sine = np.float32(np.cos(radians)), np.float32(np.sin(radians))
    return cosine * x + sine * y, cosine * y - sine * x


def shade(colour: Any, brightness: np.ndarray) -> np.ndarray:
    """Return a colour per pixel: `colour` times `brightness` (H, W)."""
    return np.asarray(colour, np.float32) * brightness[..., None].astype(np.float32)

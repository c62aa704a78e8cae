"""The objects: a picture per category and moment of its cycle, as colour and coverage per pixel."""

from collections.abc import Callable

import numpy as np

from pipeline.synthetic.canvas import Canvas, box, circle, ellipse, line, rotate, shade


def _paint_church_bell(c: Canvas, phase: float) -> None:
    """Paint a bell that swings below a beam, and a clapper in it that swings further.

    Where the bell hangs, `x` and `y` count from the pivot, `y` down from there::

        0.08  crown, which holds the bell
        0.14  shoulder
        0.42  upper band
        1.06, 1.16  lower bands
        1.36  lip; below it only the end of the clapper is seen
    """
    beam, bronze, engraving = (0.36, 0.23, 0.16), (0.93, 0.68, 0.2), (0.56, 0.36, 0.08)
    crown, rod, ball = (0.55, 0.38, 0.1), (0.3, 0.22, 0.12), (0.34, 0.25, 0.14)
    pivot, shoulder, lip = 0.76, 0.14, 1.36
    swing = 0.3 * np.sin(2 * np.pi * phase)

    c.paint(box(c.x, c.y + 0.86, 0.62, 0.1, 0.05), beam)
    x, y = rotate(c.x, c.y + pivot, swing)
    c.paint(box(x, y - 0.08, 0.1, 0.16, 0.05), crown)
    clapper_x, clapper_y = rotate(c.x, c.y + pivot, swing * 1.5)
    c.paint(line(clapper_x, clapper_y, (0, 0.6), (0, 1.42), 0.07), rod)
    c.paint(circle(clapper_x, clapper_y - 1.44, 0.13), ball)

    depth = np.clip((y - shoulder) / 1.22, 0, 1)  # 0 at the shoulder, 1 at the lip
    dome = 0.34 * np.sqrt(np.clip(depth * 7, 0, 1))  # rounds the shoulder
    half_width = dome + 0.16 * depth + 0.26 * depth**5  # widens slowly, and at the lip at once
    bell = np.maximum.reduce([(abs(x) - half_width) * 0.9, shoulder - y, y - lip])
    shine = (
        0.66 + 0.5 * np.exp(-(((x + 0.16) / 0.16) ** 2)) - 0.25 * np.clip(x, 0, 1)
    )  # a strip of light left of centre
    c.paint(bell, shade(bronze, shine))
    for band in (0.42, 1.06, 1.16):
        c.paint(np.maximum(bell, abs(y - band) - 0.022), engraving, 0.8)


def _paint_dog_bark(c: Canvas, phase: float) -> None:
    opening = 0.5 - 0.5 * np.cos(2 * np.pi * phase)
    x, y = rotate(c.x, c.y, 0.06 * np.sin(2 * np.pi * phase))
    coat = (0.95, 0.93, 0.9)
    c.paint(ellipse(x, y - 0.52 - 0.12 * opening, 0.3, 0.3), (0.78, 0.74, 0.7))
    c.paint(ellipse(x, y - 0.5 - 0.1 * opening, 0.24, 0.24 + 0.06 * opening), (0.35, 0.07, 0.1))
    c.paint(ellipse(x, y - 0.62 - 0.1 * opening, 0.14, 0.13), (0.93, 0.45, 0.5))
    head = ellipse(x, y + 0.18, 0.66, 0.68)
    c.paint(head, shade(coat, 1.02 - 0.14 * (x**2 + y**2)))
    for spot_x, spot_y, radius in ((0.3, -0.28, 0.27), (-0.1, -0.68, 0.13), (-0.5, -0.02, 0.1), (0.5, 0.2, 0.08)):
        c.paint(np.maximum(head, circle(x - spot_x, y - spot_y, radius)), (0.14, 0.13, 0.14))
    for side in (-1, 1):
        ear_x, ear_y = rotate(x - side * 0.68, y + 0.3, side * (0.22 + 0.2 * opening))
        c.paint(ellipse(ear_x, ear_y, 0.2, 0.44), (0.16, 0.15, 0.16))
        c.paint(circle(x - side * 0.27, y + 0.24, 0.11), (0.99, 0.97, 0.93))
        c.paint(circle(x - side * 0.26, y + 0.23, 0.075), (0.3, 0.18, 0.08))
        c.paint(circle(x - side * 0.26 + 0.03, y + 0.26, 0.025), (1, 1, 1))
    muzzle = np.minimum(circle(x + 0.17, y - 0.26, 0.25), circle(x - 0.17, y - 0.26, 0.25))
    c.paint(muzzle, shade((1.0, 0.98, 0.95), 1 - 0.2 * np.clip(y, 0, 1)))
    c.paint(ellipse(x, y - 0.08, 0.16, 0.11), (0.08, 0.07, 0.08))
    c.paint(ellipse(x + 0.04, y - 0.04, 0.05, 0.025), (0.6, 0.6, 0.62))


def _paint_frying_food(c: Canvas, phase: float) -> None:
    x, y = c.x + 0.22, c.y - 0.12
    c.paint(line(x, y, (0.55, -0.55), (1.08, -1.0), 0.2), (0.15, 0.12, 0.11))
    c.paint(line(x, y, (0.8, -0.77), (1.05, -0.98), 0.06), (0.5, 0.35, 0.25))
    c.paint(circle(x, y, 0.76), (0.42, 0.43, 0.46))
    c.paint(circle(x, y, 0.7), shade((0.17, 0.17, 0.19), 1 + 0.7 * np.exp(-(((x + y + 0.6) / 0.25) ** 2))))
    angle = np.arctan2(y, x)
    wobble = 0.06 * np.sin(3 * angle + 1) + 0.045 * np.sin(5 * angle + 2 * np.pi * phase)
    c.paint(circle(x, y, 0.53) + wobble, (0.86, 0.72, 0.5))
    c.paint(circle(x, y, 0.49) + wobble, (0.99, 0.98, 0.94))
    c.paint(circle(x - 0.06, y + 0.02, 0.23), shade((1.0, 0.7, 0.08), 1 - 0.35 * np.hypot(x + 0.05, y + 0.1)))
    c.paint(ellipse(x + 0.01, y + 0.1, 0.07, 0.045), (1.0, 0.93, 0.66))
    for index in range(9):
        life = (phase + index * 0.37) % 1
        where = (0.62 * np.cos(index * 2.4), 0.62 * np.sin(index * 2.4))
        c.paint(abs(circle(x - where[0], y - where[1], 0.03 + 0.06 * life)) - 0.012, (0.98, 0.86, 0.55), 1 - life)


def _paint_siren(c: Canvas, phase: float) -> None:
    turn = np.cos(2 * np.pi * phase)
    for side, colour in ((-1, (1.0, 0.25, 0.2)), (1, (0.25, 0.5, 1.0))):
        c.glow((side * 0.42, -0.1), 1.0, colour, 0.75 * max(0.0, side * turn))
    dome = np.maximum(box(c.x, c.y - 0.1, 0.84, 0.62, 0.5), c.y - 0.36)
    for side, colour in ((-1, (0.86, 0.08, 0.1)), (1, (0.1, 0.22, 0.86))):
        lit = 0.6 + 0.7 * max(0.0, side * turn)
        ribs = 1 + 0.12 * np.sign(np.sin(c.x * 38))
        c.paint(np.maximum(dome, -side * c.x), shade(colour, lit * ribs))
        c.glow((side * 0.4, 0.02), 0.42, (1.0, 0.95, 0.9), 0.9 * max(0.0, side * turn))
    c.paint(line(c.x, c.y, (-0.5, -0.3), (0.5, -0.3), 0.06), (1, 1, 1), 0.4)
    c.paint(box(c.x, c.y - 0.52, 0.92, 0.18, 0.06), (0.2, 0.21, 0.24))
    c.paint(box(c.x, c.y - 0.44, 0.86, 0.025, 0.02), (0.62, 0.64, 0.68))
    for side in (-1, 1):
        c.paint(box(c.x - side * 0.6, c.y - 0.76, 0.12, 0.08, 0.02), (0.12, 0.12, 0.14))


def _paint_ticking_clock(c: Canvas, phase: float) -> None:
    x, y = c.x, c.y - 0.12
    for side in (-1, 1):
        c.paint(line(x, y, (side * 0.4, 0.6), (side * 0.58, 0.84), 0.13), (0.08, 0.35, 0.38))
        bell_x, bell_y = rotate(x - side * 0.44, y + 0.78, side * 0.55)
        c.paint(np.maximum(ellipse(bell_x, bell_y, 0.3, 0.24), bell_y - 0.06), (0.97, 0.6, 0.4))
    hammer = 0.12 * np.sin(2 * np.pi * phase)
    c.paint(line(x, y, (0, -0.7), (hammer, -1.0), 0.08), (0.08, 0.35, 0.38))
    c.paint(circle(x, y, 0.76), shade((0.1, 0.62, 0.64), 1.0 - 0.2 * (x + y)))
    c.paint(circle(x, y, 0.6), (0.98, 0.97, 0.92))
    for hour in range(12):
        sine, cosine = np.sin(np.pi * hour / 6), np.cos(np.pi * hour / 6)
        c.paint(line(x, y, (0.48 * sine, 0.48 * cosine), (0.54 * sine, 0.54 * cosine), 0.05), (0.15, 0.2, 0.25))
    c.paint(line(x, y, (0, 0), (-0.24, -0.2), 0.075), (0.15, 0.2, 0.25))
    c.paint(line(x, y, (0, 0), (0.22, -0.38), 0.055), (0.15, 0.2, 0.25))
    hand = 2 * np.pi * (round(phase * 12) / 12)
    c.paint(line(x, y, (0, 0), (0.47 * np.sin(hand), -0.47 * np.cos(hand)), 0.03), (0.9, 0.2, 0.15))
    c.paint(circle(x, y, 0.06), (0.9, 0.2, 0.15))


def _paint_truck(c: Canvas, phase: float) -> None:
    bounce = 0.025 * np.sin(4 * np.pi * phase)
    x, y = c.x, c.y - bounce
    c.paint(box(x, y - 0.46, 0.92, 0.07, 0.03), (0.16, 0.17, 0.18))
    ribs = 1 + 0.13 * np.sign(np.sin(x * 42)) - 0.2 * (y + 0.2)
    c.paint(box(x + 0.32, y + 0.08, 0.64, 0.54, 0.04), shade((0.24, 0.62, 0.3), ribs))
    c.paint(box(x + 0.32, y + 0.1, 0.64, 0.1, 0), (0.96, 0.94, 0.86))
    c.paint(box(x - 0.66, y - 0.14, 0.3, 0.34, 0.1), shade((0.14, 0.44, 0.24), 1 - 0.3 * y))
    c.paint(box(x - 0.72, y - 0.0, 0.18, 0.13, 0.05), (0.7, 0.88, 0.96))
    c.paint(line(x, y, (0.62, 0.08), (0.74, -0.08), 0.04), (1, 1, 1), 0.7)
    c.paint(box(x - 0.91, y - 0.34, 0.05, 0.06, 0.03), (1.0, 0.85, 0.4))
    for wheel in (-0.66, -0.16, 0.6):
        wheel_x, wheel_y = rotate(c.x - wheel, c.y - 0.54, 2 * np.pi * phase)
        c.paint(circle(wheel_x, wheel_y, 0.21), (0.1, 0.1, 0.11))
        c.paint(circle(wheel_x, wheel_y, 0.12), (0.7, 0.72, 0.74))
        c.paint(
            np.minimum(
                line(wheel_x, wheel_y, (-0.1, 0), (0.1, 0), 0.04), line(wheel_x, wheel_y, (0, -0.1), (0, 0.1), 0.04)
            ),
            (0.3, 0.31, 0.33),
        )


def _paint_violin(c: Canvas, phase: float) -> None:
    x, y = rotate(c.x, c.y, 0.5)
    c.paint(box(x, y + 0.56, 0.06, 0.46, 0.03), (0.14, 0.09, 0.07))
    c.paint(circle(x, y + 0.98, 0.09), (0.42, 0.16, 0.06))
    for peg in (-0.86, -0.76):
        c.paint(line(x, y, (-0.15, peg), (0.15, peg), 0.05), (0.14, 0.09, 0.07))
    upper, lower = ellipse(x, y + 0.08, 0.35, 0.3), ellipse(x, y - 0.52, 0.46, 0.38)
    waist = box(x, y - 0.2, 0.24, 0.3, 0.1)
    blend = np.float32(0.06)
    body = -blend * np.log(np.exp(-upper / blend) + np.exp(-lower / blend) + np.exp(-waist / blend))
    grain = 0.95 + 0.1 * np.sin(x * 60 + 2 * np.sin(y * 5)) + 0.25 * np.exp(-(((x + 0.15) / 0.2) ** 2))
    c.paint(body, (0.3, 0.1, 0.04))
    c.paint(body + 0.04, shade((0.72, 0.3, 0.1), grain))
    c.paint(box(x, y - 0.0, 0.055, 0.28, 0.03), (0.14, 0.09, 0.07))
    for side in (-1, 1):
        hole_x, hole_y = rotate(x - side * 0.2, y - 0.3, side * 0.2)
        c.paint(abs(ellipse(hole_x, hole_y, 0.03, 0.13)) - 0.012, (0.1, 0.04, 0.02))
    c.paint(np.maximum(ellipse(x, y - 0.72, 0.09, 0.2), 0.6 - y), (0.14, 0.09, 0.07))
    c.paint(box(x, y - 0.34, 0.14, 0.025, 0.01), (0.93, 0.8, 0.56))
    for string in (-0.035, 0, 0.035):
        c.paint(abs(x - string) - 0.006 + 10 * (abs(y + 0.1) > 0.72), (0.9, 0.9, 0.86), 0.8)
    slide = 0.3 * np.sin(2 * np.pi * phase)
    bow_x, bow_y = rotate(x - slide, y - 0.2, -0.15)
    c.paint(line(bow_x, bow_y, (-0.85, 0.05), (0.85, 0.05), 0.03), (0.97, 0.96, 0.9))
    c.paint(line(bow_x, bow_y, (-0.88, -0.04), (0.88, -0.02), 0.045), (0.25, 0.12, 0.06))
    c.paint(box(bow_x - 0.8, bow_y - 0.0, 0.07, 0.07, 0.02), (0.1, 0.08, 0.08))


_PAINTERS: dict[str, Callable[[Canvas, float], None]] = {
    "Church bell": _paint_church_bell,
    "Dog bark": _paint_dog_bark,
    "Frying food": _paint_frying_food,
    "Siren": _paint_siren,
    "Ticking clock": _paint_ticking_clock,
    "Truck": _paint_truck,
    "Violin": _paint_violin,
}
NUM_PHASES = 16
CYCLES_PER_SECOND = {
    "Church bell": 0.6,
    "Dog bark": 1.7,
    "Frying food": 0.9,
    "Siren": 1.1,
    "Ticking clock": 0.5,
    "Truck": 1.3,
    "Violin": 0.7,
}


def draw_object(category: str, size: int, phase: float) -> np.ndarray:
    """Draw the object of `category` at one moment of its motion.

    Parameters
    ----------
    category : str
        One of :data:`CATEGORIES`.
    size : int
        Side of the square picture, in pixels.
    phase : float
        Where in the cycle of its motion the object is, from 0 to 1.

    Returns
    -------
    ndarray (size, size, 4), float32
        Red, green, blue (premultiplied by alpha) and alpha, each from 0 to 1.
    """
    canvas = Canvas(size)
    _PAINTERS[category](canvas, phase)
    return np.dstack([np.minimum(canvas.colour, canvas.alpha[..., None]), canvas.alpha])

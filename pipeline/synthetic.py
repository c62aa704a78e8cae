"""The embedded data set: seeded clips in which an object is seen, heard, both or neither, as real mp4 files.

The event of a clip are the segments in which its category is *both* seen and heard::

    segment      0 1 2 3 4 5 6 7 8 9
    seen         1 1 1 1 1 1 0 0 0 0      seen silent, then the event, then absent, then heard unseen
    heard        0 0 1 1 1 1 0 0 1 1
    event        0 0 1 1 1 1 0 0 0 0      in Annotations.txt: Siren&syn-0007abc&good&2&6

Many clips also carry a distractor, another category that is only seen or only heard, so that neither modality alone
tells the event. A plan is a pure function of the seed (:func:`plan_clips`); a clip is a pure function of its plan.
Scores on this data say whether the pipeline works, nothing about the methods.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from tqdm import tqdm

from pipeline.files import atomic_write, write_text

NUM_SEGMENTS = 10
SEGMENT_SECONDS = 1.0
CATEGORIES = ("Church bell", "Dog bark", "Frying food", "Siren", "Ticking clock", "Truck", "Violin")
SPLITS = ("train", "val", "test")

# How hard the set is.
ABSENT_SHARE = 0.4  # of the stretches outside the event; the rest is seen silent or heard unseen, half and half
DISTRACTOR_SHARE = 0.4  # of the clips carry another category, seen silent or heard unseen
OBJECT_HEIGHTS = (0.5, 0.78)  # an object's height, as a share of the frame's
CLUTTER = (4, 12)  # number of dim shapes in the background
SOUND_TO_NOISE_DB = (5.0, 18.0)  # level of an object's sound above the background's

MIN_CLIPS_WITH_BROKEN = 40  # smaller sets get no broken files, which would exceed `max_failed_fraction`
HELD_OUT_SHARE = 0.19  # of the clips in val, and as many in test


@dataclass(frozen=True)
class MediaFormat:
    """How a clip is encoded, and what is then done to its file."""

    frame_rate: Fraction = Fraction(25)
    width: int = 320
    height: int = 240
    pixel_format: str = "yuv420p"
    sample_rate_hz: int = 44100
    num_channels: int = 2
    duration_seconds: float = NUM_SEGMENTS * SEGMENT_SECONDS
    has_audio: bool = True
    kept_fraction: float = 1.0


@dataclass(frozen=True)
class Distractor:
    """Another category that shows in one modality only; `mask` has one character per segment, as in a manifest."""

    category: str
    modality: Literal["seen", "heard"]
    mask: str


@dataclass(frozen=True)
class ClipPlan:
    """All that is decided about a clip before it is rendered.

    Parameters
    ----------
    video_id : str
        11 characters, as on YouTube.
    category : str
        One of :data:`CATEGORIES`.
    split : str
        ``train``, ``val`` or ``test``.
    seen, heard : str
        One character per segment: ``1`` where the category's object is on screen, or sounds.
    distractor : Distractor or None
        Another category in one modality.
    media : MediaFormat
        How the file is written.
    awkward : str
        Name of what is unusual about the file, one of the names in :data:`AWKWARD`, or empty.
    seed : int
        Decides how the clip looks and sounds.
    """

    video_id: str
    category: str
    split: str
    seen: str
    heard: str
    distractor: Distractor | None
    media: MediaFormat
    awkward: str
    seed: int

    @property
    def events(self) -> str:
        """One character per segment: ``1`` where the category is both seen and heard."""
        return "".join("1" if pair == ("1", "1") else "0" for pair in zip(self.seen, self.heard, strict=True))

    @property
    def annotation(self) -> str:
        """The clip's row in AVE's format, ``Category&VideoID&Quality&StartTime&EndTime``."""
        return f"{self.category}&{self.video_id}&good&{self.events.find('1')}&{self.events.rfind('1') + 1}"


# Files as they are met in the field: name, split, how the file differs, whether features of the file are incomplete.
AWKWARD: tuple[tuple[str, str, dict[str, Any], bool], ...] = (
    ("17.58 frames per second", "train", {"frame_rate": Fraction(1758, 100)}, False),
    ("odd size", "train", {"width": 321, "height": 241, "pixel_format": "yuv444p"}, False),
    ("no audio stream", "train", {"has_audio": False}, True),
    ("truncated", "train", {"kept_fraction": 0.55}, True),
    ("48 kHz stereo", "train", {"sample_rate_hz": 48000, "num_channels": 2}, False),
    ("9.2 seconds", "val", {"duration_seconds": 9.2}, False),
    ("22.05 kHz mono", "test", {"sample_rate_hz": 22050, "num_channels": 1}, False),
)


def plan_clips(seed: int = 1, num_clips: int = 84) -> tuple[ClipPlan, ...]:
    """Decide everything about a set of clips, stratified by category and by the length of the event.

    Parameters
    ----------
    seed : int
        Equal seeds give equal plans.
    num_clips : int
        At least 3, one for each split; every category occurs in the training split.

    Returns
    -------
    tuple of ClipPlan
        In the order of their ids.

    Raises
    ------
    ValueError
        If `num_clips` is below 3.
    """
    if num_clips < len(SPLITS):
        raise ValueError(f"num_clips: expected at least {len(SPLITS)}, found {num_clips}")
    rng = np.random.default_rng(seed)
    num_held_out = max(1, round(HELD_OUT_SHARE * num_clips))
    sizes = {"train": num_clips - 2 * num_held_out, "val": num_held_out, "test": num_held_out}
    categories = CATEGORIES[: sizes["train"]]
    ids = iter(_draw_ids(rng, num_clips))
    plans = []
    for split in SPLITS:
        size = sizes[split]
        lengths = rng.permutation(np.resize(np.arange(NUM_SEGMENTS, 1, -1), size))
        names = _repeat_shuffled(rng, categories, size)
        plans += [_plan_clip(rng, next(ids), split, name, int(n)) for name, n in zip(names, lengths, strict=True)]
    return tuple(sorted(_make_awkward(plans), key=lambda plan: plan.video_id))


def _draw_ids(rng: np.random.Generator, num_clips: int) -> list[str]:
    """Return ids such as ``syn-0007abc`` in an order that tells nothing of the split."""
    letters = rng.choice(list("abcdefghijklmnopqrstuvwxyz"), (num_clips, 3))
    return [f"syn-{index:04d}{''.join(letters[index])}" for index in rng.permutation(num_clips)]


def _repeat_shuffled(rng: np.random.Generator, names: tuple[str, ...], size: int) -> list[str]:
    """Return `size` names: each once in shuffled order, then each a second time, and so on."""
    rounds = [rng.permutation(names) for _ in range(-(-size // len(names)))]
    return [str(name) for name in np.concatenate(rounds)[:size]]


def _plan_clip(rng: np.random.Generator, video_id: str, split: str, category: str, length: int) -> ClipPlan:
    start = int(rng.integers(0, NUM_SEGMENTS - length + 1))
    seen, heard = np.zeros((2, NUM_SEGMENTS), bool)
    seen[start : start + length] = heard[start : start + length] = True
    for first, last in chain(_split_stretch(rng, 0, start), _split_stretch(rng, start + length, NUM_SEGMENTS)):
        state = rng.choice(["absent", "seen", "heard"], p=[ABSENT_SHARE, *[(1 - ABSENT_SHARE) / 2] * 2])
        seen[first:last] = state == "seen"
        heard[first:last] = state == "heard"
    media = MediaFormat(
        frame_rate=(Fraction(25), Fraction(25), Fraction(24), Fraction(30000, 1001))[rng.integers(4)],
        sample_rate_hz=(44100, 48000)[rng.integers(2)],
        num_channels=int(rng.integers(1, 3)),
    )
    return ClipPlan(
        video_id=video_id,
        category=category,
        split=split,
        seen=_to_text(seen),
        heard=_to_text(heard),
        distractor=_plan_distractor(rng, category),
        media=media,
        awkward="",
        seed=int(rng.integers(2**32)),
    )


def _split_stretch(rng: np.random.Generator, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield the stretch as one, or as two of at least 2 segments."""
    if last - first >= 4 and rng.random() < 0.5:
        middle = int(rng.integers(first + 2, last - 1))
        yield first, middle
        yield middle, last
    elif last > first:
        yield first, last


def _plan_distractor(rng: np.random.Generator, category: str) -> Distractor | None:
    if rng.random() >= DISTRACTOR_SHARE:
        return None
    others = [name for name in CATEGORIES if name != category]
    length = int(rng.integers(3, NUM_SEGMENTS + 1))
    start = int(rng.integers(0, NUM_SEGMENTS - length + 1))
    mask = np.zeros(NUM_SEGMENTS, bool)
    mask[start : start + length] = True
    return Distractor(
        category=others[rng.integers(len(others))],
        modality=("seen", "heard")[rng.integers(2)],
        mask=_to_text(mask),
    )


def _to_text(mask: np.ndarray) -> str:
    return "".join("1" if value else "0" for value in mask)


def _make_awkward(plans: list[ClipPlan]) -> list[ClipPlan]:
    """Give each kind of awkward file to the first ordinary clip of its split whose event the file still holds."""
    plans = list(plans)
    for name, split, changes, broken in AWKWARD:
        if broken and len(plans) < MIN_CLIPS_WITH_BROKEN:
            continue
        seconds = changes.get("duration_seconds", NUM_SEGMENTS * SEGMENT_SECONDS)
        for index, plan in enumerate(plans):
            fits = (plan.events.rfind("1") + 1) * SEGMENT_SECONDS <= seconds
            if plan.split == split and not plan.awkward and fits:
                plans[index] = replace(plan, awkward=name, media=replace(plan.media, **changes))
                break
    return plans


# ---------------------------------------------------------------------------------------------------- pictures


class _Canvas:
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


def _circle(x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    return np.hypot(x, y) - radius


def _ellipse(x: np.ndarray, y: np.ndarray, half_width: float, half_height: float) -> np.ndarray:
    return (np.hypot(x / half_width, y / half_height) - 1) * min(half_width, half_height)


def _box(x: np.ndarray, y: np.ndarray, half_width: float, half_height: float, corner: float) -> np.ndarray:
    outside_x, outside_y = abs(x) - half_width + corner, abs(y) - half_height + corner
    return (
        np.hypot(np.maximum(outside_x, 0), np.maximum(outside_y, 0))
        + np.minimum(np.maximum(outside_x, outside_y), 0)
        - corner
    )


def _line(x: np.ndarray, y: np.ndarray, start: Any, end: Any, width: float) -> np.ndarray:
    direction = np.subtract(end, start, dtype=np.float32)
    along = ((x - start[0]) * direction[0] + (y - start[1]) * direction[1]) / (direction @ direction)
    along = np.clip(along, 0, 1)
    return np.hypot(x - start[0] - along * direction[0], y - start[1] - along * direction[1]) - width / 2


def _rotate(x: np.ndarray, y: np.ndarray, radians: float) -> tuple[np.ndarray, np.ndarray]:
    cosine, sine = np.float32(np.cos(radians)), np.float32(np.sin(radians))
    return cosine * x + sine * y, cosine * y - sine * x


def _shade(colour: Any, brightness: np.ndarray) -> np.ndarray:
    return np.asarray(colour, np.float32) * brightness[..., None].astype(np.float32)


def _paint_church_bell(c: _Canvas, phase: float) -> None:
    swing = 0.3 * np.sin(2 * np.pi * phase)
    c.paint(_box(c.x, c.y + 0.86, 0.62, 0.1, 0.05), (0.36, 0.23, 0.16))
    x, y = _rotate(c.x, c.y + 0.76, swing)
    c.paint(_box(x, y - 0.08, 0.1, 0.16, 0.05), (0.55, 0.38, 0.1))
    knob_x, knob_y = _rotate(c.x, c.y + 0.76, swing * 1.5)
    c.paint(_line(knob_x, knob_y, (0, 0.6), (0, 1.42), 0.07), (0.3, 0.22, 0.12))
    c.paint(_circle(knob_x, knob_y - 1.44, 0.13), (0.34, 0.25, 0.14))
    height = np.clip((y - 0.14) / 1.22, 0, 1)
    half_width = 0.34 * np.sqrt(np.clip(height * 7, 0, 1)) + 0.16 * height + 0.26 * height**5
    bell = np.maximum.reduce([(abs(x) - half_width) * 0.9, 0.14 - y, y - 1.36])
    shine = 0.66 + 0.5 * np.exp(-(((x + 0.16) / 0.16) ** 2)) - 0.25 * np.clip(x, 0, 1)
    c.paint(bell, _shade((0.93, 0.68, 0.2), shine))
    for band in (0.42, 1.06, 1.16):
        c.paint(np.maximum(bell, abs(y - band) - 0.022), (0.56, 0.36, 0.08), 0.8)


def _paint_dog_bark(c: _Canvas, phase: float) -> None:
    opening = 0.5 - 0.5 * np.cos(2 * np.pi * phase)
    x, y = _rotate(c.x, c.y, 0.06 * np.sin(2 * np.pi * phase))
    coat = (0.95, 0.93, 0.9)
    c.paint(_ellipse(x, y - 0.52 - 0.12 * opening, 0.3, 0.3), (0.78, 0.74, 0.7))
    c.paint(_ellipse(x, y - 0.5 - 0.1 * opening, 0.24, 0.24 + 0.06 * opening), (0.35, 0.07, 0.1))
    c.paint(_ellipse(x, y - 0.62 - 0.1 * opening, 0.14, 0.13), (0.93, 0.45, 0.5))
    head = _ellipse(x, y + 0.18, 0.66, 0.68)
    c.paint(head, _shade(coat, 1.02 - 0.14 * (x**2 + y**2)))
    for spot_x, spot_y, radius in ((0.3, -0.28, 0.27), (-0.1, -0.68, 0.13), (-0.5, -0.02, 0.1), (0.5, 0.2, 0.08)):
        c.paint(np.maximum(head, _circle(x - spot_x, y - spot_y, radius)), (0.14, 0.13, 0.14))
    for side in (-1, 1):
        ear_x, ear_y = _rotate(x - side * 0.68, y + 0.3, side * (0.22 + 0.2 * opening))
        c.paint(_ellipse(ear_x, ear_y, 0.2, 0.44), (0.16, 0.15, 0.16))
        c.paint(_circle(x - side * 0.27, y + 0.24, 0.11), (0.99, 0.97, 0.93))
        c.paint(_circle(x - side * 0.26, y + 0.23, 0.075), (0.3, 0.18, 0.08))
        c.paint(_circle(x - side * 0.26 + 0.03, y + 0.26, 0.025), (1, 1, 1))
    muzzle = np.minimum(_circle(x + 0.17, y - 0.26, 0.25), _circle(x - 0.17, y - 0.26, 0.25))
    c.paint(muzzle, _shade((1.0, 0.98, 0.95), 1 - 0.2 * np.clip(y, 0, 1)))
    c.paint(_ellipse(x, y - 0.08, 0.16, 0.11), (0.08, 0.07, 0.08))
    c.paint(_ellipse(x + 0.04, y - 0.04, 0.05, 0.025), (0.6, 0.6, 0.62))


def _paint_frying_food(c: _Canvas, phase: float) -> None:
    x, y = c.x + 0.22, c.y - 0.12
    c.paint(_line(x, y, (0.55, -0.55), (1.08, -1.0), 0.2), (0.15, 0.12, 0.11))
    c.paint(_line(x, y, (0.8, -0.77), (1.05, -0.98), 0.06), (0.5, 0.35, 0.25))
    c.paint(_circle(x, y, 0.76), (0.42, 0.43, 0.46))
    c.paint(_circle(x, y, 0.7), _shade((0.17, 0.17, 0.19), 1 + 0.7 * np.exp(-(((x + y + 0.6) / 0.25) ** 2))))
    angle = np.arctan2(y, x)
    wobble = 0.06 * np.sin(3 * angle + 1) + 0.045 * np.sin(5 * angle + 2 * np.pi * phase)
    c.paint(_circle(x, y, 0.53) + wobble, (0.86, 0.72, 0.5))
    c.paint(_circle(x, y, 0.49) + wobble, (0.99, 0.98, 0.94))
    c.paint(_circle(x - 0.06, y + 0.02, 0.23), _shade((1.0, 0.7, 0.08), 1 - 0.35 * np.hypot(x + 0.05, y + 0.1)))
    c.paint(_ellipse(x + 0.01, y + 0.1, 0.07, 0.045), (1.0, 0.93, 0.66))
    for index in range(9):
        life = (phase + index * 0.37) % 1
        where = (0.62 * np.cos(index * 2.4), 0.62 * np.sin(index * 2.4))
        c.paint(abs(_circle(x - where[0], y - where[1], 0.03 + 0.06 * life)) - 0.012, (0.98, 0.86, 0.55), 1 - life)


def _paint_siren(c: _Canvas, phase: float) -> None:
    turn = np.cos(2 * np.pi * phase)
    for side, colour in ((-1, (1.0, 0.25, 0.2)), (1, (0.25, 0.5, 1.0))):
        c.glow((side * 0.42, -0.1), 1.0, colour, 0.75 * max(0.0, side * turn))
    dome = np.maximum(_box(c.x, c.y - 0.1, 0.84, 0.62, 0.5), c.y - 0.36)
    for side, colour in ((-1, (0.86, 0.08, 0.1)), (1, (0.1, 0.22, 0.86))):
        lit = 0.6 + 0.7 * max(0.0, side * turn)
        ribs = 1 + 0.12 * np.sign(np.sin(c.x * 38))
        c.paint(np.maximum(dome, -side * c.x), _shade(colour, lit * ribs))
        c.glow((side * 0.4, 0.02), 0.42, (1.0, 0.95, 0.9), 0.9 * max(0.0, side * turn))
    c.paint(_line(c.x, c.y, (-0.5, -0.3), (0.5, -0.3), 0.06), (1, 1, 1), 0.4)
    c.paint(_box(c.x, c.y - 0.52, 0.92, 0.18, 0.06), (0.2, 0.21, 0.24))
    c.paint(_box(c.x, c.y - 0.44, 0.86, 0.025, 0.02), (0.62, 0.64, 0.68))
    for side in (-1, 1):
        c.paint(_box(c.x - side * 0.6, c.y - 0.76, 0.12, 0.08, 0.02), (0.12, 0.12, 0.14))


def _paint_ticking_clock(c: _Canvas, phase: float) -> None:
    x, y = c.x, c.y - 0.12
    for side in (-1, 1):
        c.paint(_line(x, y, (side * 0.4, 0.6), (side * 0.58, 0.84), 0.13), (0.08, 0.35, 0.38))
        bell_x, bell_y = _rotate(x - side * 0.44, y + 0.78, side * 0.55)
        c.paint(np.maximum(_ellipse(bell_x, bell_y, 0.3, 0.24), bell_y - 0.06), (0.97, 0.6, 0.4))
    hammer = 0.12 * np.sin(2 * np.pi * phase)
    c.paint(_line(x, y, (0, -0.7), (hammer, -1.0), 0.08), (0.08, 0.35, 0.38))
    c.paint(_circle(x, y, 0.76), _shade((0.1, 0.62, 0.64), 1.0 - 0.2 * (x + y)))
    c.paint(_circle(x, y, 0.6), (0.98, 0.97, 0.92))
    for hour in range(12):
        sine, cosine = np.sin(np.pi * hour / 6), np.cos(np.pi * hour / 6)
        c.paint(_line(x, y, (0.48 * sine, 0.48 * cosine), (0.54 * sine, 0.54 * cosine), 0.05), (0.15, 0.2, 0.25))
    c.paint(_line(x, y, (0, 0), (-0.24, -0.2), 0.075), (0.15, 0.2, 0.25))
    c.paint(_line(x, y, (0, 0), (0.22, -0.38), 0.055), (0.15, 0.2, 0.25))
    hand = 2 * np.pi * (round(phase * 12) / 12)
    c.paint(_line(x, y, (0, 0), (0.47 * np.sin(hand), -0.47 * np.cos(hand)), 0.03), (0.9, 0.2, 0.15))
    c.paint(_circle(x, y, 0.06), (0.9, 0.2, 0.15))


def _paint_truck(c: _Canvas, phase: float) -> None:
    bounce = 0.025 * np.sin(4 * np.pi * phase)
    x, y = c.x, c.y - bounce
    c.paint(_box(x, y - 0.46, 0.92, 0.07, 0.03), (0.16, 0.17, 0.18))
    ribs = 1 + 0.13 * np.sign(np.sin(x * 42)) - 0.2 * (y + 0.2)
    c.paint(_box(x + 0.32, y + 0.08, 0.64, 0.54, 0.04), _shade((0.24, 0.62, 0.3), ribs))
    c.paint(_box(x + 0.32, y + 0.1, 0.64, 0.1, 0), (0.96, 0.94, 0.86))
    c.paint(_box(x - 0.66, y - 0.14, 0.3, 0.34, 0.1), _shade((0.14, 0.44, 0.24), 1 - 0.3 * y))
    c.paint(_box(x - 0.72, y - 0.0, 0.18, 0.13, 0.05), (0.7, 0.88, 0.96))
    c.paint(_line(x, y, (0.62, 0.08), (0.74, -0.08), 0.04), (1, 1, 1), 0.7)
    c.paint(_box(x - 0.91, y - 0.34, 0.05, 0.06, 0.03), (1.0, 0.85, 0.4))
    for wheel in (-0.66, -0.16, 0.6):
        wheel_x, wheel_y = _rotate(c.x - wheel, c.y - 0.54, 2 * np.pi * phase)
        c.paint(_circle(wheel_x, wheel_y, 0.21), (0.1, 0.1, 0.11))
        c.paint(_circle(wheel_x, wheel_y, 0.12), (0.7, 0.72, 0.74))
        c.paint(
            np.minimum(
                _line(wheel_x, wheel_y, (-0.1, 0), (0.1, 0), 0.04), _line(wheel_x, wheel_y, (0, -0.1), (0, 0.1), 0.04)
            ),
            (0.3, 0.31, 0.33),
        )


def _paint_violin(c: _Canvas, phase: float) -> None:
    x, y = _rotate(c.x, c.y, 0.5)
    c.paint(_box(x, y + 0.56, 0.06, 0.46, 0.03), (0.14, 0.09, 0.07))
    c.paint(_circle(x, y + 0.98, 0.09), (0.42, 0.16, 0.06))
    for peg in (-0.86, -0.76):
        c.paint(_line(x, y, (-0.15, peg), (0.15, peg), 0.05), (0.14, 0.09, 0.07))
    upper, lower = _ellipse(x, y + 0.08, 0.35, 0.3), _ellipse(x, y - 0.52, 0.46, 0.38)
    waist = _box(x, y - 0.2, 0.24, 0.3, 0.1)
    blend = np.float32(0.06)
    body = -blend * np.log(np.exp(-upper / blend) + np.exp(-lower / blend) + np.exp(-waist / blend))
    grain = 0.95 + 0.1 * np.sin(x * 60 + 2 * np.sin(y * 5)) + 0.25 * np.exp(-(((x + 0.15) / 0.2) ** 2))
    c.paint(body, (0.3, 0.1, 0.04))
    c.paint(body + 0.04, _shade((0.72, 0.3, 0.1), grain))
    c.paint(_box(x, y - 0.0, 0.055, 0.28, 0.03), (0.14, 0.09, 0.07))
    for side in (-1, 1):
        hole_x, hole_y = _rotate(x - side * 0.2, y - 0.3, side * 0.2)
        c.paint(abs(_ellipse(hole_x, hole_y, 0.03, 0.13)) - 0.012, (0.1, 0.04, 0.02))
    c.paint(np.maximum(_ellipse(x, y - 0.72, 0.09, 0.2), 0.6 - y), (0.14, 0.09, 0.07))
    c.paint(_box(x, y - 0.34, 0.14, 0.025, 0.01), (0.93, 0.8, 0.56))
    for string in (-0.035, 0, 0.035):
        c.paint(abs(x - string) - 0.006 + 10 * (abs(y + 0.1) > 0.72), (0.9, 0.9, 0.86), 0.8)
    slide = 0.3 * np.sin(2 * np.pi * phase)
    bow_x, bow_y = _rotate(x - slide, y - 0.2, -0.15)
    c.paint(_line(bow_x, bow_y, (-0.85, 0.05), (0.85, 0.05), 0.03), (0.97, 0.96, 0.9))
    c.paint(_line(bow_x, bow_y, (-0.88, -0.04), (0.88, -0.02), 0.045), (0.25, 0.12, 0.06))
    c.paint(_box(bow_x - 0.8, bow_y - 0.0, 0.07, 0.07, 0.02), (0.1, 0.08, 0.08))


_PAINTERS: dict[str, Callable[[_Canvas, float], None]] = {
    "Church bell": _paint_church_bell,
    "Dog bark": _paint_dog_bark,
    "Frying food": _paint_frying_food,
    "Siren": _paint_siren,
    "Ticking clock": _paint_ticking_clock,
    "Truck": _paint_truck,
    "Violin": _paint_violin,
}
_NUM_PHASES = 16
_CYCLES_PER_SECOND = {
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
    canvas = _Canvas(size)
    _PAINTERS[category](canvas, phase)
    return np.dstack([np.minimum(canvas.colour, canvas.alpha[..., None]), canvas.alpha])


@dataclass(frozen=True)
class _Sprite:
    """An object in a scene: how it looks over one cycle, and where and when it is seen.

    `colours` (P, S, S, 3), from 0 to 255, is added to what shows through, the share `clear` (P, S, S, 1).
    """

    colours: np.ndarray
    clear: np.ndarray
    left: float
    top: float
    drift: tuple[float, float]
    cycles_per_second: float
    first_phase: float
    seen: str


@dataclass(frozen=True)
class Scene:
    """What a clip shows: a background (H', W', 3) larger than the frame, panned over, and the objects before it."""

    background: np.ndarray
    pan: tuple[float, float, float]
    sprites: tuple[_Sprite, ...]
    media: MediaFormat


def build_scene(plan: ClipPlan) -> Scene:
    """Draw everything in a clip that does not change from frame to frame."""
    rng = np.random.default_rng([plan.seed, 0])
    media = plan.media
    margin = 32
    background = _draw_background(rng, media.width + margin, media.height + margin)
    pan = (float(rng.uniform(0, 1)), float(rng.uniform(0.02, 0.08)), float(rng.uniform(0.3, 1)))
    shown = [(plan.category, plan.seen)]
    if plan.distractor is not None and plan.distractor.modality == "seen":
        shown.append((plan.distractor.category, plan.distractor.mask))
    order = rng.permutation(len(shown))
    sprites = tuple(
        _place_sprite(rng, category, seen, media, int(slot), len(shown))
        for (category, seen), slot in zip(shown, order, strict=True)
    )
    return Scene(background=background, pan=pan, sprites=sprites, media=media)


def _place_sprite(
    rng: np.random.Generator, category: str, seen: str, media: MediaFormat, slot: int, num_slots: int
) -> _Sprite:
    """Place an object anywhere in its share of the frame's width, so that two objects hardly overlap."""
    width = media.width / num_slots
    size = int(min(rng.uniform(*OBJECT_HEIGHTS) * media.height, 1.06 * width))
    first_phase = rng.uniform()
    tint = (rng.uniform(0.85, 1.1) * rng.uniform(0.95, 1.05, 3)).astype(np.float32)
    pictures = np.stack([draw_object(category, size, phase / _NUM_PHASES) for phase in range(_NUM_PHASES)])
    if rng.random() < 0.5:
        pictures = pictures[:, :, ::-1]
    return _Sprite(
        colours=255 * np.minimum(pictures[..., :3] * tint, pictures[..., 3:]),
        clear=1 - pictures[..., 3:],
        left=slot * width + float(rng.uniform(0, 1)) * (width - size),
        top=float(rng.uniform(0, 1)) * (media.height - size),
        drift=(float(rng.uniform(-8, 8)), float(rng.uniform(-8, 8))),
        cycles_per_second=_CYCLES_PER_SECOND[category] * float(rng.uniform(0.8, 1.25)),
        first_phase=float(first_phase),
        seen=seen,
    )


def _draw_background(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return a muted picture (height, width, 3), uint8: a gradient or a cloudy texture, with dim shapes on it."""
    x, y = np.meshgrid(np.linspace(0, 1, width, dtype=np.float32), np.linspace(0, 1, height, dtype=np.float32))
    first, second = _muted_colour(rng), _muted_colour(rng)
    kind = rng.choice(["gradient", "horizon", "clouds", "stripes"])
    if kind == "gradient":
        angle = rng.uniform(0, 2 * np.pi)
        weight = 0.5 + 0.7 * ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle))
    elif kind == "horizon":
        line = rng.uniform(0.45, 0.75)
        weight = np.where(y < line, 0.5 * y / line, 1.0 - 0.3 * (y - line))
    elif kind == "clouds":
        weight = _smooth_noise(rng, height, width, (3, 6, 12))
    else:
        slant = rng.uniform(-0.6, 0.6)
        weight = 0.4 + 0.2 * np.tanh(3 * np.sin(2 * np.pi * rng.uniform(3, 9) * (x + slant * y)))
    picture = first + np.clip(weight, 0, 1)[..., None] * (second - first)
    aspect = width / height
    for _ in range(rng.integers(*CLUTTER)):
        radius = rng.uniform(0.04, 0.2)
        shape_x, shape_y = (x - rng.uniform()) * aspect, y - rng.uniform()
        distance = (
            _circle(shape_x, shape_y, radius)
            if rng.random() < 0.6
            else _box(*_rotate(shape_x, shape_y, rng.uniform(0, np.pi)), radius, radius * rng.uniform(0.3, 1), 0.02)
        )
        coverage = np.clip(0.5 - distance * height / rng.uniform(2, 12), 0, 1) * rng.uniform(0.15, 0.5)
        picture += coverage[..., None] * (_muted_colour(rng) - picture)
    picture *= 0.9 + 0.2 * _smooth_noise(rng, height, width, (20, 40))[..., None]
    picture *= 1 - 0.25 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)[..., None]
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _muted_colour(rng: np.random.Generator) -> np.ndarray:
    grey = rng.uniform(0.25, 0.8)
    return np.clip(grey + rng.uniform(-0.11, 0.11, 3), 0, 1).astype(np.float32)


def _smooth_noise(rng: np.random.Generator, height: int, width: int, cells: Iterable[int]) -> np.ndarray:
    """Return a sum of interpolated random grids, (height, width), float32, from 0 to 1; finer grids weigh less."""
    total = np.zeros((height, width), np.float32)
    for octave, count in enumerate(cells):
        grid = rng.uniform(0, 1, (count + 1, count + 1)).astype(np.float32)
        rows = _interpolate(grid, np.linspace(0, count, height, endpoint=False, dtype=np.float32))
        smooth = _interpolate(rows.T, np.linspace(0, count, width, endpoint=False, dtype=np.float32)).T
        total += smooth * np.float32(0.5**octave)
    total -= total.min()
    return total / total.max()


def _interpolate(grid: np.ndarray, positions: np.ndarray) -> np.ndarray:
    whole = positions.astype(int)
    part = positions - whole
    part = (part * part * (3 - 2 * part))[:, None]
    return grid[whole] * (1 - part) + grid[whole + 1] * part


@cache
def num_frames(frame_rate: Fraction) -> int:
    """Return how many frames a clip of full length has."""
    return round(frame_rate * NUM_SEGMENTS * Fraction(SEGMENT_SECONDS))


def first_frame_of_segment(segment: int, frame_rate: Fraction) -> int:
    """Return the index of the frame with which a segment begins: the one on screen when its second begins.

    >>> [first_frame_of_segment(segment, Fraction(1758, 100)) for segment in (0, 1, 2)]
    [0, 17, 35]
    """
    return segment * num_frames(frame_rate) // NUM_SEGMENTS


def segment_of_frame(index: int, frame_rate: Fraction) -> int:
    """Return the last segment that begins at or before frame `index`."""
    begun = [segment for segment in range(NUM_SEGMENTS) if first_frame_of_segment(segment, frame_rate) <= index]
    return begun[-1]


def draw_frame(scene: Scene, index: int) -> np.ndarray:
    """Draw one frame of a clip.

    Parameters
    ----------
    scene : Scene
        What :func:`build_scene` returned.
    index : int
        The frame's number, from 0.

    Returns
    -------
    ndarray (H, W, 3), uint8
        Red, green, blue.
    """
    media = scene.media
    seconds = index / float(media.frame_rate)
    segment = segment_of_frame(index, media.frame_rate)
    spare_y, spare_x = (scene.background.shape[0] - media.height, scene.background.shape[1] - media.width)
    start, cycles_per_second, extent = scene.pan
    angle = 2 * np.pi * (start + cycles_per_second * seconds)
    top = round(spare_y / 2 * (1 + extent * np.sin(angle)))
    left = round(spare_x / 2 * (1 + extent * np.cos(angle)))
    frame = scene.background[top : top + media.height, left : left + media.width].copy()
    for sprite in scene.sprites:
        if sprite.seen[segment] == "1":
            _draw_sprite(frame, sprite, seconds)
    return frame


def _draw_sprite(frame: np.ndarray, sprite: _Sprite, seconds: float) -> None:
    phase = sprite.first_phase + sprite.cycles_per_second * seconds
    moment = int(phase * _NUM_PHASES) % _NUM_PHASES
    sway = np.sin(2 * np.pi * (0.25 * seconds + sprite.first_phase))
    size = sprite.colours.shape[1]
    top = int(np.clip(sprite.top + sway * sprite.drift[1], 0, frame.shape[0] - size))
    left = int(np.clip(sprite.left + sway * sprite.drift[0], 0, frame.shape[1] - size))
    area = frame[top : top + size, left : left + size]
    area[...] = area * sprite.clear[moment] + sprite.colours[moment]


# ------------------------------------------------------------------------------------------------------- sound


def synthesize_sound(category: str, num_samples: int, sample_rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Make the sound of `category`, from its onset.

    Parameters
    ----------
    category : str
        One of :data:`CATEGORIES`.
    num_samples : int
        Length of the sound.
    sample_rate_hz : int
        Samples per second.
    rng : Generator
        Varies pitch, tempo and timbre.

    Returns
    -------
    ndarray (num_samples,), float32
        Root mean square 1.
    """
    seconds = np.arange(num_samples) / sample_rate_hz
    sound = _SOUNDS[category](seconds, sample_rate_hz, rng)
    return (sound / np.sqrt(np.mean(sound**2) + 1e-12)).astype(np.float32)


def _sound_church_bell(seconds: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    pitch, period = rng.uniform(280, 460), rng.uniform(0.75, 0.98)
    sound = np.zeros_like(seconds)
    partials = ((0.5, 0.5, 1.1), (1, 1, 0.9), (1.19, 0.8, 0.7), (1.56, 0.5, 0.6), (2, 0.9, 0.5), (2.66, 0.5, 0.35))
    for strike in np.arange(0, seconds[-1], period):
        first = int(strike * rate)
        t = seconds[first : first + int(2.5 * rate)] - strike
        for ratio, level, decay in (*partials, (3.01, 0.4, 0.3), (4.17, 0.3, 0.2)):
            sound[first : first + t.size] += level * np.sin(2 * np.pi * pitch * ratio * t) * np.exp(-t / decay)
    return sound


def _sound_dog_bark(seconds: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    pitch, period = rng.uniform(320, 520), rng.uniform(0.38, 0.6)
    sound = np.zeros_like(seconds)
    for onset in np.arange(0, seconds[-1], period):
        first = int(onset * rate)
        t = seconds[first : first + int(0.2 * rate)] - onset
        cycles = pitch * (t * 1.25 - t**2 * 2)
        voice = _harmonics(cycles, [1 / (0.6 + abs(n - 2.5)) for n in range(1, 8)])
        breath = 0.5 * rng.standard_normal(t.size)
        sound[first : first + t.size] += (voice + breath) * np.sin(np.pi * np.clip(t / 0.2, 0, 1)) ** 1.5
    return sound


def _sound_frying_food(seconds: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    hiss = _coloured_noise(rng, seconds.size, rate, 0.0, rng.uniform(1800, 2600), 9000)
    pops = np.zeros_like(seconds)
    pops[rng.integers(0, seconds.size, int(45 * seconds.size / rate))] = 1
    decay = np.exp(-np.arange(int(0.006 * rate)) / (0.0015 * rate)) * rng.standard_normal(int(0.006 * rate))
    return hiss + 4 * np.convolve(pops, decay)[: seconds.size]


def _sound_siren(seconds: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    low, high, sweeps_per_second = rng.uniform(480, 620), rng.uniform(1050, 1500), rng.uniform(0.45, 1.4)
    height = 0.5 - 0.5 * np.cos(2 * np.pi * sweeps_per_second * seconds)
    cycles = np.cumsum(low * (high / low) ** height) / rate
    return _harmonics(cycles, [1, 0.35, 0.3])


def _sound_ticking_clock(seconds: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    pitch, period = rng.uniform(1500, 2300), rng.uniform(0.18, 0.26)
    sound = np.zeros_like(seconds)
    for number, onset in enumerate(np.arange(0, seconds[-1], period)):
        first = int(onset * rate)
        t = seconds[first : first + int(0.09 * rate)] - onset
        tone = pitch * (1.0 if number % 2 else 1.3)
        tick = np.sin(2 * np.pi * tone * t) + 0.7 * np.sin(2 * np.pi * 2.3 * tone * t)
        sound[first : first + t.size] += (tick + 0.3 * rng.standard_normal(t.size)) * np.exp(-t / 0.016)
    return sound


def _sound_truck(seconds: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    rumble = _coloured_noise(rng, seconds.size, rate, 1.0, 40, 420)
    firing = rng.uniform(26, 40) * (1 + 0.06 * np.sin(2 * np.pi * rng.uniform(0.15, 0.4) * seconds))
    cycles = np.cumsum(firing) / rate
    engine = _harmonics(cycles, [n**-0.5 for n in range(1, 12)])
    return rumble / rumble.std() + 1.2 * engine / engine.std()


def _sound_violin(seconds: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    scale = rng.uniform(290, 380) * 2 ** (np.array([0, 2, 4, 7, 9, 12]) / 12)
    note_seconds = rng.uniform(0.35, 0.8)
    note = (seconds / note_seconds).astype(int)
    pitch = rng.choice(scale, note[-1] + 1)[note]
    cycles = np.cumsum(pitch * (1 + 0.008 * np.sin(2 * np.pi * 5.8 * seconds))) / rate
    bowing = 0.35 + 0.65 * np.clip((seconds - note * note_seconds) / 0.08, 0, 1)
    return bowing * _harmonics(cycles, [1 / n for n in range(1, 11)])


_SOUNDS: dict[str, Callable[[np.ndarray, int, np.random.Generator], np.ndarray]] = {
    "Church bell": _sound_church_bell,
    "Dog bark": _sound_dog_bark,
    "Frying food": _sound_frying_food,
    "Siren": _sound_siren,
    "Ticking clock": _sound_ticking_clock,
    "Truck": _sound_truck,
    "Violin": _sound_violin,
}


def _harmonics(cycles: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Return a tone whose first harmonic has run through `cycles` periods; the n-th has the n-th level."""
    tone = np.zeros_like(cycles)
    for n, level in enumerate(levels, start=1):
        tone += level * np.sin(2 * np.pi * n * cycles)
    return tone


def _coloured_noise(
    rng: np.random.Generator, num_samples: int, rate: int, slope: float, low_hz: float, high_hz: float
) -> np.ndarray:
    """Return noise whose amplitude falls as 1 / frequency ** slope between two frequencies, and fast outside."""
    frequency = np.maximum(np.fft.rfftfreq(num_samples, 1 / rate), 1)
    shape = frequency**-slope / np.sqrt((1 + (low_hz / frequency) ** 6) * (1 + (frequency / high_hz) ** 6))
    return np.fft.irfft(np.fft.rfft(rng.standard_normal(num_samples)) * shape, num_samples)


def synthesize_waveform(plan: ClipPlan) -> np.ndarray:
    """Make a clip's sound track: background, the category where it is heard, a heard distractor.

    Returns
    -------
    ndarray (num_channels, num_samples), float32
        From -1 to 1, as long as the clip.
    """
    rng = np.random.default_rng([plan.seed, 1])
    rate, num_channels = plan.media.sample_rate_hz, plan.media.num_channels
    num_samples = round(NUM_SEGMENTS * SEGMENT_SECONDS * rate)
    noise_level = 10 ** (-rng.uniform(*SOUND_TO_NOISE_DB) / 20)
    waveform = noise_level * _synthesize_background(rng, num_channels, num_samples, rate)
    heard = [(plan.category, plan.heard)]
    if plan.distractor is not None and plan.distractor.modality == "heard":
        heard.append((plan.distractor.category, plan.distractor.mask))
    for category, mask in heard:
        place = rng.uniform(-0.5, 0.5)
        gains = np.array([1.0] if num_channels == 1 else [1 - place, 1 + place], np.float32)
        waveform += gains[:, None] * _synthesize_stretches(rng, category, mask, num_samples, rate)
    waveform = np.tanh(waveform * rng.uniform(0.08, 0.22))
    return waveform[:, : round(plan.media.duration_seconds * rate)].astype(np.float32)


def _synthesize_stretches(
    rng: np.random.Generator, category: str, mask: str, num_samples: int, rate: int
) -> np.ndarray:
    """Return the sound of `category` (num_samples,), begun anew in every run of ``1`` in `mask`, faded at its ends."""
    track = np.zeros(num_samples, np.float32)
    edges = np.flatnonzero(np.diff([0, *(int(character) for character in mask), 0]))
    state = int(rng.integers(2**32))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        start, stop = (round(edge * SEGMENT_SECONDS * rate) for edge in (first, last))
        sound = synthesize_sound(category, stop - start, rate, np.random.default_rng(state))
        fade = np.minimum(1, np.arange(1, stop - start + 1, dtype=np.float32) / (0.01 * rate))
        track[start:stop] = sound * fade * fade[::-1]
    return track


def _synthesize_background(rng: np.random.Generator, num_channels: int, num_samples: int, rate: int) -> np.ndarray:
    """Return room noise and hum (num_channels, num_samples), root mean square about 1, slowly swelling."""
    seconds = np.arange(num_samples, dtype=np.float32) / rate
    slope, low, high = rng.uniform(0.2, 1.0), rng.uniform(30, 150), rng.uniform(1500, 8000)
    noise = np.stack([_coloured_noise(rng, num_samples, rate, slope, low, high) for _ in range(num_channels)])
    mains = rng.choice([50, 60])
    hum = _harmonics(mains * seconds, [1 / n for n in range(1, 5)])
    swell = 1 + rng.uniform(0, 0.4) * np.sin(2 * np.pi * (rng.uniform(0.05, 0.3) * seconds + rng.uniform()))
    mixture = noise / noise.std() + rng.uniform(0, 0.6) * hum
    return (swell * mixture / mixture.std()).astype(np.float32)


# ------------------------------------------------------------------------------------------------------- files

_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def encode_clip(
    path: Path,
    frames: Iterable[np.ndarray] | None,
    waveform: np.ndarray | None,
    *,
    frame_rate: Fraction = Fraction(25),
    pixel_format: str = "yuv420p",
    sample_rate_hz: int = 44100,
    video_delay_seconds: float = 0.0,
    audio_delay_seconds: float = 0.0,
    quality: int = 25,
) -> None:
    """Write an mp4 file with H.264 pictures and AAC sound, atomically, its index first.

    Parameters
    ----------
    path : Path
        Where to write.
    frames : iterable of ndarray (H, W, 3), uint8, or None
        Pictures; None for a file without a video stream. Odd sizes need `pixel_format` yuv444p.
    waveform : ndarray (1 | 2 | 6, num_samples), float, or None
        Sound from -1 to 1; None for a file without an audio stream.
    frame_rate : Fraction
        Frames per second.
    pixel_format : str
        As FFmpeg names it, such as ``yuv420p``, ``yuv444p``, ``yuv420p10le``.
    sample_rate_hz : int
        Samples per second.
    video_delay_seconds, audio_delay_seconds : float
        When the stream starts.
    quality : int
        x264's constant rate factor: lower is better and larger.
    """
    with atomic_write(path) as temporary, av.open(str(temporary), "w", format="mp4", options=_MUXER) as container:
        pictures = _encode_frames(container, frames, frame_rate, pixel_format, video_delay_seconds, quality)
        sound = _encode_waveform(container, waveform, sample_rate_hz, audio_delay_seconds)
        _interleave(container, pictures, sound)


_MUXER = {"movflags": "+faststart", "fflags": "+bitexact"}


def _encode_frames(
    container: Any,
    frames: Iterable[np.ndarray] | None,
    frame_rate: Fraction,
    pixel_format: str,
    delay_seconds: float,
    quality: int,
) -> Iterator[tuple[float, list[Any]]]:
    """Yield times in seconds with the packets that the encoder has given by then; first the time 0 with none."""
    if frames is None:
        return
    frames = iter(frames)
    first = next(frames)
    stream = container.add_stream("libx264", rate=frame_rate)
    stream.height, stream.width = first.shape[:2]
    stream.pix_fmt = pixel_format
    stream.time_base = 1 / frame_rate
    stream.thread_count = 1
    stream.options = {"preset": "superfast", "crf": str(quality), "g": "50", "threads": "1"}
    yield 0.0, []
    converter = VideoReformatter()
    delay = round(delay_seconds * frame_rate)
    for index, picture in enumerate(chain([first], frames)):
        frame = converter.reformat(av.VideoFrame.from_ndarray(picture, format="rgb24"), format=pixel_format, threads=1)
        frame.pts, frame.time_base = index + delay, 1 / frame_rate
        yield float((index + delay) / frame_rate), stream.encode(frame)
    yield float("inf"), stream.encode(None)


def _encode_waveform(
    container: Any, waveform: np.ndarray | None, sample_rate_hz: int, delay_seconds: float
) -> Iterator[tuple[float, list[Any]]]:
    """Yield as :func:`_encode_frames` does."""
    if waveform is None:
        return
    stream = container.add_stream("aac", rate=sample_rate_hz, layout=_LAYOUTS[waveform.shape[0]])
    stream.bit_rate = 48000 * waveform.shape[0]
    stream.options = {"aac_coder": "fast"}
    yield 0.0, []
    delay = round(delay_seconds * sample_rate_hz)
    for start in range(0, waveform.shape[1], 1024):
        block = np.ascontiguousarray(waveform[:, start : start + 1024], np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=_LAYOUTS[waveform.shape[0]])
        frame.sample_rate, frame.pts = sample_rate_hz, start + delay
        frame.time_base = Fraction(1, sample_rate_hz)
        yield (start + delay) / sample_rate_hz, stream.encode(frame)
    yield float("inf"), stream.encode(None)


def _interleave(container: Any, *streams: Iterator[tuple[float, list[Any]]]) -> None:
    """Write the packets of all streams by time; every stream is added before the first packet."""
    waiting = [(stream, item) for stream in streams if (item := next(stream, None)) is not None]
    while waiting:
        stream, (_, packets) = waiting.pop(0)
        container.mux(packets)
        if (item := next(stream, None)) is not None:
            waiting.append((stream, item))
        waiting.sort(key=lambda pair: pair[1][0])


def render_clip(folder: Path, plan: ClipPlan) -> None:
    """Render one clip to ``<folder>/videos/<video_id>.mp4``."""
    media = plan.media
    scene = build_scene(plan)
    count = round(num_frames(media.frame_rate) * media.duration_seconds / (NUM_SEGMENTS * SEGMENT_SECONDS))
    path = folder / "videos" / f"{plan.video_id}.mp4"
    encode_clip(
        path,
        (draw_frame(scene, index) for index in range(count)),
        synthesize_waveform(plan) if media.has_audio else None,
        frame_rate=media.frame_rate,
        pixel_format=media.pixel_format,
        sample_rate_hz=media.sample_rate_hz,
    )
    if media.kept_fraction < 1:
        content = path.read_bytes()
        with atomic_write(path) as temporary:
            temporary.write_bytes(content[: int(media.kept_fraction * len(content))])


def render(folder: Path, *, seed: int = 1, num_clips: int = 84, num_workers: int | None = None) -> None:
    """Render the data set: the same bytes for the same seed, whatever the number of workers.

    Parameters
    ----------
    folder : Path
        Gets ``videos/``, ``trainSet.txt``, ``valSet.txt``, ``testSet.txt`` and, last, ``Annotations.txt``.
    seed, num_clips : int
        As for :func:`plan_clips`.
    num_workers : int, optional
        Processes to render in; by default as many as there are processors, 1 renders in this process.
    """
    plans = plan_clips(seed, num_clips)
    num_workers = min(num_workers or _num_processors(), num_clips)
    finished = _render_clips(folder, plans, num_workers)
    for _ in tqdm(finished, "render", len(plans), unit="clip", disable=None):
        pass
    for split in SPLITS:
        rows = [f"{plan.annotation}\n" for plan in plans if plan.split == split]
        write_text(folder / f"{split}Set.txt", "".join(rows))
    rows = [f"{plan.annotation}\n" for plan in sorted(plans, key=lambda plan: (plan.category, plan.video_id))]
    write_text(folder / "Annotations.txt", "Category&VideoID&Quality&StartTime&EndTime\n" + "".join(rows))


def _num_processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _render_clips(folder: Path, plans: tuple[ClipPlan, ...], num_workers: int) -> Iterator[ClipPlan]:
    """Render all clips, yielding each plan once its clip is written."""
    if num_workers == 1:
        for plan in plans:
            render_clip(folder, plan)
            yield plan
        return
    pool = ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn"), initializer=_begin_worker)
    try:
        tasks = {pool.submit(render_clip, folder, plan): plan for plan in plans}
        for task in as_completed(tasks):
            task.result()
            yield tasks[task]
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, and end when the parent is killed, instead of waiting for work for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

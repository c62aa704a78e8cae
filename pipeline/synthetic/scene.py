"""A clip's pictures: the background, the objects in it, and each frame of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np

from pipeline.synthetic.canvas import box, circle, rotate
from pipeline.synthetic.painting import CYCLES_PER_SECOND, NUM_PHASES, draw_object
from pipeline.synthetic.plan import NUM_SEGMENTS, SEGMENT_SECONDS, ClipPlan, Difficulty, MediaFormat, Source


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
    """The content of a clip: a background (H', W', 3) larger than the frame, panned over, and the objects before it."""

    background: np.ndarray
    pan: tuple[float, float, float]
    sprites: tuple[_Sprite, ...]
    media: MediaFormat


def build_scene(plan: ClipPlan) -> Scene:
    """Draw everything in a clip that does not change from frame to frame."""
    rng = np.random.default_rng([plan.seed, 0])
    media = plan.media
    margin = 32
    background = _draw_background(rng, media.width + margin, media.height + margin, plan.difficulty)
    pan = (float(rng.uniform(0, 1)), float(rng.uniform(0.02, 0.08)), float(rng.uniform(0.3, 1)))
    shown = [source for source in plan.sources if "1" in source.seen]
    order = rng.permutation(len(shown))
    sprites = tuple(
        _place_sprite(rng, source, plan.difficulty.object_heights, media, int(slot), len(shown))
        for source, slot in zip(shown, order, strict=True)
    )
    return Scene(background=background, pan=pan, sprites=sprites, media=media)


def _place_sprite(
    rng: np.random.Generator,
    source: Source,
    heights: tuple[float, float],
    media: MediaFormat,
    slot: int,
    num_slots: int,
) -> _Sprite:
    """Place an object anywhere in its share of the frame's width, so that two objects hardly overlap."""
    width = media.width / num_slots
    size = int(min(rng.uniform(*heights) * media.height, 1.06 * width))
    first_phase = rng.uniform()
    tint = (rng.uniform(0.85, 1.1) * rng.uniform(0.95, 1.05, 3)).astype(np.float32)
    pictures = np.stack([draw_object(source.category, size, phase / NUM_PHASES) for phase in range(NUM_PHASES)])
    if rng.random() < 0.5:
        pictures = pictures[:, :, ::-1]
    return _Sprite(
        colours=255 * np.minimum(pictures[..., :3] * tint, pictures[..., 3:]),
        clear=1 - pictures[..., 3:],
        left=slot * width + float(rng.uniform(0, 1)) * (width - size),
        top=float(rng.uniform(0, 1)) * (media.height - size),
        drift=(float(rng.uniform(-8, 8)), float(rng.uniform(-8, 8))),
        cycles_per_second=CYCLES_PER_SECOND[source.category] * float(rng.uniform(0.8, 1.25)),
        first_phase=float(first_phase),
        seen=source.seen,
    )


def _draw_background(rng: np.random.Generator, width: int, height: int, difficulty: Difficulty) -> np.ndarray:
    """Return a muted picture (height, width, 3), uint8: a gradient or a cloudy texture, with dim shapes on it."""
    x, y = np.meshgrid(np.linspace(0, 1, width, dtype=np.float32), np.linspace(0, 1, height, dtype=np.float32))
    first, second = _muted_colour(rng, difficulty.background_greys), _muted_colour(rng, difficulty.background_greys)
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
    for _ in range(rng.integers(*difficulty.clutter)):
        radius = rng.uniform(0.04, 0.2)
        shape_x, shape_y = (x - rng.uniform()) * aspect, y - rng.uniform()
        distance = (
            circle(shape_x, shape_y, radius)
            if rng.random() < 0.6
            else box(*rotate(shape_x, shape_y, rng.uniform(0, np.pi)), radius, radius * rng.uniform(0.3, 1), 0.02)
        )
        coverage = np.clip(0.5 - distance * height / rng.uniform(2, 12), 0, 1) * rng.uniform(0.15, 0.5)
        picture += coverage[..., None] * (_muted_colour(rng, difficulty.background_greys) - picture)
    picture *= 0.9 + 0.2 * _smooth_noise(rng, height, width, (20, 40))[..., None]
    picture *= 1 - 0.25 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)[..., None]
    image: np.ndarray = (np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return image


def _muted_colour(rng: np.random.Generator, greys: tuple[float, float]) -> np.ndarray:
    grey = rng.uniform(*greys)
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
    noise: np.ndarray = total / total.max()
    return noise


def _interpolate(grid: np.ndarray, positions: np.ndarray) -> np.ndarray:
    whole = positions.astype(int)
    part = positions - whole
    part = (part * part * (3 - 2 * part))[:, None]
    between: np.ndarray = grid[whole] * (1 - part) + grid[whole + 1] * part
    return between


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
    moment = int(phase * NUM_PHASES) % NUM_PHASES
    sway = np.sin(2 * np.pi * (0.25 * seconds + sprite.first_phase))
    size = sprite.colours.shape[1]
    top = int(np.clip(sprite.top + sway * sprite.drift[1], 0, frame.shape[0] - size))
    left = int(np.clip(sprite.left + sway * sprite.drift[0], 0, frame.shape[1] - size))
    area = frame[top : top + size, left : left + size]
    area[...] = area * sprite.clear[moment] + sprite.colours[moment]

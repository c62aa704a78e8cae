"""What a clip shows and sounds like, segment by segment, before anything is drawn: the part that all tasks share.

A clip has sources: categories that are seen in some segments, and heard in some, which need not be the same::

    segment      0 1 2 3 4 5 6 7 8 9
    seen         1 1 1 1 1 1 0 0 0 0      seen silent, then seen and heard, then neither, then heard unseen
    heard        0 0 1 1 1 1 0 0 1 1

A plan is a pure function of the seed (``plan_clips`` of the task's module, :mod:`pipeline.synthetic.localization` or
:mod:`pipeline.synthetic.parsing`); a clip is a pure function of its plan.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

NUM_SEGMENTS = 10
SEGMENT_SECONDS = 1.0
CATEGORIES = ("Church bell", "Dog bark", "Frying food", "Siren", "Ticking clock", "Truck", "Violin")
SPLITS = ("train", "val", "test")

MIN_CLIPS_WITH_BROKEN = 40  # smaller sets get no broken files, which would exceed `max_failed_fraction`


@dataclass(frozen=True)
class MediaFormat:
    """The encoding of a clip, and what is then done to its file."""

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
class Difficulty:
    """How far the sources of a clip stand out; each pair is the range that a clip draws from.

    Parameters
    ----------
    object_heights : tuple of float
        An object's height, as a share of the frame's.
    background_greys : tuple of float
        Lightness of the background and of what is in it, from 0 to 1.
    clutter : tuple of int
        Number of dim shapes in the background; the second is not included.
    sound_to_noise_db : tuple of float
        Level of a source's sound above the background's.
    """

    object_heights: tuple[float, float]
    background_greys: tuple[float, float]
    clutter: tuple[int, int]
    sound_to_noise_db: tuple[float, float]


@dataclass(frozen=True)
class Source:
    """One of :data:`CATEGORIES` in a clip; `seen` and `heard` have one character per segment: ``1`` where it is."""

    category: str
    seen: str
    heard: str

    @property
    def events(self) -> str:
        """One character per segment: ``1`` where the category is both seen and heard."""
        return "".join("1" if pair == ("1", "1") else "0" for pair in zip(self.seen, self.heard, strict=True))


@dataclass(frozen=True)
class ClipPlan:
    """All that is decided about a clip before it is rendered.

    Parameters
    ----------
    video_id : str
        11 characters, as on YouTube.
    split : str
        ``train``, ``val`` or ``test``.
    sources : tuple of Source
        Each of another category.
    difficulty : Difficulty
        How far they stand out.
    media : MediaFormat
        How the file is written.
    awkward : str
        Name of what is unusual about the file (:class:`Awkward`), or empty.
    seed : int
        Decides how the clip looks and sounds.
    """

    video_id: str
    split: str
    sources: tuple[Source, ...]
    difficulty: Difficulty
    media: MediaFormat
    awkward: str
    seed: int


@dataclass(frozen=True)
class Awkward:
    """A file as it is met in the field.

    Parameters
    ----------
    name, split : str
        What is unusual about it, and the split that holds one.
    changes : dict
        Of the fields of its :class:`MediaFormat`.
    broken : bool
        Whether features of the file are incomplete.
    """

    name: str
    split: str
    changes: dict[str, Any]
    broken: bool = False


def draw_ids(rng: np.random.Generator, prefix: str, num_clips: int) -> list[str]:
    """Return ids such as ``syn-0007abc`` in an order that tells nothing of the split."""
    letters = rng.choice(list("abcdefghijklmnopqrstuvwxyz"), (num_clips, 3))
    return [f"{prefix}-{index:04d}{''.join(letters[index])}" for index in rng.permutation(num_clips)]


def repeat_shuffled(rng: np.random.Generator, names: tuple[str, ...], size: int) -> list[str]:
    """Return `size` names: each once in shuffled order, then each a second time, and so on."""
    rounds = [rng.permutation(names) for _ in range(-(-size // len(names)))]
    return [str(name) for name in np.concatenate(rounds)[:size]]


def draw_media(rng: np.random.Generator) -> MediaFormat:
    """Return an ordinary format: 24 to 29.97 frames per second, 44.1 or 48 kHz, mono or stereo."""
    return MediaFormat(
        frame_rate=(Fraction(25), Fraction(25), Fraction(24), Fraction(30000, 1001))[rng.integers(4)],
        sample_rate_hz=(44100, 48000)[rng.integers(2)],
        num_channels=int(rng.integers(1, 3)),
    )


def to_text(mask: np.ndarray) -> str:
    """Return one character per segment, ``1`` where `mask` (T,) is true."""
    return "".join("1" if value else "0" for value in mask)


def find_runs(mask: str) -> Iterator[tuple[int, int]]:
    """Yield the first segment of each run of ``1`` and the one after its last.

    >>> list(find_runs("0011110010"))
    [(2, 6), (8, 9)]
    """
    edges = np.flatnonzero(np.diff([0, *(int(character) for character in mask), 0]))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        yield int(first), int(last)


def make_awkward(
    plans: Iterable[ClipPlan], kinds: Iterable[Awkward], fit: Callable[[ClipPlan], ClipPlan | None]
) -> list[ClipPlan]:
    """Give each kind of awkward file to the first ordinary clip of its split that fits into one.

    `fit` gets the clip with its new format, and returns it with labels that are true of the file, or None. Sets of
    fewer than :data:`MIN_CLIPS_WITH_BROKEN` clips get no broken files.
    """
    plans = list(plans)
    for kind in kinds:
        if kind.broken and len(plans) < MIN_CLIPS_WITH_BROKEN:
            continue
        for index, plan in enumerate(plans):
            if plan.split != kind.split or plan.awkward:
                continue
            fitted = fit(replace(plan, awkward=kind.name, media=replace(plan.media, **kind.changes)))
            if fitted is not None:
                plans[index] = fitted
                break
    return plans

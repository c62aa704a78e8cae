"""The plan of each clip: what it shows and sounds like, segment by segment, before anything is drawn.

The event of a clip is made of the segments in which its category is *both* seen and heard::

    segment      0 1 2 3 4 5 6 7 8 9
    seen         1 1 1 1 1 1 0 0 0 0      seen silent, then the event, then absent, then heard unseen
    heard        0 0 1 1 1 1 0 0 1 1
    event        0 0 1 1 1 1 0 0 0 0      in Annotations.txt: Siren&syn-0007abc&good&2&6

Many clips also carry a distractor, another category that is only seen or only heard, so that neither modality alone
tells the event. A plan is a pure function of the seed (:func:`plan_clips`); a clip is a pure function of its plan.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from typing import Any, Literal

import numpy as np

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

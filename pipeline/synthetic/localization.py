"""The plans and labels for localization: a category that is *both* seen and heard in its event, and not outside of it.

::

    segment      0 1 2 3 4 5 6 7 8 9
    seen         1 1 1 1 1 1 0 0 0 0      seen silent, then the event, then absent, then heard unseen
    heard        0 0 1 1 1 1 0 0 1 1
    event        0 0 1 1 1 1 0 0 0 0      in Annotations.txt: Siren&syn-0007abc&good&2&6

Many clips also carry a distractor, another category that is only seen or only heard, so that neither modality alone
tells the event.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np

from pipeline.core.files import write_text
from pipeline.synthetic.plan import (
    CATEGORIES,
    NUM_SEGMENTS,
    SEGMENT_SECONDS,
    SPLITS,
    Awkward,
    ClipPlan,
    Difficulty,
    Source,
    draw_ids,
    draw_media,
    make_awkward,
    repeat_shuffled,
    to_text,
)

NUM_CLIPS = 84

# How hard the set is.
ABSENT_SHARE = 0.4  # of the stretches outside the event; the rest is seen silent or heard unseen, half and half
DISTRACTOR_SHARE = 0.4  # of the clips carry another category, seen silent or heard unseen
DIFFICULTY = Difficulty(
    object_heights=(0.5, 0.78), background_greys=(0.25, 0.8), clutter=(4, 12), sound_to_noise_db=(5.0, 18.0)
)

HELD_OUT_SHARE = 0.19  # of the clips in val, and as many in test

AWKWARD = (
    Awkward("17.58 frames per second", "train", {"frame_rate": Fraction(1758, 100)}),
    Awkward("odd size", "train", {"width": 321, "height": 241, "pixel_format": "yuv444p"}),
    Awkward("no audio stream", "train", {"has_audio": False}, broken=True),
    Awkward("truncated", "train", {"kept_fraction": 0.55}, broken=True),
    Awkward("48 kHz stereo", "train", {"sample_rate_hz": 48000, "num_channels": 2}),
    Awkward("9.2 seconds", "val", {"duration_seconds": 9.2}),
    Awkward("22.05 kHz mono", "test", {"sample_rate_hz": 22050, "num_channels": 1}),
)


def plan_clips(seed: int = 1, num_clips: int = NUM_CLIPS) -> tuple[ClipPlan, ...]:
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
        In the order of their ids. The first source of a clip is the category of its event.

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
    ids = iter(draw_ids(rng, "syn", num_clips))
    plans = []
    for split in SPLITS:
        size = sizes[split]
        lengths = rng.permutation(np.resize(np.arange(NUM_SEGMENTS, 1, -1), size))
        names = repeat_shuffled(rng, categories, size)
        plans += [_plan_clip(rng, next(ids), split, name, int(n)) for name, n in zip(names, lengths, strict=True)]
    return tuple(sorted(make_awkward(plans, AWKWARD, _fit), key=lambda plan: plan.video_id))


def _plan_clip(rng: np.random.Generator, video_id: str, split: str, category: str, length: int) -> ClipPlan:
    start = int(rng.integers(0, NUM_SEGMENTS - length + 1))
    seen, heard = np.zeros((2, NUM_SEGMENTS), bool)
    seen[start : start + length] = heard[start : start + length] = True
    for first, last in chain(_split_stretch(rng, 0, start), _split_stretch(rng, start + length, NUM_SEGMENTS)):
        state = rng.choice(["absent", "seen", "heard"], p=[ABSENT_SHARE, *[(1 - ABSENT_SHARE) / 2] * 2])
        seen[first:last] = state == "seen"
        heard[first:last] = state == "heard"
    media = draw_media(rng)
    return ClipPlan(
        video_id=video_id,
        split=split,
        sources=(Source(category, to_text(seen), to_text(heard)), *_plan_distractor(rng, category)),
        difficulty=DIFFICULTY,
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


def _plan_distractor(rng: np.random.Generator, category: str) -> Iterator[Source]:
    """Yield another category in one modality, or nothing."""
    if rng.random() >= DISTRACTOR_SHARE:
        return
    others = [name for name in CATEGORIES if name != category]
    length = int(rng.integers(3, NUM_SEGMENTS + 1))
    start = int(rng.integers(0, NUM_SEGMENTS - length + 1))
    mask, absent = np.zeros((2, NUM_SEGMENTS), bool)
    mask[start : start + length] = True
    name = others[rng.integers(len(others))]
    seen, heard = ((mask, absent), (absent, mask))[rng.integers(2)]
    yield Source(name, to_text(seen), to_text(heard))


def _fit(plan: ClipPlan) -> ClipPlan | None:
    end_seconds = (plan.sources[0].events.rfind("1") + 1) * SEGMENT_SECONDS
    return plan if end_seconds <= plan.media.duration_seconds else None


def annotation_of(plan: ClipPlan) -> str:
    """Return a clip's row in AVE's format, ``Category&VideoID&Quality&StartTime&EndTime``."""
    event = plan.sources[0]
    return f"{event.category}&{plan.video_id}&good&{event.events.find('1')}&{event.events.rfind('1') + 1}"


def write_annotations(folder: Path, plans: Sequence[ClipPlan]) -> None:
    """Write ``trainSet.txt``, ``valSet.txt``, ``testSet.txt`` and, last, ``Annotations.txt``, as AVE has them."""
    for split in SPLITS:
        rows = [f"{annotation_of(plan)}\n" for plan in plans if plan.split == split]
        write_text(folder / f"{split}Set.txt", "".join(rows))
    by_category = sorted(plans, key=lambda plan: (plan.sources[0].category, plan.video_id))
    rows = [f"{annotation_of(plan)}\n" for plan in by_category]
    write_text(folder / "Annotations.txt", "Category&VideoID&Quality&StartTime&EndTime\n" + "".join(rows))

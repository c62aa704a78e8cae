"""The plans and labels for parsing: up to three categories a clip, each seen, heard, or both, with times of their own.

::

    segment              0 1 2 3 4 5 6 7 8 9
    Siren        seen    0 0 1 1 1 1 0 0 0 0      heard longer than it is seen
                 heard   1 1 1 1 1 1 1 0 0 0
    Truck        seen    1 1 1 1 1 1 1 1 1 0      seen only
                 heard   0 0 0 0 0 0 0 0 0 0

The labels are in LLP's layout: a clip of ``train`` has tags, the categories that are seen or heard in it; those of
``val`` and ``test`` also have the times, of each modality, a row for each run of segments::

    AVVP_test_pd.csv     avp-0007abc_0_10   Siren,Truck
    AVVP_eval_audio.csv  avp-0007abc_0_10   0   7   Siren
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
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
    find_runs,
    make_awkward,
    repeat_shuffled,
    to_text,
)

NUM_CLIPS = 120

# How hard the set is.
SOURCES_PER_CLIP = (1, 1, 2, 2, 2, 3)  # a sixth of the clips each
RELATIONS = ("together", "heard longer", "seen longer", "shifted", "heard only", "seen only")  # a sixth of the sources
LENGTHS = (4, 10)  # segments from a source's first, in either modality, to its last
PAUSE_SHARE = 0.15  # of the times that a source is seen or heard for five segments or more have a pause of one or two
DIFFICULTY = Difficulty(
    object_heights=(0.75, 0.95), background_greys=(0.48, 0.58), clutter=(0, 3), sound_to_noise_db=(20.0, 30.0)
)

VAL_SHARE, TEST_SHARE = 1 / 6, 1 / 3

AWKWARD = (
    Awkward("17.58 frames per second", "train", {"frame_rate": Fraction(1758, 100)}),
    Awkward("odd size", "train", {"width": 321, "height": 241, "pixel_format": "yuv444p"}),
    Awkward("truncated", "train", {"kept_fraction": 0.55}, broken=True),
    Awkward("48 kHz stereo", "train", {"sample_rate_hz": 48000, "num_channels": 2}),
    Awkward("9.2 seconds", "val", {"duration_seconds": 9.2}),
    Awkward("no audio stream", "test", {"has_audio": False}, broken=True),
    Awkward("22.05 kHz mono", "test", {"sample_rate_hz": 22050, "num_channels": 1}),
)
SEGMENTS_OF_TRUNCATED = 4  # that the file still holds, at least


def plan_clips(seed: int = 1, num_clips: int = NUM_CLIPS) -> tuple[ClipPlan, ...]:
    """Decide everything about a set of clips; number, relation and category of sources are stratified in each split.

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
    sizes = {"val": max(1, round(VAL_SHARE * num_clips)), "test": max(1, round(TEST_SHARE * num_clips))}
    sizes["train"] = num_clips - sizes["val"] - sizes["test"]
    categories = CATEGORIES[: sizes["train"]]
    ids = iter(draw_ids(rng, "avp", num_clips))
    plans = []
    for split in SPLITS:
        counts = rng.permutation(np.resize(SOURCES_PER_CLIP, sizes[split]))
        relations = iter(repeat_shuffled(rng, RELATIONS, int(counts.sum())))
        for count, name in zip(counts, repeat_shuffled(rng, categories, sizes[split]), strict=True):
            others = rng.permutation([other for other in categories if other != name])[: count - 1]
            sources = [_plan_source(rng, str(category), next(relations)) for category in (name, *others)]
            plans.append(_plan_clip(rng, next(ids), split, tuple(sources)))
    return tuple(sorted(make_awkward(plans, AWKWARD, _fit), key=lambda plan: plan.video_id))


def _plan_clip(rng: np.random.Generator, video_id: str, split: str, sources: tuple[Source, ...]) -> ClipPlan:
    return ClipPlan(
        video_id=video_id,
        split=split,
        sources=sources,
        difficulty=DIFFICULTY,
        media=draw_media(rng),
        awkward="",
        seed=int(rng.integers(2**32)),
    )


def _plan_source(rng: np.random.Generator, category: str, relation: str) -> Source:
    length = int(rng.integers(LENGTHS[0], LENGTHS[1] + 1))
    start = int(rng.integers(0, NUM_SEGMENTS - length + 1))
    whole, part = _draw_stretches(rng, start, start + length, relation)
    if relation in ("seen longer", "seen only") or (relation == "shifted" and rng.random() < 0.5):
        seen, heard = whole, part
    else:
        seen, heard = part, whole
    return Source(category, to_text(_pause(rng, seen)), to_text(_pause(rng, heard)))


def _draw_stretches(rng: np.random.Generator, start: int, end: int, relation: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the segments (T,) of the modality that a relation names, or that begins first, and of the other."""
    one, other = np.zeros((2, NUM_SEGMENTS), bool)
    if relation == "shifted":
        begin = int(rng.integers(start + 1, end - 1))
        one[start : int(rng.integers(begin + 1, end))] = True
        other[begin:end] = True
        return one, other
    one[start:end] = True
    if relation == "together":
        other[start:end] = True
    elif relation in ("heard longer", "seen longer"):
        length = int(rng.integers(1, end - start - 1))
        begin = int(rng.integers(start, end - length + 1))
        other[begin : begin + length] = True
    return one, other


def _pause(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    """Return `mask` (T,), or the same with a pause of one or two segments inside it."""
    if rng.random() >= PAUSE_SHARE or mask.sum() < 5:
        return mask
    first, last = np.flatnonzero(mask)[[0, -1]]
    length = int(rng.integers(1, 3))
    begin = int(rng.integers(first + 1, last - length + 1))
    paused = mask.copy()
    paused[begin : begin + length] = False
    return paused


def _fit(plan: ClipPlan) -> ClipPlan | None:
    """Return the plan without what its file cannot hold; None where nothing remains, or a tag would be false."""
    media = plan.media
    num_whole = int(media.duration_seconds / SEGMENT_SECONDS)
    cut = slice(None, num_whole)
    sources = []
    for source in plan.sources:
        seen = source.seen[cut].ljust(NUM_SEGMENTS, "0")
        heard = source.heard[cut].ljust(NUM_SEGMENTS, "0") if media.has_audio else "0" * NUM_SEGMENTS
        if "1" in seen + heard:
            sources.append(Source(source.category, seen, heard))
    held = SEGMENTS_OF_TRUNCATED if media.kept_fraction < 1 else num_whole
    if not sources or any("1" not in source.seen[:held] + source.heard[:held] for source in sources):
        return None
    return replace(plan, sources=tuple(sources))


def write_annotations(folder: Path, plans: Sequence[ClipPlan]) -> None:
    """Write the six files of LLP's layout, ``AVVP_eval_audio.csv`` and ``AVVP_eval_visual.csv`` last."""
    tags = {split: [_tag_row(plan) for plan in plans if plan.split == split] for split in SPLITS}
    _write_table(folder / "AVVP_dataset_full.csv", _TAGS, [row for split in SPLITS for row in tags[split]])
    for split, name in (("train", "AVVP_train.csv"), ("val", "AVVP_val_pd.csv"), ("test", "AVVP_test_pd.csv")):
        _write_table(folder / name, _TAGS, tags[split])
    timed = [plan for split in ("val", "test") for plan in plans if plan.split == split]
    for name, mask_of in _EVAL_FILES:
        _write_table(folder / name, _TIMES, [row for plan in timed for row in _time_rows(plan, mask_of)])


_TAGS = ("filename", "event_labels")
_TIMES = ("filename", "onset", "offset", "event_labels")
_EVAL_FILES: tuple[tuple[str, Callable[[Source], str]], ...] = (
    ("AVVP_eval_audio.csv", lambda source: source.heard),
    ("AVVP_eval_visual.csv", lambda source: source.seen),
)


def _file_name(plan: ClipPlan) -> str:
    """Return the name of a clip as LLP has it: the video's id, and from which second to which the clip is cut."""
    return f"{plan.video_id}_0_{NUM_SEGMENTS}"


def _label(source: Source) -> str:
    return source.category.replace(" ", "_")


def _tag_row(plan: ClipPlan) -> tuple[str, ...]:
    return _file_name(plan), ",".join(map(_label, plan.sources))


def _time_rows(plan: ClipPlan, mask_of: Callable[[Source], str]) -> Iterator[tuple[str, ...]]:
    for source in plan.sources:
        for first, last in find_runs(mask_of(source)):
            yield _file_name(plan), str(first), str(last), _label(source)


def _write_table(path: Path, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    write_text(path, "".join("\t".join(row) + "\n" for row in (columns, *rows)))

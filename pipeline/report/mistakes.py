"""What kind of mistake a wrong segment is: every one is of exactly one kind.

A segment is wrong when its predicted name is not the true one. In this order, the first that holds::

    category    an event is there, and one of another category was predicted
    boundary    the event was found, but begins or ends one segment early or late
    missed      any other event segment that was predicted background
    invented    any other background segment that was predicted to hold an event

A boundary is one segment off where moving it by one segment makes all three segments around it right; before and after
the clip there is background::

    truth       . . d d d .        segment 2 (from 0) is wrong, 1 and 3 on both sides of it are right, and what was
    predicted   . . . d d .        said of 2 is what 1 is: the event was found, one segment late

An event of which nothing or another part was found is missed, also beside its boundaries. So is one that is a single
segment long, and a gap of a single segment that was not found is invented: there a moved boundary would meet another.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.core.errors import explain
from pipeline.store.manifest import BACKGROUND

RIGHT = "right"


@dataclass(frozen=True)
class Kind:
    """A kind of mistake as the page names and explains it."""

    name: str
    meaning: str


KINDS = {
    "category": Kind("wrong category", "An event that was found, and given the name of another category."),
    "boundary": Kind(
        "boundary off by one",
        "An event that begins or ends one segment early or late: with that boundary moved by one segment, the segment "
        "and its two neighbours are right.",
    ),
    "missed": Kind("missed event", "Any other event segment that was called background."),
    "invented": Kind("false event", "Any other background segment that was called an event."),
}
"""By the code that :func:`segment_kinds` gives."""


def segment_kinds(truth: Sequence[str], predicted: Sequence[str]) -> tuple[str, ...]:
    """Return a key of :data:`KINDS` for each wrong segment of a clip, and ``right`` for the others.

    Parameters
    ----------
    truth, predicted : sequence of str, length T
        The name of each segment, ``background`` where there is no event.

    Raises
    ------
    ValueError
        If they differ in length.

    Examples
    --------
    >>> segment_kinds(("background", "dog", "dog", "dog"), ("dog", "dog", "cat", "background"))
    ('boundary', 'right', 'category', 'missed')
    """
    if len(truth) != len(predicted):
        raise ValueError(
            explain("predicted", expected=f"{len(truth)} segments", found=len(predicted), remedy="compare one clip")
        )
    return tuple(_kind(truth, predicted, segment) for segment in range(len(truth)))


def count_kinds(found: Iterable[Sequence[str]], kinds: Iterable[str] = KINDS) -> dict[str, int]:
    """Return how many segments are of each of `kinds`, given what :func:`segment_kinds` says of each clip."""
    counts = Counter(kind for of_clip in found for kind in of_clip)
    return {kind: counts[kind] for kind in kinds}


def outcome_codes(found: Iterable[str], kinds: Iterable[str] = KINDS) -> tuple[str, ...]:
    """Return those of `kinds` that were found in a clip, or ``right`` alone where none was.

    >>> outcome_codes(["missed", "right", "boundary", "missed"]), outcome_codes(["right"])
    (('boundary', 'missed'), ('right',))
    """
    found = set(found)
    return tuple(kind for kind in kinds if kind in found) or (RIGHT,)


def _kind(truth: Sequence[str], predicted: Sequence[str], segment: int) -> str:
    true, said = truth[segment], predicted[segment]
    if true == said:
        return RIGHT
    if BACKGROUND not in (true, said):
        return "category"
    before, after = (_pair(truth, predicted, place) for place in (segment - 1, segment + 1))
    if {before, after} == {(true, true), (said, said)}:
        return "boundary"
    return "missed" if said == BACKGROUND else "invented"


def _pair(truth: Sequence[str], predicted: Sequence[str], place: int) -> tuple[str, str]:
    return (truth[place], predicted[place]) if 0 <= place < len(truth) else (BACKGROUND, BACKGROUND)

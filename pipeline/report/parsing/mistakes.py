"""What kind of mistake a wrong segment of a lane is: every one is of exactly one kind.

A lane is what is heard, or seen, of one category. A segment of it is wrong where it is there by one of truth and
prediction alone. In this order, the first that holds::

    modality    predicted, and there in the other modality: seen and taken for heard, or the other way round
    boundary    the event was found, but begins or ends one segment early or late
    missed      any other segment of the truth that was not predicted
    invented    any other segment that was predicted

A boundary is that of :mod:`pipeline.report.mistakes`, in which a lane has one category and background.
"""

from collections.abc import Sequence

from pipeline.report.mistakes import Kind, segment_kinds
from pipeline.store.manifest import BACKGROUND

KINDS = {
    "modality": Kind(
        "wrong modality", "A category that is there, but only to be seen and was called heard, or the other way round."
    ),
    "boundary": Kind(
        "boundary off by one",
        "An event that begins or ends one segment early or late: with that boundary moved by one segment, the segment "
        "and its two neighbours are right.",
    ),
    "missed": Kind("missed", "Any other segment in which the category is there and was not predicted."),
    "invented": Kind("false", "Any other segment in which the category was predicted and is not there at all."),
}
"""By the code that :func:`lane_kinds` gives."""


def lane_kinds(truth: Sequence[bool], predicted: Sequence[bool], elsewhere: Sequence[bool]) -> tuple[str, ...]:
    """Return a key of :data:`KINDS` for each wrong segment of a lane, and ``right`` for the others.

    Parameters
    ----------
    truth, predicted : sequence of bool, length T
        Where the category is in this modality.
    elsewhere : sequence of bool, length T
        Where it truly is in the other one.

    Examples
    --------
    >>> lane_kinds((False, True, True, True), (True, False, True, True), (True, False, False, False))
    ('modality', 'missed', 'right', 'right')
    """
    kinds = segment_kinds(_names(truth), _names(predicted))
    return tuple(
        "modality" if said and there and not true else kind
        for kind, true, said, there in zip(kinds, truth, predicted, elsewhere, strict=True)
    )


def _names(flags: Sequence[bool]) -> list[str]:
    return ["event" if flag else BACKGROUND for flag in flags]

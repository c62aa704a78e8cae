"""A clip of parsing as a row of the list."""

from collections import Counter
from collections.abc import Mapping

from pipeline.drawing.palette import Colour
from pipeline.report.explorer import Row
from pipeline.report.mistakes import outcome_codes
from pipeline.report.parsing.clip_figures import lanes_strip
from pipeline.report.parsing.mistakes import KINDS
from pipeline.report.parsing.run import ParsingPrediction, ParsingRun
from pipeline.report.parsing.timelines import build_timeline

_WORDS = {
    "modality": "wrong modality",
    "boundary": "at a boundary",
    "missed": "missed",
    "invented": "false",
}


def build_row(run: ParsingRun, prediction: ParsingPrediction, colours: Mapping[str, Colour], is_detailed: bool) -> Row:
    """Return a clip as the list has it: all its lanes in one figure, the outcome in words.

    It is found by every category that is true or predicted.
    """
    named = {*prediction.categories, *(lane.category for lane in prediction.lanes if lane.counted_kinds)}
    figure = lanes_strip(
        prediction.lanes,
        segment_seconds=run.params.dataset.segment_seconds,
        fills={name: colour.fill for name, colour in colours.items()},
    )
    return Row(
        prediction,
        categories=tuple(name for name in run.manifest.categories if name in named),
        outcome_codes=outcome_codes(prediction.kinds, KINDS),
        outcome=describe_outcome(prediction),
        strip=figure,
        timeline=build_timeline(run, prediction, colours) if is_detailed else None,
    )


def describe_outcome(prediction: ParsingPrediction) -> tuple[str, ...]:
    """Return what is right and wrong about a clip, in words; the first phrase counts the segments that were found."""
    counts = Counter(prediction.kinds)
    found = f"{prediction.num_found} of {prediction.num_true} found" if prediction.num_true else "nothing to find"
    return (found, *(f"{counts[kind]} {words}" for kind, words in _WORDS.items() if counts[kind]))

"""A clip of localization as a row of the list."""

from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.drawing.palette import Colour
from pipeline.report.explorer import Row
from pipeline.report.localization.clip_figures import strip
from pipeline.report.localization.run import LocalizationPrediction, LocalizationRun
from pipeline.report.localization.timelines import build_timeline
from pipeline.report.mistakes import RIGHT, outcome_codes, segment_kinds


def build_row(
    run: LocalizationRun, prediction: LocalizationPrediction, colours: Mapping[str, Colour], is_detailed: bool
) -> Row:
    """Return a clip as the list has it: truth, prediction and relevance in one figure, the outcome in words."""
    kinds = segment_kinds(prediction.truth, prediction.predicted)
    figure = strip(
        run.lanes(prediction),
        num_seconds=run.num_seconds,
        wrong=[kind != RIGHT for kind in kinds],
        relevance=prediction.relevance,
        fills={name: colour.fill for name, colour in colours.items()},
    )
    return Row(
        prediction,
        categories=prediction.categories,
        outcome_codes=outcome_codes(kinds),
        outcome=describe_outcome(prediction, kinds),
        strip=figure,
        timeline=build_timeline(run, prediction, kinds, colours) if is_detailed else None,
    )


def describe_outcome(prediction: LocalizationPrediction, kinds: Sequence[str]) -> tuple[str, ...]:
    """Return what is right and wrong about a clip, in words; the first phrase counts the right segments."""
    counts = Counter(kinds)
    texts = [f"{prediction.num_right} of {len(kinds)} right"]
    if counts["category"]:
        pairs = zip(prediction.predicted, kinds, strict=True)
        wrong = sorted({name for name, kind in pairs if kind == "category"})
        texts.append(f"{counts['category']} taken for {' and '.join(wrong)}")
    for kind, words in (("boundary", "at a boundary"), ("missed", "missed"), ("invented", "false")):
        if counts[kind]:
            texts.append(f"{counts[kind]} {words}")
    return tuple(texts)

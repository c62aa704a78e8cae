"""The list of clips: every scored clip in a row that can be filtered, some of them with all that there is to see."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.drawing.palette import Colour
from pipeline.report.choice import list_clips
from pipeline.report.clip_figures import strip
from pipeline.report.mistakes import KINDS, RIGHT, segment_kinds
from pipeline.report.run import Prediction, Run
from pipeline.report.timelines import Timeline, build_timeline


@dataclass(frozen=True)
class Row:
    """A clip in the list.

    Parameters
    ----------
    prediction : Prediction
    kinds : tuple of str, length T
        What :func:`pipeline.report.mistakes.segment_kinds` says of each segment.
    outcome : tuple of str
        What is right and wrong about the clip, in words.
    strip : Markup
        Truth, prediction and relevance in one small figure.
    timeline : Timeline, optional
        Everything else, of clips that are shown in detail.
    """

    prediction: Prediction
    kinds: tuple[str, ...]
    outcome: tuple[str, ...]
    strip: Markup
    timeline: Timeline | None

    @property
    def outcome_codes(self) -> tuple[str, ...]:
        """What the list is filtered by: the kinds of mistakes in the clip, or ``right`` where there is none."""
        return tuple(kind for kind in KINDS if kind in self.kinds) or (RIGHT,)


@dataclass(frozen=True)
class Explorer:
    """The rows of the page in its order, and of each split how many clips are not among them."""

    rows: tuple[Row, ...]
    num_left_out: dict[str, int]

    @property
    def num_detailed(self) -> int:
        """Clips that are shown in detail."""
        return sum(row.timeline is not None for row in self.rows)

    @property
    def has_media(self) -> bool:
        """Whether there is a picture or a sound of any of them."""
        shown = [row.timeline for row in self.rows if row.timeline]
        return any(timeline.has_pictures or timeline.spectrogram for timeline in shown)

    def count(self, key: str) -> dict[str, int]:
        """Return how many rows there are of each ``category``, ``split`` or ``outcome``; every outcome is there."""
        if key == "outcome":
            counts = Counter(code for row in self.rows for code in row.outcome_codes)
            return {code: counts[code] for code in (RIGHT, *KINDS)}
        return dict(Counter(getattr(row.prediction.clip, key) for row in self.rows))


def build_explorer(run: Run, colours: dict[str, Colour]) -> Explorer:
    """List the scored clips, `report.num_clips` of them with their timelines."""
    listing = list_clips(run.predictions, run.params.report.num_clips)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        timelines = pool.map(lambda prediction: build_timeline(run, prediction, colours), listing.detailed)
        detailed = [
            _row(run, prediction, colours, timeline)
            for prediction, timeline in zip(listing.detailed, timelines, strict=True)
        ]
    others = [_row(run, prediction, colours, None) for prediction in listing.others]
    return Explorer((*detailed, *others), listing.num_left_out)


def describe_outcome(prediction: Prediction, kinds: tuple[str, ...]) -> tuple[str, ...]:
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


def _row(run: Run, prediction: Prediction, colours: dict[str, Colour], timeline: Timeline | None) -> Row:
    kinds = segment_kinds(prediction.truth, prediction.predicted)
    figure = strip(
        run.lanes(prediction),
        num_seconds=run.num_seconds,
        wrong=[kind != RIGHT for kind in kinds],
        relevance=prediction.relevance,
        fills={name: colour.fill for name, colour in colours.items()},
    )
    return Row(prediction, kinds, describe_outcome(prediction, kinds), figure, timeline)

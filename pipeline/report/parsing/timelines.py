"""One clip in detail: what is seen and heard, each above its lanes, and the probabilities of the whole clip."""

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.drawing.palette import Colour
from pipeline.report.media import ClipMedia, read_clip_media
from pipeline.report.parsing.clip_figures import lane_figure
from pipeline.report.parsing.run import THRESHOLD, VERBS, ParsedLane, ParsingPrediction, ParsingRun


@dataclass(frozen=True)
class DrawnLane:
    """A lane, drawn, with whether there is media in each segment, and the clip's probability that gates it.

    `is_closed` says that this probability is too small.
    """

    category: str
    figure: Markup
    has_media: tuple[bool, ...]
    gate: float
    is_closed: bool


@dataclass(frozen=True)
class ClipProbabilities:
    """What is said of one category in the clip as a whole, and whether the clip is tagged with it."""

    category: str
    is_tagged: bool
    heard: float
    seen: float
    whole: float


@dataclass(frozen=True)
class Timeline:
    """A clip as the template draws it in detail.

    Parameters
    ----------
    media : ClipMedia
    lanes : dict of str to tuple of DrawnLane
        By modality.
    clip_probabilities : tuple of ClipProbabilities
        Of the categories that have a lane, are among the tags, or are probable in the clip.
    num_improbable : int
        Categories that are not among these.
    tags_note : str
        How the tags differ from what is heard or seen; empty if they do not.
    """

    media: ClipMedia
    lanes: dict[str, tuple[DrawnLane, ...]]
    clip_probabilities: tuple[ClipProbabilities, ...]
    num_improbable: int
    tags_note: str


def build_timeline(run: ParsingRun, prediction: ParsingPrediction, colours: Mapping[str, Colour]) -> Timeline:
    """Read the media of a clip and return all that is shown of it."""
    seconds = run.params.dataset.segment_seconds
    rows = _clip_probabilities(run, prediction)
    return Timeline(
        media=read_clip_media(run, prediction.clip),
        lanes={
            modality: tuple(
                _drawn(lane, seconds, colours[lane.category].fill)
                for lane in prediction.lanes
                if lane.modality == modality
            )
            for modality in VERBS
        },
        clip_probabilities=rows,
        num_improbable=len(run.manifest.categories) - len(rows),
        tags_note=describe_tags(prediction),
    )


def describe_tags(prediction: ParsingPrediction) -> str:
    """Return how the tags of a clip, all that training knows, differ from what is heard or seen in its segments."""
    tags, there = prediction.clip.tags, prediction.categories
    only_tagged = [name for name in tags if name not in there]
    untagged = [name for name in there if name not in tags]
    parts = [f"tagged, but in no segment: {', '.join(only_tagged)}"] if only_tagged else []
    parts += [f"in its segments, but not tagged: {', '.join(untagged)}"] if untagged else []
    return "; ".join(parts)


def _drawn(lane: ParsedLane, segment_seconds: float, fill: str) -> DrawnLane:
    return DrawnLane(
        category=lane.category,
        figure=lane_figure(lane, segment_seconds=segment_seconds, fill=fill),
        has_media=lane.has_media,
        gate=lane.gate,
        is_closed=lane.gate < THRESHOLD or any(lane.is_closed),
    )


def _clip_probabilities(run: ParsingRun, prediction: ParsingPrediction) -> tuple[ClipProbabilities, ...]:
    named = {*prediction.clip.tags, *(lane.category for lane in prediction.lanes)}
    columns = zip(run.manifest.categories, prediction.clip_probabilities.T.tolist(), strict=True)
    return tuple(
        ClipProbabilities(category, category in prediction.clip.tags, *values)
        for category, values in columns
        if category in named or max(values) >= THRESHOLD
    )

"""What the page shows of parsing: of each clip a lane per modality and category, and the probabilities that made it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline.drawing.timelines import Lane, find_spans
from pipeline.methods.contract import gate_of_rule
from pipeline.methods.settings import Gate
from pipeline.params.schema import Params
from pipeline.report.mistakes import RIGHT
from pipeline.report.run import Prediction, Run
from pipeline.store.parsing_manifest import ParsedClip, ParsingManifest

VERBS = {"visual": "seen", "audio": "heard"}
"""What is said of a category in a modality, in the order of the page."""

GATES: Mapping[Gate, str] = {"global": "global gate", "own": "own gate"}
"""The two rules of :mod:`pipeline.metrics.parsing`, by the gate that ``evaluate.gate`` names."""

THRESHOLD = 0.5


@dataclass(frozen=True)
class ParsedLane:
    """What is true and what was said of one category in one modality of a clip.

    Parameters
    ----------
    modality : {"audio", "visual"}
    category : str
    truth, predicted : tuple of bool, length T
    probability : tuple of float, length T
        Of the category in each segment, 0 to 1.
    has_media : tuple of bool, length T
        Where there is something to hear, or to see; elsewhere nothing could be predicted.
    kinds : tuple of str, length T
        What :func:`pipeline.report.parsing.mistakes.lane_kinds` says.
    gate : float
        The clip's probability that opens or closes the lane.
    """

    modality: str
    category: str
    truth: tuple[bool, ...]
    predicted: tuple[bool, ...]
    probability: tuple[float, ...]
    has_media: tuple[bool, ...]
    kinds: tuple[str, ...]
    gate: float

    @property
    def is_closed(self) -> tuple[bool, ...]:
        """Per segment, whether its own probability was enough and that of the clip was not."""
        return tuple(
            value >= THRESHOLD and has_media and not said
            for value, has_media, said in zip(self.probability, self.has_media, self.predicted, strict=True)
        )

    @property
    def counted_kinds(self) -> tuple[str, ...]:
        """The kinds of the segments that hold the category by truth or prediction: the others are right for nothing."""
        triples = zip(self.kinds, self.truth, self.predicted, strict=True)
        return tuple(kind for kind, true, said in triples if true or said)

    def drawn(self, segment_seconds: float) -> tuple[Lane, Lane]:
        """Return truth and prediction as lanes with gaps."""
        truth, predicted = (
            Lane(name, find_spans([self.category if flag else None for flag in flags], segment_seconds=segment_seconds))
            for name, flags in (("truth", self.truth), ("predicted", self.predicted))
        )
        return truth, predicted


@dataclass(frozen=True)
class ParsingPrediction(Prediction):
    """What was said about one clip, and what led there.

    Parameters
    ----------
    clip : ParsedClip
    lanes : tuple of ParsedLane
        By modality, that which is seen first, and category in class order: every one that is true or predicted in any
        segment; of a clip without any, the one that was most probable.
    there : tuple of str
        The categories that are heard or seen, in class order.
    truth : np.ndarray, shape (2, C, T), bool
        What is heard, and seen.
    probabilities : np.ndarray, shape (T, 2, C), float16
    clip_probabilities : np.ndarray, shape (3, C), float16
        Of the whole clip: heard, seen, in it.
    """

    clip: ParsedClip
    lanes: tuple[ParsedLane, ...]
    there: tuple[str, ...]
    truth: np.ndarray = field(compare=False, repr=False)
    probabilities: np.ndarray = field(compare=False, repr=False)
    clip_probabilities: np.ndarray = field(compare=False, repr=False)

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that are heard or seen, in class order."""
        return self.there

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is right and wrong in all lanes, of the segments that hold the category by truth or prediction."""
        return tuple(kind for lane in self.lanes for kind in lane.counted_kinds)

    @property
    def num_true(self) -> int:
        """Segments of the truth, over all lanes."""
        return sum(sum(lane.truth) for lane in self.lanes)

    @property
    def num_found(self) -> int:
        """Those of them that were predicted."""
        return self.kinds.count(RIGHT)

    @property
    def score(self) -> float:
        """F-score of the segments of all lanes, 0 to 1; 1 where nothing is true or predicted."""
        num_predicted = sum(sum(lane.predicted) for lane in self.lanes)
        whole = self.num_true + num_predicted
        return 2 * self.num_found / whole if whole else 1.0


@dataclass(frozen=True)
class Found:
    """How many segments of one category, of both modalities, were found, missed and invented."""

    found: int = 0
    missed: int = 0
    invented: int = 0


@dataclass(frozen=True)
class ParsingRun(Run):
    """Everything the page shows.

    Parameters
    ----------
    confusion : dict of str to Found
        By category, in class order.
    """

    manifest: ParsingManifest
    predictions: dict[str, tuple[ParsingPrediction, ...]]
    confusion: dict[str, Found]

    def categories_of(self, clip: ParsedClip) -> tuple[str, ...]:
        """Return what is heard or seen in a clip, in class order."""
        return present(clip.event_masks(self.manifest.categories, self.params.dataset.num_segments), self.manifest)

    @property
    def gate(self) -> Gate:
        """Which of the clip's probabilities gates its segments."""
        return gate_of(self.params)

    @property
    def other_gate(self) -> Gate:
        """The gate that was not asked for, of which there are scores for comparison."""
        return "own" if self.gate == "global" else "global"


def present(truth: np.ndarray, manifest: ParsingManifest) -> tuple[str, ...]:
    """Return the categories that hold a segment in either modality of `truth`, (2, C, T)."""
    return tuple(manifest.categories[category] for category in np.flatnonzero(truth.any(axis=(0, 2))))


def gate_of(params: Params) -> Gate:
    """Return which of the clip's probabilities gates its segments: that asked for, or that of the method's authors."""
    return gate_of_rule(params.evaluate.rule_of(params.train.method))


def gates(clip_probabilities: np.ndarray, gate: Gate) -> np.ndarray:
    """Return the clip's probability that gates each lane.

    Parameters
    ----------
    clip_probabilities : np.ndarray, shape (..., 3, C), float
        Heard, seen, in it.
    gate : {"global", "own"}

    Returns
    -------
    np.ndarray, shape (..., 2, C), float
        Of the lanes of what is heard, and seen.
    """
    places = [2, 2] if gate == "global" else [0, 1]
    return clip_probabilities[..., places, :]

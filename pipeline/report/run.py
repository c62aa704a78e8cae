"""What the page shows: the predictions, features, scores and history of one run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.drawing.timelines import Lane, find_spans
from pipeline.params.schema import Params
from pipeline.store.ledger import LedgerSummary, sampling_offset_seconds
from pipeline.store.manifest import BACKGROUND, Clip, Manifest
from pipeline.store.shards import LedgerRow, ShardIndex

MODALITIES = ("visual", "audio")

PREDICTIONS = {"test": "predictions.csv", "val": "predictions_val.csv"}
"""The file with the predictions of each split that the page shows."""

MATRICES = ("visual_similarity", "visual_connections", "audio_similarity", "audio_connections")
"""What a method with positive sample propagation leaves beside the attention."""


@dataclass(frozen=True)
class Prediction:
    """What was said about one clip, and what led there.

    Parameters
    ----------
    clip : Clip
    truth, predicted : tuple of str, length T
        A name per segment.
    relevance : tuple of float, length T
        Probability of an event, 0 to 1.
    maps : dict of str to np.ndarray
        ``attention`` (T, P) and, of methods that propagate, the matrices (T, T) that :data:`MATRICES` names.
    """

    clip: Clip
    truth: tuple[str, ...]
    predicted: tuple[str, ...]
    relevance: tuple[float, ...]
    maps: dict[str, np.ndarray] = field(default_factory=dict, compare=False, repr=False)

    @property
    def is_event(self) -> tuple[bool, ...]:
        """Per segment, whether an event was predicted."""
        return tuple(name != BACKGROUND for name in self.predicted)

    @property
    def num_right(self) -> int:
        """Segments whose name is right."""
        return sum(a == b for a, b in zip(self.truth, self.predicted, strict=True))


@dataclass(frozen=True)
class Features:
    """The books of one modality: ``index.json``, the ledger rows by video, and their sum."""

    index: ShardIndex
    ledger: dict[str, LedgerRow]
    summary: LedgerSummary

    def valid(self, video_id: str, num_segments: int) -> tuple[bool, ...]:
        """Return per segment whether the modality had media."""
        flags = self.ledger[video_id].valid.ljust(num_segments, "0")[:num_segments]
        return tuple(flag == "1" for flag in flags)

    def offset_seconds(self, video_id: str) -> float | None:
        """Return how far apart frames chosen by number and by time are, at the most; None where it is not known."""
        return sampling_offset_seconds(self.ledger[video_id])


@dataclass(frozen=True)
class Run:
    """Everything the page shows.

    Parameters
    ----------
    history : dict
        Column of ``history.csv`` to its values, one per epoch; None where the file has none or no finite number.
    metrics : dict
        Name to number; None where the score is not defined.
    confusion : np.ndarray
        Shape (C + 1, C + 1), int: segments by truth (row) and prediction (column), background last.
    predictions : dict of str to tuple of Prediction
        Of the scored clips of each split in :data:`PREDICTIONS`, in the manifest's order.
    """

    params: Params
    raw: Path
    manifest: Manifest
    audit: dict[str, Any]
    features: dict[str, Features]
    history: dict[str, list[float | None]]
    metrics: dict[str, float | None]
    per_class: list[dict[str, str]]
    confusion: np.ndarray
    predictions: dict[str, tuple[Prediction, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """Category names in class order, ``background`` last."""
        return (*self.manifest.categories, BACKGROUND)

    @property
    def test_clips(self) -> tuple[Clip, ...]:
        """The clips that should have been scored."""
        return tuple(clip for clip in self.manifest.clips if clip.split == "test")

    def is_masked(self, video_id: str) -> tuple[bool, ...]:
        """Return per segment whether a modality is missing, so that nothing can be both seen and heard."""
        number = self.params.dataset.num_segments
        flags = [self.features[modality].valid(video_id, number) for modality in MODALITIES]
        return tuple(not all(pair) for pair in zip(*flags, strict=True))

    @property
    def num_seconds(self) -> float:
        """Length of a clip."""
        return self.params.dataset.num_segments * self.params.dataset.segment_seconds

    def lanes(self, prediction: Prediction) -> tuple[Lane, ...]:
        """Return what is true and what was said of a clip, which is masked where a modality is missing."""
        seconds, masked = self.params.dataset.segment_seconds, self.is_masked(prediction.clip.video_id)
        return (
            Lane("truth", find_spans(prediction.truth, segment_seconds=seconds)),
            Lane("predicted", find_spans(prediction.predicted, masked, segment_seconds=seconds)),
        )

"""What the page shows of any task: the predictions, features, scores and history of one run."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.params.schema import Params
from pipeline.store.ledger import LedgerSummary, sampling_offset_seconds
from pipeline.store.manifest import Clip, Manifest
from pipeline.store.parsing_manifest import ParsedClip, ParsingManifest
from pipeline.store.shards import LedgerRow, ShardIndex

MODALITIES = ("visual", "audio")

PREDICTIONS = {"test": "predictions.csv", "val": "predictions_val.csv"}
"""The file with the predictions of each split that the page shows."""

AnyClip = Clip | ParsedClip


@dataclass(frozen=True)
class Prediction(ABC):
    """What was said about one clip; a subclass per task says it."""

    clip: AnyClip

    @property
    @abstractmethod
    def categories(self) -> tuple[str, ...]:
        """What is in the clip by its annotations, in class order."""

    @property
    @abstractmethod
    def score(self) -> float:
        """How right it is, by which clips of one run are compared."""


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
class Run(ABC):
    """Everything the page shows of any task; a subclass per task adds the rest.

    Parameters
    ----------
    params : Params
    raw : Path
        The folder that the paths of clips start from.
    manifest : Manifest or ParsingManifest
    audit : dict
    features : dict of str to Features
        By modality.
    history : dict
        Column of ``history.csv`` to its values, one per epoch; None where the file has none or no finite number.
    metrics : dict
        Name to number; None where the score is not defined.
    per_class : list of dict
        The rows of ``per_class.csv``.
    predictions : mapping of str to tuple of Prediction
        Of the scored clips of each split in :data:`PREDICTIONS`, in the manifest's order.
    """

    params: Params
    raw: Path
    manifest: Manifest | ParsingManifest
    audit: dict[str, Any]
    features: dict[str, Features]
    history: dict[str, list[float | None]]
    metrics: dict[str, float | None]
    per_class: list[dict[str, str]]
    predictions: Mapping[str, tuple[Prediction, ...]]

    @abstractmethod
    def categories_of(self, clip: Any) -> tuple[str, ...]:
        """Return what is in a clip of the manifest by its annotations, in class order."""

    @property
    def test_clips(self) -> tuple[AnyClip, ...]:
        """The clips that should have been scored."""
        return tuple(clip for clip in self.manifest.clips if clip.split == "test")

    @property
    def num_seconds(self) -> float:
        """Length of a clip."""
        return self.params.dataset.num_segments * self.params.dataset.segment_seconds

    def has_media(self, modality: str, video_id: str) -> tuple[bool, ...]:
        """Return per segment whether there is something to hear, or to see."""
        return self.features[modality].valid(video_id, self.params.dataset.num_segments)

"""What the page shows of localization: one category per clip, a name per segment, and the maps that led there."""

from dataclasses import dataclass, field

import numpy as np

from pipeline.drawing.timelines import Lane, find_spans
from pipeline.report.run import MODALITIES, Prediction, Run
from pipeline.store.manifest import BACKGROUND, Clip, Manifest

MATRICES = ("visual_similarity", "visual_connections", "audio_similarity", "audio_connections")
"""What a method with positive sample propagation leaves beside the attention."""


@dataclass(frozen=True)
class LocalizationPrediction(Prediction):
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
    def categories(self) -> tuple[str, ...]:
        """The category of the clip."""
        return (self.clip.category,)

    @property
    def is_event(self) -> tuple[bool, ...]:
        """Per segment, whether an event was predicted."""
        return tuple(name != BACKGROUND for name in self.predicted)

    @property
    def num_right(self) -> int:
        """Segments whose name is right."""
        return sum(a == b for a, b in zip(self.truth, self.predicted, strict=True))

    @property
    def score(self) -> float:
        """Segments whose name is right."""
        return self.num_right


@dataclass(frozen=True)
class LocalizationRun(Run):
    """Everything the page shows.

    Parameters
    ----------
    confusion : np.ndarray
        Shape (C + 1, C + 1), int: segments by truth (row) and prediction (column), background last.
    """

    manifest: Manifest
    predictions: dict[str, tuple[LocalizationPrediction, ...]]
    confusion: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        """Category names in class order, ``background`` last."""
        return (*self.manifest.categories, BACKGROUND)

    def categories_of(self, clip: Clip) -> tuple[str, ...]:
        """Return the category of a clip."""
        return (clip.category,)

    def is_masked(self, video_id: str) -> tuple[bool, ...]:
        """Return per segment whether a modality is missing, so that nothing can be both seen and heard."""
        flags = [self.has_media(modality, video_id) for modality in MODALITIES]
        return tuple(not all(pair) for pair in zip(*flags, strict=True))

    def lanes(self, prediction: LocalizationPrediction) -> tuple[Lane, ...]:
        """Return what is true and what was said of a clip, which is masked where a modality is missing."""
        seconds, masked = self.params.dataset.segment_seconds, self.is_masked(prediction.clip.video_id)
        return (
            Lane("truth", find_spans(prediction.truth, segment_seconds=seconds)),
            Lane("predicted", find_spans(prediction.predicted, masked, segment_seconds=seconds)),
        )

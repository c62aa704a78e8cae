"""What is said about a video, as far as it is the same for both tasks: which file, how long, which segments."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MISSING = {"visual": "picture", "audio": "sound"}
"""What a segment lacks where a modality is missing, in words."""


@dataclass(frozen=True)
class VideoPrediction(ABC):
    """All that is said about one video; a subclass per task.

    Parameters
    ----------
    path : Path
    duration_seconds : float
        Of its pictures; of its sound where there are none.
    segments : tuple
        Of one length. Each has `start_seconds`, `end_seconds`, what its task says of it, and `missing`: the modalities
        that the file does not have there.
    warnings : tuple of str
        A line each.
    """

    path: Path
    duration_seconds: float
    segments: tuple[Any, ...]
    warnings: tuple[str, ...]

    @property
    @abstractmethod
    def events(self) -> Sequence[Any]:
        """The events, in order of time, each with `start_seconds`, `end_seconds` and `category`."""

    @property
    def segment_seconds(self) -> float:
        """Length of a segment."""
        seconds: float = self.segments[0].end_seconds
        return seconds

    def segment_at(self, seconds: float) -> int:
        """Return the number of the segment at a time, from 0; before the first and after the last that one."""
        return min(len(self.segments) - 1, max(0, int(seconds / self.segment_seconds)))


@dataclass(frozen=True)
class Places:
    """Which answers count for the segments of a video: the window and the position in it.

    Axes: S segment of the video, W window, T segment of a window.

    Parameters
    ----------
    window, position : np.ndarray, shape (S,), int
    segment_seconds : float
    """

    window: np.ndarray
    position: np.ndarray
    segment_seconds: float

    def times(self) -> list[tuple[float, float]]:
        """Return when each segment starts and ends, in seconds."""
        seconds = self.segment_seconds
        return [(number * seconds, (number + 1) * seconds) for number in range(len(self.window))]

    def take(self, values: np.ndarray) -> np.ndarray:
        """Return the values (S, ...) of the segments, of those of the windows (W, T, ...)."""
        taken: np.ndarray = values[self.window, self.position]
        return taken


@dataclass(frozen=True)
class Judged:
    """What a network says about the W windows of a video, and where the file has media.

    Parameters
    ----------
    outputs : pipeline.training.outputs.Outputs
        Of the reading's own class, a row per window; zero where it was not judged.
    is_judged : np.ndarray, shape (W,), bool
    visual_valid, audio_valid : np.ndarray, shape (W, T), bool
    """

    outputs: Any
    is_judged: np.ndarray
    visual_valid: np.ndarray
    audio_valid: np.ndarray

    def missing(self, places: Places) -> list[tuple[str, ...]]:
        """Return the modalities that each segment lacks."""
        valid = {"visual": places.take(self.visual_valid), "audio": places.take(self.audio_valid)}
        return [
            tuple(modality for modality, is_valid in valid.items() if not is_valid[segment])
            for segment in range(len(places.window))
        ]

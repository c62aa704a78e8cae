"""What localization says about a video: a prediction per segment, and the events that successive segments make."""

from dataclasses import dataclass

import numpy as np

from pipeline.drawing.timelines import find_spans
from pipeline.prediction.videos import VideoPrediction
from pipeline.store.manifest import BACKGROUND


@dataclass(frozen=True)
class Segment:
    """One segment of a video.

    Parameters
    ----------
    start_seconds, end_seconds : float
    prediction : str
        A category, or ``background``.
    relevance : float or None
        Probability of an event, 0 to 1; None where the whole window lacks a modality and nothing was computed.
    category, category_probability : str or None, float or None
        The most probable category of the window it was judged in, whatever the relevance; None likewise.
    missing : tuple of str
        Modalities that the file does not have there; such a segment is background.
    """

    start_seconds: float
    end_seconds: float
    prediction: str
    relevance: float | None
    category: str | None
    category_probability: float | None
    missing: tuple[str, ...]

    @property
    def is_event(self) -> bool:
        """Whether a category is predicted."""
        return self.prediction != BACKGROUND


@dataclass(frozen=True)
class Event:
    """A longest run of segments with one category; `relevance` is the mean of theirs."""

    start_seconds: float
    end_seconds: float
    category: str
    relevance: float


@dataclass(frozen=True)
class LocalizedVideo(VideoPrediction):
    """The events of a video that are seen and heard.

    Parameters
    ----------
    segments : tuple of Segment
    attention : np.ndarray
        Shape (segments, P), float32: how a network spreads its look over the positions of the visual map, row by row;
        zero where nothing was computed.
    """

    segments: tuple[Segment, ...]
    attention: np.ndarray

    @property
    def is_event(self) -> tuple[bool, ...]:
        """Per segment, whether a category is predicted."""
        return tuple(segment.is_event for segment in self.segments)

    @property
    def events(self) -> tuple[Event, ...]:
        """The events, in order of time."""
        return find_events(self.segments)


def find_events(segments: tuple[Segment, ...]) -> tuple[Event, ...]:
    """Return the longest runs of segments with one category; windows do not interrupt them."""
    events = []
    for span in find_spans([segment.prediction if segment.is_event else None for segment in segments]):
        run = segments[span.start : span.stop]
        relevance = float(np.mean([segment.relevance for segment in run]))
        events.append(Event(run[0].start_seconds, run[-1].end_seconds, span.name, relevance))
    return tuple(events)

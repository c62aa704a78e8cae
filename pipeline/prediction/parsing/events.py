"""What parsing says about a video: categories heard and seen per segment, and the events that successive ones make."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.drawing.timelines import find_spans
from pipeline.prediction.videos import VideoPrediction
from pipeline.store.parsing_manifest import MODALITIES

SENSED = {"audio": "heard", "visual": "seen"}
"""What a modality does, in words."""


@dataclass(frozen=True)
class Segment:
    """One segment of a video.

    Parameters
    ----------
    start_seconds, end_seconds : float
    heard, seen : tuple of str
        The categories that are heard, or seen, in class order.
    heard_probabilities, seen_probabilities : tuple of float or None
        Of every category in class order, 0 to 1; None where the modality is missing.
    missing : tuple of str
        Modalities that the file does not have there.
    """

    start_seconds: float
    end_seconds: float
    heard: tuple[str, ...]
    seen: tuple[str, ...]
    heard_probabilities: tuple[float, ...] | None
    seen_probabilities: tuple[float, ...] | None
    missing: tuple[str, ...]

    def sensed(self, modality: str) -> tuple[str, ...]:
        """Return the categories of a modality."""
        return self.heard if modality == "audio" else self.seen

    def probabilities(self, modality: str) -> tuple[float, ...] | None:
        """Return the probabilities of a modality."""
        return self.heard_probabilities if modality == "audio" else self.seen_probabilities


@dataclass(frozen=True)
class Event:
    """A longest run of segments in which a category is heard, or seen; `probability` is the mean of theirs."""

    start_seconds: float
    end_seconds: float
    modality: str
    category: str
    probability: float


@dataclass(frozen=True)
class Lane:
    """The events of one category in one modality, in order of time; there is at least one."""

    modality: str
    category: str
    events: tuple[Event, ...]

    @property
    def probability(self) -> float:
        """That of the most probable event."""
        return max(event.probability for event in self.events)


@dataclass(frozen=True)
class ParsedVideo(VideoPrediction):
    """What is heard and seen in a video.

    Parameters
    ----------
    segments : tuple of Segment
    categories : tuple of str
        In class order.
    """

    segments: tuple[Segment, ...]
    categories: tuple[str, ...]

    @cached_property
    def lanes(self) -> tuple[Lane, ...]:
        """The lanes with an event, in class order, of a category what is heard before what is seen."""
        lanes = []
        for category in self.categories:
            for modality in MODALITIES:
                sensed = [category if category in segment.sensed(modality) else None for segment in self.segments]
                events = tuple(self._event(span.start, span.stop, modality, category) for span in find_spans(sensed))
                if events:
                    lanes.append(Lane(modality, category, events))
        return tuple(lanes)

    @property
    def events(self) -> tuple[Event, ...]:
        """The events in order of time, those that begin together in the order of their lanes."""
        return tuple(sorted((event for lane in self.lanes for event in lane.events), key=lambda of: of.start_seconds))

    def probability(self, start: int, stop: int, modality: str, category: str) -> float:
        """Return the mean probability of a category from one segment to the one before another."""
        number = self.categories.index(category)
        values = [segment.probabilities(modality) for segment in self.segments[start:stop]]
        return float(np.mean([of[number] for of in values if of is not None]))

    def lacks(self, modality: str) -> bool:
        """Return whether no segment has a modality."""
        return all(modality in segment.missing for segment in self.segments)

    def times(self, start: int, stop: int) -> tuple[float, float]:
        """Return when one segment starts, and when the one before another ends."""
        return self.segments[start].start_seconds, self.segments[stop - 1].end_seconds

    def _event(self, start: int, stop: int, modality: str, category: str) -> Event:
        return Event(*self.times(start, stop), modality, category, self.probability(start, stop, modality, category))

"""What is said about a clip over time, as geometry: lanes of spans, and where on a page they lie.

A lane says one thing about every segment, or nothing; its spans are the longest runs of segments of which it says the
same. Nothing here draws: :mod:`pipeline.drawing.svg` and :mod:`pipeline.drawing.plots` do, as do a page's grid and the
bar of a rendered video::

    seconds       0           1           2           3           4
    truth         | background  dog                     background|
    predicted     | background              dog         background|

Localization has a lane of truth and one of prediction, without gaps. Lanes may as well be of one modality and one
category, with gaps where it is not there: whatever draws lanes takes any number of them, by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby


@dataclass(frozen=True)
class Span:
    """Neighbouring segments of which the same is said.

    Parameters
    ----------
    name : str
        A category, or ``background``; its colour is that of :func:`pipeline.drawing.palette.colours`.
    start, length : int
        The first segment, from 0, and how many they are.
    is_masked : bool, optional
        Whether a modality is missing there.
    segment_seconds : float, optional
        Length of a segment.
    """

    name: str
    start: int
    length: int
    is_masked: bool = False
    segment_seconds: float = 1.0

    @property
    def stop(self) -> int:
        """The segment after the last one, from 0."""
        return self.start + self.length

    @property
    def start_seconds(self) -> float:
        """Where the first segment begins."""
        return self.start * self.segment_seconds

    @property
    def stop_seconds(self) -> float:
        """Where the last segment ends."""
        return self.stop * self.segment_seconds

    @property
    def numbers(self) -> str:
        """The first and the last segment, from 1: ``2–4``, or ``2`` alone."""
        return str(self.stop) if self.length == 1 else f"{self.start + 1}–{self.stop}"

    @property
    def title(self) -> str:
        """What is said when one points at it; segments count from 1."""
        where = f"segment {self.stop}" if self.length == 1 else f"segments {self.start + 1} to {self.stop}"
        return f"{where}: {self.name}{', masked: a modality is missing' if self.is_masked else ''}"


@dataclass(frozen=True)
class Lane:
    """What is said about one thing over time: spans in order, which do not overlap but may leave gaps."""

    name: str
    spans: tuple[Span, ...]

    def without_masks(self) -> "Lane":
        """Return the lane with the spans joined that differ only in whether a modality is missing."""
        joined: list[Span] = []
        for span in self.spans:
            if joined and (joined[-1].name, joined[-1].stop) == (span.name, span.start):
                joined[-1] = replace(joined[-1], length=joined[-1].length + span.length)
            else:
                joined.append(replace(span, is_masked=False))
        return Lane(self.name, tuple(joined))


def find_spans(
    names: Sequence[str | None], masked: Sequence[bool] = (), *, segment_seconds: float = 1.0
) -> tuple[Span, ...]:
    """Return the longest runs of segments of which the same is said.

    Parameters
    ----------
    names : sequence of str or None, length T
        What is said of each segment; None is a gap.
    masked : sequence of bool, length T, optional
        Whether a modality is missing; a run is masked as a whole or not at all.
    segment_seconds : float, optional

    Examples
    --------
    >>> [(span.name, span.start_seconds, span.stop_seconds) for span in find_spans([None, "dog", "dog", "cat"])]
    [('dog', 1.0, 3.0), ('cat', 3.0, 4.0)]
    """
    pairs = enumerate(zip(names, masked or (False,) * len(names), strict=True))
    spans = []
    for (name, is_masked), group in groupby(pairs, key=lambda item: item[1]):
        segments = [segment for segment, _ in group]
        if name is not None:
            spans.append(Span(name, segments[0], len(segments), is_masked, segment_seconds))
    return tuple(spans)


@dataclass(frozen=True)
class TimeAxis:
    """The time from `start_seconds` to `stop_seconds`, laid over a page from `left` to `right`."""

    start_seconds: float
    stop_seconds: float
    left: float
    right: float

    def x(self, seconds: float) -> float:
        """Return where a time lies."""
        share = (seconds - self.start_seconds) / (self.stop_seconds - self.start_seconds)
        return self.left + share * (self.right - self.left)

    def box(self, start_seconds: float, stop_seconds: float, *, gap: float = 0) -> tuple[float, float]:
        """Return the left side and the width of a stretch of time, short of a gap to its neighbours.

        >>> TimeAxis(0, 10, 0, 100).box(2, 5, gap=4)
        (22.0, 26.0)
        """
        left = self.x(start_seconds)
        return left + gap / 2, self.x(stop_seconds) - left - gap

    def middles(self, num_segments: int) -> list[float]:
        """Return where the middles of segments lie that share the axis equally."""
        width = (self.right - self.left) / num_segments
        return [self.left + (segment + 0.5) * width for segment in range(num_segments)]

    def curve(self, values: Sequence[float], *, floor: float, ceiling: float) -> list[tuple[float, float]]:
        """Return a point over the middle of each segment, `floor` high where a value is 0, `ceiling` where it is 1."""
        heights = (floor + value * (ceiling - floor) for value in values)
        return list(zip(self.middles(len(values)), heights, strict=True))

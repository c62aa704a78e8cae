"""The list of clips: every scored clip in a row that can be filtered, some of them with all that there is to see."""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from pipeline.report.choice import list_clips
from pipeline.report.mistakes import RIGHT
from pipeline.report.run import Prediction, Run


@dataclass(frozen=True)
class Row:
    """A clip in the list.

    Parameters
    ----------
    prediction : Prediction
    categories : tuple of str
        Those by which it is found.
    outcome_codes : tuple of str
        The kinds of mistakes in the clip by which it is found, or ``right`` where there is none.
    outcome : tuple of str
        What is right and wrong about the clip, in words.
    strip : Markup
        Truth and prediction in one small figure.
    timeline : Timeline, optional
        Everything else, of clips that are shown in detail: its `media`, a :class:`pipeline.report.media.ClipMedia`, and
        what the task's own template draws.
    """

    prediction: Prediction
    categories: tuple[str, ...]
    outcome_codes: tuple[str, ...]
    outcome: tuple[str, ...]
    strip: Markup
    timeline: Any = None


@dataclass(frozen=True)
class Explorer:
    """The rows of the page in its order, of each split how many clips are not among them, and all outcome codes."""

    rows: tuple[Row, ...]
    num_left_out: dict[str, int]
    outcomes: tuple[str, ...]

    @property
    def num_detailed(self) -> int:
        """Clips that are shown in detail."""
        return sum(row.timeline is not None for row in self.rows)

    @property
    def has_media(self) -> bool:
        """Whether there is a picture or a sound of any of them."""
        shown = [row.timeline.media for row in self.rows if row.timeline]
        return any(media.has_pictures or media.spectrogram for media in shown)

    def count(self, key: str) -> dict[str, int]:
        """Return how many rows there are of each ``category``, ``split`` or ``outcome``; every outcome is there."""
        if key == "outcome":
            counts = Counter(code for row in self.rows for code in row.outcome_codes)
            return {code: counts[code] for code in self.outcomes}
        if key == "category":
            return dict(Counter(name for row in self.rows for name in row.categories))
        return dict(Counter(row.prediction.clip.split for row in self.rows))


def build_explorer(run: Run, kinds: Iterable[str], build_row: Callable[[Any, bool], Row]) -> Explorer:
    """List the scored clips, `report.num_clips` of them in detail.

    Parameters
    ----------
    run : Run
    kinds : iterable of str
        The codes of mistakes.
    build_row : callable
        From a prediction, and whether it is shown in detail, to its row. Rows in detail are made side by side.
    """
    listing = list_clips(run.predictions, run.params.report.num_clips)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        detailed = pool.map(lambda prediction: build_row(prediction, True), listing.detailed)
        rows = (*detailed, *(build_row(prediction, False) for prediction in listing.others))
    return Explorer(rows, listing.num_left_out, (RIGHT, *kinds))

"""Predictions as text: a table, JSON, CSV and WebVTT. Names of files and categories are data and are escaped."""

import csv
import html
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from pipeline.prediction.videos import VideoPrediction

MAX_NAME_WIDTH = 60
RANDOM_REMARK = "random weights"
"""Why a viewer should believe nothing of it; the notice says more where there is room."""


@dataclass(frozen=True)
class Failure:
    """A file of which nothing can be said: `reason` is one of :data:`pipeline.media.container.REASONS`, or ``other``.

    ``output``: what is said of it could not be written in one of the forms.
    """

    path: Path
    reason: str
    message: str


@dataclass(frozen=True)
class Cue:
    """A stretch of time with what a player shows: words, and behind them probabilities."""

    start_seconds: float
    end_seconds: float
    words: str
    probabilities: tuple[float, ...]


def printable(text: object) -> str:
    r"""Return text of which no character controls a terminal or breaks a line; those are written as escapes.

    >>> printable("a\nb\x1b[2J")
    'a\\nb\\x1b[2J'
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in str(text)
    )


class Wording(ABC):
    """How the predictions of a task are written as text."""

    schema: ClassVar[str]
    """Of the JSON document."""
    subject: ClassVar[str]
    """What the cues of a WebVTT file are."""
    csv_columns: ClassVar[tuple[str, ...]]
    """Those of :meth:`csv_cells`."""
    table_heading: ClassVar[str]
    table_nothing: ClassVar[str]
    """What stands below the heading where there is no event."""

    @abstractmethod
    def table_cells(self, event: Any) -> str:
        """Return what the table says of an event, behind its times."""

    @abstractmethod
    def csv_cells(self, event: Any) -> tuple[str, ...]:
        """Return what the CSV says of an event, between its times and the notice."""

    @abstractmethod
    def cues(self, prediction: Any) -> list[Cue]:
        """Return what a player shows, in order of time."""

    def table_header(self, paths: Sequence[Path]) -> str:
        """Return the line above the table."""
        return f"{'file':{_name_width(paths)}}  {'start':>9}  {'end':>9}  {self.table_heading}"

    def table_rows(self, prediction: VideoPrediction, paths: Sequence[Path]) -> list[str]:
        """Return a line per event, times in seconds; one without times where there is none."""
        name = f"{printable(prediction.path):{_name_width(paths)}}"
        rows = [
            f"{name}  {event.start_seconds:9.2f}  {event.end_seconds:9.2f}  {self.table_cells(event)}"
            for event in prediction.events
        ]
        return rows or [f"{name}  {'–':>9}  {'–':>9}  {self.table_nothing}"]

    def to_json(
        self,
        facts: dict[str, Any],
        notice: str,
        warnings: Sequence[str],
        predictions: Sequence[VideoPrediction],
        failures: Sequence[Failure],
    ) -> str:
        """Return everything as JSON; characters beyond ASCII are escaped, since a file's name may not be text."""
        document = {
            "schema": self.schema,
            "notice": notice,
            "model": facts,
            "warnings": list(warnings),
            "videos": [_video(prediction) for prediction in predictions],
            "errors": [
                {"file": str(failure.path), "reason": failure.reason, "message": failure.message}
                for failure in failures
            ],
        }
        return json.dumps(document, indent=2, allow_nan=False) + "\n"

    def to_csv(self, predictions: Sequence[VideoPrediction], notice: str) -> str:
        """Return a row per event."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["file", "start_seconds", "end_seconds", *self.csv_columns, "notice"])
        for prediction in predictions:
            name = str(prediction.path).encode("utf-8", "backslashreplace").decode()
            for event in prediction.events:
                times = round(event.start_seconds, 6), round(event.end_seconds, 6)
                writer.writerow([name, *times, *self.csv_cells(event), notice])
        return text.getvalue()

    def to_vtt(self, prediction: VideoPrediction, model: str, notice: str) -> str:
        """Return the cues as WebVTT; random weights are also said in them, where viewers see it."""
        notes = [f"{printable(prediction.path.name)}: {self.subject}", model, notice]
        blocks = ["WEBVTT", "\n".join(["NOTE", *(html.escape(note, quote=False) for note in notes if note)])]
        for cue in self.cues(prediction):
            words = html.escape(printable(cue.words), quote=False)
            remarks = [*(f"{value:.2f}" for value in cue.probabilities), *([RANDOM_REMARK] if notice else [])]
            blocks.append(
                f"{_vtt_time(cue.start_seconds)} --> {_vtt_time(cue.end_seconds)}\n{words} ({', '.join(remarks)})"
            )
        return "\n\n".join(blocks) + "\n"


def _name_width(paths: Sequence[Path]) -> int:
    """Return the width of the column of names; only names that are longer than it stick out."""
    return min(MAX_NAME_WIDTH, max(len(printable(path)) for path in paths))


def _video(prediction: VideoPrediction) -> dict[str, Any]:
    return {
        "file": str(prediction.path),
        "duration_seconds": round(prediction.duration_seconds, 3),
        "warnings": list(prediction.warnings),
        "events": [_rounded(asdict(event)) for event in prediction.events],
        "segments": [_rounded(asdict(segment)) for segment in prediction.segments],
    }


def _rounded(value: Any) -> Any:
    """Return JSON values with six digits behind the point."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [_rounded(each) for each in value]
    return round(value, 6) if isinstance(value, float) else value


def _vtt_time(seconds: float) -> str:
    """Return hours, minutes, seconds and milliseconds.

    >>> _vtt_time(3725.5)
    '01:02:05.500'
    """
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}"

"""Predictions as text: a table, JSON, CSV and WebVTT. Names of files and categories are data and are escaped."""

import csv
import html
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.prediction.events import VideoPrediction

SCHEMA = "avel-predictions/1"
CSV_COLUMNS = ("file", "start_seconds", "end_seconds", "category", "relevance", "notice")
MAX_NAME_WIDTH = 60


@dataclass(frozen=True)
class Failure:
    """A file of which nothing can be said: `reason` is one of :data:`pipeline.media.container.REASONS`, or ``other``.

    ``output``: what is said of it could not be written in one of the forms.
    """

    path: Path
    reason: str
    message: str


def printable(text: object) -> str:
    r"""Return text of which no character controls a terminal or breaks a line; those are written as escapes.

    >>> printable("a\nb\x1b[2J")
    'a\\nb\\x1b[2J'
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in str(text)
    )


def table_header(paths: Sequence[Path]) -> str:
    """Return the line above the table."""
    return f"{'file':{_name_width(paths)}}  {'start':>9}  {'end':>9}  {'relevance':>9}  category"


def table_rows(prediction: VideoPrediction, paths: Sequence[Path]) -> list[str]:
    """Return a line per event, times in seconds; one without times where there is none."""
    name = f"{printable(prediction.path):{_name_width(paths)}}"
    rows = [
        f"{name}  {event.start_seconds:9.2f}  {event.end_seconds:9.2f}  {event.relevance:9.2f}  "
        f"{printable(event.category)}"
        for event in prediction.events
    ]
    return rows or [f"{name}  {'–':>9}  {'–':>9}  {'–':>9}  no event"]


def _name_width(paths: Sequence[Path]) -> int:
    """Return the width of the column of names; only names that are longer than it stick out."""
    return min(MAX_NAME_WIDTH, max(len(printable(path)) for path in paths))


def to_json(
    facts: dict[str, Any],
    notice: str,
    warnings: Sequence[str],
    predictions: Sequence[VideoPrediction],
    failures: Sequence[Failure],
) -> str:
    """Return everything as JSON; characters beyond ASCII are escaped, since a file's name may not be text."""
    document = {
        "schema": SCHEMA,
        "notice": notice,
        "model": facts,
        "warnings": list(warnings),
        "videos": [_video(prediction) for prediction in predictions],
        "errors": [
            {"file": str(failure.path), "reason": failure.reason, "message": failure.message} for failure in failures
        ],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _video(prediction: VideoPrediction) -> dict[str, Any]:
    return {
        "file": str(prediction.path),
        "duration_seconds": round(prediction.duration_seconds, 3),
        "warnings": list(prediction.warnings),
        "events": [_rounded(asdict(event)) for event in prediction.events],
        "segments": [_rounded(asdict(segment)) for segment in prediction.segments],
    }


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 6) if isinstance(value, float) else value for key, value in values.items()}


def to_csv(predictions: Sequence[VideoPrediction], notice: str) -> str:
    """Return a row per event."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for prediction in predictions:
        name = str(prediction.path).encode("utf-8", "backslashreplace").decode()
        for event in prediction.events:
            writer.writerow(
                [
                    name,
                    round(event.start_seconds, 6),
                    round(event.end_seconds, 6),
                    event.category,
                    f"{event.relevance:.6f}",
                    notice,
                ]
            )
    return text.getvalue()


def to_vtt(prediction: VideoPrediction, model: str, notice: str) -> str:
    """Return the events as WebVTT, a cue each; random weights are also said in the cues, which viewers see."""
    notes = [f"{printable(prediction.path.name)}: audio-visual events", model, notice]
    blocks = ["WEBVTT", "\n".join(["NOTE", *(html.escape(note, quote=False) for note in notes if note)])]
    for event in prediction.events:
        category = html.escape(printable(event.category), quote=False)
        remark = ", random weights" if notice else ""
        blocks.append(
            f"{_vtt_time(event.start_seconds)} --> {_vtt_time(event.end_seconds)}\n"
            f"{category} ({event.relevance:.2f}{remark})"
        )
    return "\n\n".join(blocks) + "\n"


def _vtt_time(seconds: float) -> str:
    """Return hours, minutes, seconds and milliseconds.

    >>> _vtt_time(3725.5)
    '01:02:05.500'
    """
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}"

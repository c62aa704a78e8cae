"""What a run leaves behind for the tables: ``record.json`` and, unless it failed, ``counts.csv``."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from pipeline.core.errors import PipelineError, explain
from pipeline.core.files import read_csv, write_csv, write_json

MAX_REASON_LENGTH = 300
COLUMNS = ("metric", "video_id", "total", "correct", "correct_test_selected")


@dataclass(frozen=True)
class Counts:
    """What one score is made of, per video of the test split.

    Parameters
    ----------
    video_ids : tuple of str, length V
        Sorted.
    total : np.ndarray, shape (V,), int
        All segments, or clips.
    correct, correct_test_selected : np.ndarray, shape (V,), int or float
        Segments that are right, or the sum of its clips' scores, by the epoch that the recipe keeps and by the best on
        test.
    """

    video_ids: tuple[str, ...]
    total: np.ndarray
    correct: np.ndarray
    correct_test_selected: np.ndarray


@dataclass(frozen=True)
class Record:
    """How the training of one row with one seed came out.

    Parameters
    ----------
    row : str
    seed : int
    reason : str
        Why there is no score; empty if there is one. The other fields are then 0 or empty.
    num_clips, num_clips_expected : int
        Clips of the test split that are scored, and that the manifest lists.
    best_epoch, test_selected_epoch : int
        From 1.
    weights : mapping of str to str
        By modality, what the features were made with.
    """

    row: str
    seed: int
    reason: str
    num_clips: int = 0
    num_clips_expected: int = 0
    best_epoch: int = 0
    test_selected_epoch: int = 0
    weights: Mapping[str, str] = field(default_factory=dict)


def write_record(output: Path, record: Record, counts: Mapping[str, Counts] | None) -> None:
    """Write what there is of a run into the folder `output`; `counts` are by the name of the score."""
    if counts is not None:
        rows = (
            dict(zip(COLUMNS, (metric, *values), strict=True))
            for metric, of in counts.items()
            for values in zip(of.video_ids, of.total, of.correct, of.correct_test_selected, strict=True)
        )
        write_csv(output / "counts.csv", COLUMNS, rows)
    write_json(output / "record.json", asdict(record))


def failed(row: str, seed: int, reason: str) -> Record:
    """Return the record of a run without a score; the reason becomes one line."""
    return Record(row, seed, " ".join(reason.split())[:MAX_REASON_LENGTH] or "no reason given")


def load_record(folder: Path, metrics: Iterable[str]) -> tuple[Record, dict[str, Counts] | None]:
    """Read what :func:`write_record` wrote; of a folder that is not there, that the run was not made.

    Parameters
    ----------
    folder : Path
    metrics : iterable of str
        The scores whose counts are read.

    Raises
    ------
    PipelineError
        If a file is damaged, or the counts of a score are missing.
    """
    path = folder / "record.json"
    row, _, seed = folder.name.rpartition("-")
    if not path.is_file():
        return failed(row, int(seed), "not run yet"), None
    try:
        record = Record(**json.loads(path.read_text(encoding="utf-8")))
        return record, None if record.reason else _load_counts(folder / "counts.csv", metrics)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            explain(
                folder,
                expected="record.json and counts.csv of a run",
                found=type(error).__name__,
                remedy="delete the folder and run `dvc repro tables/dvc.yaml`",
            )
        ) from error


def _load_counts(path: Path, metrics: Iterable[str]) -> dict[str, Counts]:
    rows: dict[str, list[dict[str, str]]] = {}
    for row in read_csv(path):
        rows.setdefault(row["metric"], []).append(row)
    return {
        metric: Counts(
            tuple(row["video_id"] for row in rows[metric]),
            *(np.array([_number(row[column]) for row in rows[metric]]) for column in COLUMNS[2:]),
        )
        for metric in metrics
    }


def _number(text: str) -> int | float:
    """Return the number that stands for one: a count is written without a point.

    Raises
    ------
    ValueError
        If the text is no finite number.
    """
    number = int(text) if text.isdecimal() else float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number

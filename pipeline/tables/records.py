"""What a run leaves behind for the tables: ``record.json`` and, unless it failed, ``counts.csv``."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from pipeline.core.errors import PipelineError, explain
from pipeline.core.files import read_csv, write_csv, write_json

MAX_REASON_LENGTH = 300
COLUMNS = ("video_id", "total", "correct", "correct_test_selected")


@dataclass(frozen=True)
class Counts:
    """Segments of the test split per video.

    Parameters
    ----------
    video_ids : tuple of str, length V
        Sorted.
    total : np.ndarray, shape (V,), int
    correct, correct_test_selected : np.ndarray, shape (V,), int
        Predicted right by the best epoch on validation, and by that on test.
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


def write_record(output: Path, record: Record, counts: Counts | None) -> None:
    """Write what there is of a run into the folder `output`."""
    if counts is not None:
        columns = (counts.video_ids, counts.total, counts.correct, counts.correct_test_selected)
        rows = (dict(zip(COLUMNS, values, strict=True)) for values in zip(*columns, strict=True))
        write_csv(output / "counts.csv", COLUMNS, rows)
    write_json(output / "record.json", asdict(record))


def failed(row: str, seed: int, reason: str) -> Record:
    """Return the record of a run without a score; the reason becomes one line."""
    return Record(row, seed, " ".join(reason.split())[:MAX_REASON_LENGTH] or "no reason given")


def load_record(folder: Path) -> tuple[Record, Counts | None]:
    """Read what :func:`write_record` wrote; of a folder that is not there, that the run was not made.

    Raises
    ------
    PipelineError
        If a file is damaged, or the counts are missing.
    """
    path = folder / "record.json"
    row, _, seed = folder.name.rpartition("-")
    if not path.is_file():
        return failed(row, int(seed), "not run yet"), None
    try:
        record = Record(**json.loads(path.read_text(encoding="utf-8")))
        return record, None if record.reason else _load_counts(read_csv(folder / "counts.csv"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            explain(
                folder,
                expected="record.json and counts.csv of a run",
                found=type(error).__name__,
                remedy="delete the folder and run `dvc repro tables/dvc.yaml`",
            )
        ) from error


def _load_counts(rows: Sequence[Mapping[str, str]]) -> Counts:
    total, correct, on_test = (np.array([int(row[column]) for row in rows]) for column in COLUMNS[1:])
    return Counts(tuple(row["video_id"] for row in rows), total, correct, on_test)

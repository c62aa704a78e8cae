"""The scores of a row over its seeds, and how two rows compare."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.core.errors import PipelineError, explain
from pipeline.metrics.statistics import Comparison, Interval, Resampling, compare, mean_and_deviation, seeds_interval
from pipeline.params.schema import EvaluateParams
from pipeline.tables.records import Counts, Record, load_record


@dataclass(frozen=True)
class Score:
    """Segment accuracy over seeds, in percent; no deviation of a single one."""

    mean: float
    deviation: float | None
    interval: Interval


@dataclass(frozen=True)
class RowScores:
    """What the finished seeds of a row scored, by the two ways of choosing the epoch.

    Parameters
    ----------
    row : str
    records : tuple of Record
        Of every seed, finished or not.
    validation, test : Score or None
        With the best epoch on validation, and with the best on test; None if no seed is finished.
    """

    row: str
    records: tuple[Record, ...]
    counts: tuple[Counts, ...]
    validation: Score | None
    test: Score | None

    @property
    def finished(self) -> list[Record]:
        """The records of the seeds that have a score."""
        return [record for record in self.records if not record.reason]

    @property
    def holes(self) -> list[Record]:
        """The records of the seeds that have none."""
        return [record for record in self.records if record.reason]


def score_row(row: str, runs: Path, seeds: Sequence[int], params: EvaluateParams) -> RowScores:
    """Read the runs of a row and score them together.

    Parameters
    ----------
    row : str
    runs : Path
        Folder with a folder ``<row>-<seed>`` per run.
    seeds : sequence of int
    params : EvaluateParams
        Of the intervals.

    Raises
    ------
    PipelineError
        If a record is damaged, or the runs were scored on different videos.
    """
    loaded = [load_record(runs / f"{row}-{seed}") for seed in seeds]
    counts = tuple(of_run for _, of_run in loaded if of_run is not None)
    require_same_videos(row, counts)
    return RowScores(
        row,
        tuple(record for record, _ in loaded),
        counts,
        _score([run.correct for run in counts], counts, params),
        _score([run.correct_test_selected for run in counts], counts, params),
    )


def compare_rows(first: RowScores, second: RowScores, params: EvaluateParams) -> Comparison | None:
    """Return how far `first` is above `second` with the best epochs on validation; None if one has no score.

    Raises
    ------
    PipelineError
        If they were scored on different videos.
    """
    if not first.counts or not second.counts:
        return None
    require_same_videos(f"{first.row}, {second.row}", [*first.counts, *second.counts])
    return compare(
        np.stack([run.correct for run in first.counts]),
        np.stack([run.correct for run in second.counts]),
        first.counts[0].total,
        Resampling(**params.model_dump()),
    )


def require_same_videos(subject: str, counts: Sequence[Counts]) -> None:
    """Check that runs were scored on the same videos.

    Raises
    ------
    PipelineError
        If not.
    """
    for run in counts[1:]:
        if run.video_ids != counts[0].video_ids or not np.array_equal(run.total, counts[0].total):
            raise PipelineError(
                explain(
                    f"runs of {subject}",
                    expected="the same test videos",
                    found="different ones",
                    remedy="run `dvc repro tables/dvc.yaml`, which renews what is out of date",
                )
            )


def _score(correct: Sequence[np.ndarray], counts: Sequence[Counts], params: EvaluateParams) -> Score | None:
    if not counts:
        return None
    total = counts[0].total
    accuracies = [100.0 * float(of_run.sum()) / float(total.sum()) for of_run in correct]
    mean, deviation = mean_and_deviation(accuracies) if len(accuracies) > 1 else (accuracies[0], None)
    interval = seeds_interval(np.stack(correct), total, Resampling(**params.model_dump()))
    return Score(mean, deviation, interval)

"""The scores of a row over its seeds, and how two rows compare."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.core.errors import PipelineError, explain
from pipeline.metrics.statistics import Comparison, Interval, Resampling, compare, mean_and_deviation, seeds_interval
from pipeline.params.schema import EvaluateParams
from pipeline.tables.records import Counts, Record, load_record


@dataclass(frozen=True)
class Score:
    """A score over seeds, in percent; no deviation of a single one."""

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
    counts : tuple of mapping of str to Counts
        Of the finished ones, by the name of the score.
    validation, test : mapping of str to Score
        With the epoch that the recipe keeps, as a rule the best on validation, and with the best on test, by name;
        empty if no seed is finished.
    """

    row: str
    records: tuple[Record, ...]
    counts: tuple[Mapping[str, Counts], ...]
    validation: Mapping[str, Score]
    test: Mapping[str, Score]

    @property
    def finished(self) -> list[Record]:
        """The records of the seeds that have a score."""
        return [record for record in self.records if not record.reason]

    @property
    def holes(self) -> list[Record]:
        """The records of the seeds that have none."""
        return [record for record in self.records if record.reason]


def score_row(row: str, runs: Path, seeds: Sequence[int], metrics: Iterable[str], params: EvaluateParams) -> RowScores:
    """Read the runs of a row and score them together.

    Parameters
    ----------
    row : str
    runs : Path
        Folder with a folder ``<row>-<seed>`` per run.
    seeds : sequence of int
    metrics : iterable of str
        The names of the scores.
    params : EvaluateParams
        Of the intervals.

    Raises
    ------
    PipelineError
        If a record is damaged, or the runs were scored on different videos.
    """
    names = tuple(metrics)
    loaded = [load_record(runs / f"{row}-{seed}", names) for seed in seeds]
    counts = tuple(of_run for _, of_run in loaded if of_run is not None)
    require_same_videos(row, counts)
    validation, test = {}, {}
    for metric in names if counts else ():
        total = counts[0][metric].total
        validation[metric] = _score([run[metric].correct for run in counts], total, params)
        test[metric] = _score([run[metric].correct_test_selected for run in counts], total, params)
    return RowScores(row, tuple(record for record, _ in loaded), counts, validation, test)


def compare_rows(first: RowScores, second: RowScores, metric: str, params: EvaluateParams) -> Comparison | None:
    """Return how far `first` is above `second` with the epochs that recipes keep; None if one has no score.

    Raises
    ------
    PipelineError
        If they were scored on different videos.
    """
    if not first.counts or not second.counts:
        return None
    require_same_videos(f"{first.row}, {second.row}", [*first.counts, *second.counts])
    return compare(
        np.stack([run[metric].correct for run in first.counts]),
        np.stack([run[metric].correct for run in second.counts]),
        first.counts[0][metric].total,
        _resampling(params),
    )


def require_same_videos(subject: str, counts: Sequence[Mapping[str, Counts]]) -> None:
    """Check that runs were scored on the same videos, each score by itself.

    Raises
    ------
    PipelineError
        If not.
    """
    if any(not _are_of_the_same_videos(run[metric], counts[0][metric]) for run in counts[1:] for metric in run):
        raise PipelineError(
            explain(
                f"runs of {subject}",
                expected="the same test videos",
                found="different ones",
                remedy="run `dvc repro tables/dvc.yaml`, which renews what is out of date",
            )
        )


def _are_of_the_same_videos(first: Counts, second: Counts) -> bool:
    return first.video_ids == second.video_ids and np.array_equal(first.total, second.total)


def _resampling(params: EvaluateParams) -> Resampling:
    return Resampling(**params.model_dump(include=set(EvaluateParams.model_fields)))


def _score(correct: Sequence[np.ndarray], total: np.ndarray, params: EvaluateParams) -> Score:
    scores = [100.0 * float(of_run.sum()) / float(total.sum()) for of_run in correct]
    mean, deviation = mean_and_deviation(scores) if len(scores) > 1 else (scores[0], None)
    interval = seeds_interval(np.stack(correct), total, _resampling(params))
    return Score(mean, deviation, interval)

import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.metrics.statistics import Resampling, compare, seeds_interval
from pipeline.params.schema import EvaluateParams
from pipeline.tables.records import Counts, load_record, write_record
from pipeline.tables.scores import compare_rows, score_row

PARAMS = EvaluateParams(num_resamples=200, confidence=0.9, seed=0)
RESAMPLING = Resampling(num_resamples=200, confidence=0.9, seed=0)


def test_a_row_is_scored_over_its_finished_seeds(write_runs: Callable[..., Path]) -> None:
    runs = write_runs(psp_full=[70, 75, 71.5], test_above=2)
    scores = score_row("psp_full", runs, [1, 2, 3], PARAMS)
    assert scores.validation.mean == pytest.approx(statistics.mean([70, 75, 71.5]))
    assert scores.validation.deviation == pytest.approx(statistics.stdev([70, 75, 71.5]))
    assert scores.test.mean == pytest.approx(scores.validation.mean + 2)
    correct = np.stack([run.correct for run in scores.counts])
    expected = seeds_interval(correct, scores.counts[0].total, RESAMPLING)
    assert scores.validation.interval == expected
    assert (len(scores.finished), scores.holes) == (3, [])


def test_seeds_without_a_score_are_holes(write_runs: Callable[..., Path]) -> None:
    runs = write_runs(psp_full=[70, "killed by SIGKILL", None, 74])
    scores = score_row("psp_full", runs, [1, 2, 3, 4], PARAMS)
    assert scores.validation.mean == 72
    assert [(hole.seed, hole.reason) for hole in scores.holes] == [(2, "killed by SIGKILL"), (3, "not run yet")]


def test_one_seed_has_no_deviation_and_none_no_score(write_runs: Callable[..., Path]) -> None:
    runs = write_runs(psp_full=[70], cpsp_full=["out of memory"])
    one, none = (score_row(row, runs, [1], PARAMS) for row in ("psp_full", "cpsp_full"))
    assert (one.validation.mean, one.validation.deviation) == (70, None)
    assert (none.validation, none.test) == (None, None)
    assert compare_rows(one, none, PARAMS) is None
    assert compare_rows(none, one, PARAMS) is None


def test_rows_are_compared_by_the_best_epochs_on_validation(write_runs: Callable[..., Path]) -> None:
    runs = write_runs(psp_full=[70, 71], test_above=3)
    write_runs(cpsp_full=[75, 76, 77], test_above=0)
    first, second = (score_row(row, runs, [1, 2, 3], PARAMS) for row in ("cpsp_full", "psp_full"))
    comparison = compare_rows(first, second, PARAMS)
    assert comparison.difference == pytest.approx(76 - 70.5)
    stacked = [np.stack([run.correct for run in row.counts]) for row in (first, second)]
    total = first.counts[0].total
    assert comparison == compare(*stacked, total, RESAMPLING)


def test_runs_on_other_videos_are_refused(write_runs: Callable[..., Path]) -> None:
    runs = write_runs(psp_full=[70, 71], cpsp_full=[70])
    record, counts = load_record(runs / "psp_full-2")
    other = Counts(("other", *counts.video_ids[1:]), counts.total, counts.correct, counts.correct_test_selected)
    write_record(runs / "psp_full-2", record, other)
    with pytest.raises(PipelineError, match=r"runs of psp_full: expected the same test videos.*dvc repro tables"):
        score_row("psp_full", runs, [1, 2], PARAMS)
    with pytest.raises(PipelineError, match="runs of psp_full, cpsp_full: expected the same test videos"):
        compare_rows(score_row("psp_full", runs, [2], PARAMS), score_row("cpsp_full", runs, [1], PARAMS), PARAMS)

import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.metrics.statistics import Resampling, compare, seeds_interval
from pipeline.params.schema import EvaluateParams, ParsingEvaluateParams
from pipeline.tables.metrics import METRICS
from pipeline.tables.records import Counts, load_record, write_record
from pipeline.tables.scores import RowScores, compare_rows, score_row

PARAMS = EvaluateParams(num_resamples=200, confidence=0.9, seed=0)
OF_PARSING = ParsingEvaluateParams(**PARAMS.model_dump(), gate="own")
RESAMPLING = Resampling(num_resamples=200, confidence=0.9, seed=0)
ACCURACY = "segment_accuracy"


def scores_of(row: str, runs: Path, seeds: list[int]) -> RowScores:
    return score_row(row, runs, seeds, [ACCURACY], PARAMS)


def test_a_row_is_scored_over_its_finished_seeds(write_runs: Callable[..., Path]) -> None:
    runs = write_runs(psp_full=[70, 75, 71.5], test_above=2)
    scores = scores_of("psp_full", runs, [1, 2, 3])
    (validation,), (test,) = scores.validation.values(), scores.test.values()
    assert validation.mean == pytest.approx(statistics.mean([70, 75, 71.5]))
    assert validation.deviation == pytest.approx(statistics.stdev([70, 75, 71.5]))
    assert test.mean == pytest.approx(validation.mean + 2)
    correct = np.stack([run[ACCURACY].correct for run in scores.counts])
    expected = seeds_interval(correct, scores.counts[0][ACCURACY].total, RESAMPLING)
    assert validation.interval == expected
    assert (len(scores.finished), scores.holes) == (3, [])


def test_each_of_several_scores_has_its_own_mean_and_interval(write_runs: Callable[..., Path]) -> None:
    runs = write_runs(task="parsing", han_weak=[50, 53], test_above=2)
    scores = score_row("han_weak", runs, [1, 2], METRICS["parsing"], OF_PARSING)
    assert list(scores.validation) == list(scores.test) == list(METRICS["parsing"])
    for place, name in enumerate(METRICS["parsing"], -3):
        score = scores.validation[name]
        assert score.mean == pytest.approx(51.5 + place)
        assert score.deviation == pytest.approx(statistics.stdev([50, 53]))
        assert score.interval.low < score.mean < score.interval.high
        assert scores.test[name].mean == pytest.approx(score.mean + 2)
        correct = np.stack([run[name].correct for run in scores.counts])
        assert score.interval == seeds_interval(correct, scores.counts[0][name].total, RESAMPLING)


def test_rows_of_parsing_are_compared_by_the_score_that_is_asked_for(write_runs: Callable[..., Path]) -> None:
    runs = write_runs(task="parsing", han_weak=[50, 53], mmil_cpsp_weak=[60, 61])
    han, cpsp = (score_row(row, runs, [1, 2], METRICS["parsing"], OF_PARSING) for row in ("han_weak", "mmil_cpsp_weak"))
    comparison = compare_rows(cpsp, han, "event_audio", OF_PARSING)
    assert comparison.difference == pytest.approx(60.5 - 51.5)
    stacked = [np.stack([run["event_audio"].correct for run in row.counts]) for row in (cpsp, han)]
    assert comparison == compare(*stacked, han.counts[0]["event_audio"].total, RESAMPLING)
    assert comparison != compare_rows(cpsp, han, "event_visual", OF_PARSING)


def test_seeds_without_a_score_are_holes(write_runs: Callable[..., Path]) -> None:
    runs = write_runs(psp_full=[70, "killed by SIGKILL", None, 74])
    scores = scores_of("psp_full", runs, [1, 2, 3, 4])
    assert scores.validation[ACCURACY].mean == 72
    assert [(hole.seed, hole.reason) for hole in scores.holes] == [(2, "killed by SIGKILL"), (3, "not run yet")]


def test_one_seed_has_no_deviation_and_none_no_score(write_runs: Callable[..., Path]) -> None:
    runs = write_runs(psp_full=[70], cpsp_full=["out of memory"])
    one, none = (scores_of(row, runs, [1]) for row in ("psp_full", "cpsp_full"))
    assert (one.validation[ACCURACY].mean, one.validation[ACCURACY].deviation) == (70, None)
    assert (none.validation, none.test) == ({}, {})
    assert compare_rows(one, none, ACCURACY, PARAMS) is None
    assert compare_rows(none, one, ACCURACY, PARAMS) is None


def test_rows_are_compared_by_the_best_epochs_on_validation(write_runs: Callable[..., Path]) -> None:
    runs = write_runs(psp_full=[70, 71], test_above=3)
    write_runs(cpsp_full=[75, 76, 77], test_above=0)
    first, second = (scores_of(row, runs, [1, 2, 3]) for row in ("cpsp_full", "psp_full"))
    comparison = compare_rows(first, second, ACCURACY, PARAMS)
    assert comparison.difference == pytest.approx(76 - 70.5)
    stacked = [np.stack([run[ACCURACY].correct for run in row.counts]) for row in (first, second)]
    total = first.counts[0][ACCURACY].total
    assert comparison == compare(*stacked, total, RESAMPLING)


def test_runs_on_other_videos_are_refused(write_runs: Callable[..., Path]) -> None:
    runs = write_runs(psp_full=[70, 71], cpsp_full=[70])
    record, counts = load_record(runs / "psp_full-2", [ACCURACY])
    of = counts[ACCURACY]
    other = Counts(("other", *of.video_ids[1:]), of.total, of.correct, of.correct_test_selected)
    write_record(runs / "psp_full-2", record, {ACCURACY: other})
    with pytest.raises(PipelineError, match=r"runs of psp_full: expected the same test videos.*dvc repro tables"):
        scores_of("psp_full", runs, [1, 2])
    with pytest.raises(PipelineError, match="runs of psp_full, cpsp_full: expected the same test videos"):
        compare_rows(scores_of("psp_full", runs, [2]), scores_of("cpsp_full", runs, [1]), ACCURACY, PARAMS)


def test_every_score_is_of_the_same_videos(write_runs: Callable[..., Path]) -> None:
    runs = write_runs(task="parsing", han_weak=[50, 53])
    record, counts = load_record(runs / "han_weak-2", METRICS["parsing"])
    last = list(counts)[-1]
    of = counts[last]
    fewer = Counts(of.video_ids, of.total + 1, of.correct, of.correct_test_selected)
    write_record(runs / "han_weak-2", record, {**counts, last: fewer})
    with pytest.raises(PipelineError, match="runs of han_weak: expected the same test videos"):
        score_row("han_weak", runs, [1, 2], METRICS["parsing"], OF_PARSING)

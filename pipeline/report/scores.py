"""The parts of the page about scores that every task has: what was not scored, how training went, what was sure.

Each is a plain value for the template.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.report.calibration import calibrate
from pipeline.report.figures import Mark, Series, line_chart, reliability_diagram
from pipeline.report.run import MODALITIES, Run

SPLIT_NAMES = {"test": "test", "val": "validation"}

_OTHER_COLUMNS = {"gradient_norm": "Gradient norm", "learning_rate": "Learning rate"}


def list_unscored(run: Run) -> list[dict[str, str]]:
    """Return the test clips without a score, and what the ledgers say about their videos."""
    scored = {prediction.clip.clip_id for prediction in run.predictions["test"]}
    rows = []
    for clip in run.test_clips:
        if clip.clip_id not in scored:
            reasons = [f"{name}: {run.features[name].ledger[clip.video_id].reason}" for name in MODALITIES]
            category = ", ".join(run.categories_of(clip))
            rows.append({"clip_id": clip.clip_id, "category": category, "reasons": ", ".join(reasons)})
    return rows


def draw_reliability_of(name: str, probability: np.ndarray, is_event: np.ndarray) -> dict[str, Any]:
    """Return a diagram of probabilities of an event, its error, and how many segments it is about.

    Parameters
    ----------
    name : str
        Whose they are.
    probability : np.ndarray, shape (N,), float
        0 to 1.
    is_event : np.ndarray, shape (N,), bool
    """
    calibration = calibrate(probability, is_event)
    return {
        "name": name,
        "figure": reliability_diagram(calibration, title=f"Reliability on {name}"),
        "error": calibration.expected_error,
        "num_segments": int(calibration.counts.sum()),
    }


def draw_charts(run: Run, score_title: str) -> list[dict[str, Any]]:
    """Return the score and every other column of the history as a chart, with the selected epochs marked."""
    history = run.history
    epochs = [epoch for epoch in history["epoch"] if epoch is not None]
    best, test_best = run.metrics["best_epoch"], run.metrics["test_selected_epoch"]
    marks, plain = [], []
    if best is not None:
        marks.append(Mark(best, f"epoch {best:g}, selected"))
        plain.append(Mark(best))
    if test_best is not None and test_best != best and "test_score" in history:
        marks.append(Mark(test_best, f"epoch {test_best:g}, best on test", "second"))
    scores = [Series("validation", history["validation_score"])]
    if "test_score" in history:
        scores.append(Series("test", history["test_score"], "second"))
    figure = line_chart(epochs, scores, marks, title=score_title)
    charts: list[dict[str, Any]] = [{"title": score_title, "series": scores, "figure": figure}]
    for column in _chart_columns(history):
        series = [Series("training" if column.startswith("train_") else column, history[column])]
        title = _chart_title(column)
        charts.append({"title": title, "series": [], "figure": line_chart(epochs, series, plain, title=title)})
    return charts


def _chart_columns(history: Mapping[str, Sequence[float | None]]) -> list[str]:
    terms = [column for column in history if column.startswith("train_") and column != "train_loss"]
    return ["train_loss", *terms, *(column for column in _OTHER_COLUMNS if column in history)]


def _chart_title(column: str) -> str:
    if column in _OTHER_COLUMNS:
        return _OTHER_COLUMNS[column]
    term = column.removeprefix("train_")
    return "Total loss" if term == "loss" else f"Loss: {term}"

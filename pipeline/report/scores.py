"""The parts of the page about scores: what is wrong, how sure it was, what was confused, how training went.

Each is a plain value for the template.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.report.calibration import Calibration, calibrate
from pipeline.report.figures import Mark, Series, confusion_map, line_chart, reliability_diagram
from pipeline.report.mistakes import RIGHT, count_kinds, segment_kinds
from pipeline.report.run import MODALITIES, PREDICTIONS, Prediction, Run
from pipeline.report.wording import NO_VALUE
from pipeline.store.manifest import BACKGROUND

MAX_TABLE_NAMES = 40
MAX_CELL_SHARES = 12
MAX_CONFUSIONS = 12

SPLIT_NAMES = {"test": "test", "val": "validation"}

_OTHER_COLUMNS = {"gradient_norm": "Gradient norm", "learning_rate": "Learning rate"}


def list_unscored(run: Run) -> list[dict[str, str]]:
    """Return the test clips without a score, and what the ledgers say about their videos."""
    scored = {prediction.clip.clip_id for prediction in run.predictions["test"]}
    rows = []
    for clip in run.test_clips:
        if clip.clip_id not in scored:
            reasons = [f"{name}: {run.features[name].ledger[clip.video_id].reason}" for name in MODALITIES]
            rows.append({"clip_id": clip.clip_id, "category": clip.category, "reasons": ", ".join(reasons)})
    return rows


def count_mistakes(run: Run) -> list[dict[str, Any]]:
    """Return the wrong segments of each split by kind; splits without a prediction are left out."""
    rows = []
    for split in PREDICTIONS:
        of_split = run.predictions[split]
        kinds = [segment_kinds(prediction.truth, prediction.predicted) for prediction in of_split]
        counts = count_kinds(kinds)
        if of_split:
            rows.append(
                {
                    "split": SPLIT_NAMES[split],
                    "counts": counts,
                    "num_wrong": sum(counts.values()),
                    "num_segments": sum(map(len, kinds)),
                    "num_masked": _masked_mistakes(run, of_split, kinds),
                }
            )
    return rows


def _masked_mistakes(run: Run, predictions: Sequence[Prediction], kinds: Sequence[Sequence[str]]) -> int:
    """Return how many wrong segments lack a modality, so that nothing but background could be predicted."""
    return sum(
        is_masked and kind != RIGHT
        for prediction, of_clip in zip(predictions, kinds, strict=True)
        for kind, is_masked in zip(of_clip, run.is_masked(prediction.clip.video_id), strict=True)
    )


def draw_reliability(run: Run) -> list[dict[str, Any]]:
    """Return a diagram per split with predictions, over the segments that have both modalities."""
    parts = []
    for split in PREDICTIONS:
        if run.predictions[split]:
            calibration = _calibration(run, run.predictions[split])
            name = SPLIT_NAMES[split]
            figure = reliability_diagram(calibration, title=f"Reliability on {name}")
            parts.append(
                {
                    "split": name,
                    "figure": figure,
                    "error": calibration.expected_error,
                    "num_segments": int(calibration.counts.sum()),
                }
            )
    return parts


def _calibration(run: Run, predictions: Sequence[Prediction]) -> Calibration:
    pairs = [
        (relevance, truth != BACKGROUND)
        for prediction in predictions
        for relevance, truth, is_masked in zip(
            prediction.relevance, prediction.truth, run.is_masked(prediction.clip.video_id), strict=True
        )
        if not is_masked
    ]
    return calibrate(np.array([said for said, _ in pairs]), np.array([found for _, found in pairs], dtype=bool))


def tabulate_confusion(run: Run) -> dict[str, Any]:
    """Return a table of counts and row shares, or a map where there are too many names for a table."""
    names = run.names
    if len(names) > MAX_TABLE_NAMES:
        return {"names": names, "rows": [], "map": confusion_map(run.confusion, names), "with_shares": False}
    totals = run.confusion.sum(axis=1)
    shares = run.confusion / np.maximum(totals, 1)[:, np.newaxis]
    rows = [
        {
            "name": name,
            "total": int(totals[row]),
            "cells": [
                {"name": names[column], "count": int(count), "share": float(shares[row, column])}
                for column, count in enumerate(run.confusion[row])
            ],
        }
        for row, name in enumerate(names)
    ]
    return {"names": names, "rows": rows, "map": None, "with_shares": len(names) <= MAX_CELL_SHARES}


def list_confusions(run: Run) -> list[dict[str, Any]]:
    """Return the most frequent pairs of a true and another predicted name, with the share of the true one."""
    names, counts = run.names, run.confusion
    wrong = [(int(counts[row, column]), row, column) for row, column in np.argwhere(counts) if row != column]
    wrong.sort(key=lambda item: (-item[0], item[1], item[2]))
    return [
        {
            "truth": names[row],
            "prediction": names[column],
            "count": count,
            "share": 100 * count / int(counts[row].sum()),
        }
        for count, row, column in wrong[:MAX_CONFUSIONS]
    ]


def list_categories(run: Run) -> list[dict[str, Any]]:
    """Return the scores of each category and of background; None where one is not defined."""
    return [
        {
            "name": row["category"],
            "num_clips": row["num_clips"] or NO_VALUE,
            "num_segments": row["num_event_segments"],
            "segment_accuracy": float(row["segment_accuracy"]) if row["segment_accuracy"] else None,
            "category_accuracy": float(row["category_accuracy"]) if row["category_accuracy"] else None,
        }
        for row in run.per_class
    ]


def draw_charts(run: Run) -> list[dict[str, Any]]:
    """Return the accuracy and every other column of the history as a chart, with the selected epochs marked."""
    history = run.history
    epochs = [epoch for epoch in history["epoch"] if epoch is not None]
    best, test_best = run.metrics["best_epoch"], run.metrics["test_selected_epoch"]
    marks, plain = [], []
    if best is not None:
        marks.append(Mark(best, f"epoch {best:g}, selected"))
        plain.append(Mark(best))
    if test_best is not None and test_best != best and "test_score" in history:
        marks.append(Mark(test_best, f"epoch {test_best:g}, best on test", "second"))
    accuracy = [Series("validation", history["validation_score"])]
    if "test_score" in history:
        accuracy.append(Series("test", history["test_score"], "second"))
    title = "Accuracy, %"
    charts = [{"title": title, "series": accuracy, "figure": line_chart(epochs, accuracy, marks, title=title)}]
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

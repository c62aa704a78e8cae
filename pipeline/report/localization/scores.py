"""The parts of the page about the scores of localization: what is wrong, how sure it was, what was confused.

Each is a plain value for the template.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.report.localization.figures import confusion_map
from pipeline.report.localization.run import LocalizationPrediction, LocalizationRun
from pipeline.report.mistakes import RIGHT, count_kinds, segment_kinds
from pipeline.report.run import PREDICTIONS
from pipeline.report.scores import SPLIT_NAMES, draw_reliability_of
from pipeline.report.wording import NO_VALUE
from pipeline.store.manifest import BACKGROUND

MAX_TABLE_NAMES = 40
MAX_CELL_SHARES = 12
MAX_CONFUSIONS = 12


def count_mistakes(run: LocalizationRun) -> list[dict[str, Any]]:
    """Return the wrong segments of each split by kind; splits without a prediction are left out."""
    rows = []
    for split in PREDICTIONS:
        of_split = run.predictions[split]
        kinds = [segment_kinds(prediction.truth, prediction.predicted) for prediction in of_split]
        counts = count_kinds(kinds)
        if of_split:
            rows.append(
                {
                    "name": SPLIT_NAMES[split],
                    "counts": counts,
                    "num_wrong": sum(counts.values()),
                    "num_segments": sum(map(len, kinds)),
                    "num_masked": _masked_mistakes(run, of_split, kinds),
                }
            )
    return rows


def _masked_mistakes(
    run: LocalizationRun, predictions: Sequence[LocalizationPrediction], kinds: Sequence[Sequence[str]]
) -> int:
    """Return how many wrong segments lack a modality, so that nothing but background could be predicted."""
    return sum(
        is_masked and kind != RIGHT
        for prediction, of_clip in zip(predictions, kinds, strict=True)
        for kind, is_masked in zip(of_clip, run.is_masked(prediction.clip.video_id), strict=True)
    )


def draw_reliability(run: LocalizationRun) -> list[dict[str, Any]]:
    """Return a diagram per split with predictions, over the segments that have both modalities."""
    return [
        draw_reliability_of(SPLIT_NAMES[split], *_said_and_found(run, run.predictions[split]))
        for split in PREDICTIONS
        if run.predictions[split]
    ]


def _said_and_found(
    run: LocalizationRun, predictions: Sequence[LocalizationPrediction]
) -> tuple[np.ndarray, np.ndarray]:
    pairs = [
        (relevance, truth != BACKGROUND)
        for prediction in predictions
        for relevance, truth, is_masked in zip(
            prediction.relevance, prediction.truth, run.is_masked(prediction.clip.video_id), strict=True
        )
        if not is_masked
    ]
    return np.array([said for said, _ in pairs]), np.array([found for _, found in pairs], dtype=bool)


def tabulate_confusion(run: LocalizationRun) -> dict[str, Any]:
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


def list_confusions(run: LocalizationRun) -> list[dict[str, Any]]:
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


def list_categories(run: LocalizationRun) -> list[dict[str, Any]]:
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

"""The parts of the page about the scores of parsing: the ten F-scores, categories, what is wrong, how sure it was.

Each is a plain value for the template.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from pipeline.report.mistakes import RIGHT, count_kinds
from pipeline.report.parsing.inputs import COLUMNS, LEVELS, REFERENCES
from pipeline.report.parsing.mistakes import KINDS
from pipeline.report.parsing.run import GATES, VERBS, ParsedLane, ParsingRun
from pipeline.report.run import PREDICTIONS
from pipeline.report.scores import SPLIT_NAMES, draw_reliability_of
from pipeline.store.parsing_manifest import MODALITIES

HEADLINES = {
    "segment_event_at_av": "Event@AV per segment",
    "event_type_at_av": "Type@AV per event",
    "event_event_at_av": "Event@AV per event",
}
"""The scores that have a card of their own, beside the one by which epochs are selected."""

COLUMN_WORDS = {
    "audio": ("A", "what is heard"),
    "visual": ("V", "what is seen"),
    "audio_visual": ("AV", "what is heard and seen at once"),
    "type_at_av": ("Type@AV", "the mean of A, V and AV"),
    "event_at_av": ("Event@AV", "what is heard and what is seen, counted together"),
}
"""The columns of the table of F-scores: what they are called and what they are of."""


class Cell(NamedTuple):
    """A score in percent and its interval; None where it is not defined, or not given."""

    value: float | None
    low: float | None = None
    high: float | None = None


def tabulate_scores(run: ParsingRun) -> list[dict[str, Any]]:
    """Return the table of F-scores: of each level its rows, and of each row a cell per column, None where it has none.

    The first row of a level is the scores asked for. The others are for comparison: averaged otherwise, with the other
    gate, and of predictions that look at no clip.
    """
    prefixes = {
        "": "mean over clips",
        "micro_": "micro average",
        f"{run.other_gate}_gate_": f"with the {GATES[run.other_gate]}",
        **{f"{reference}_": f"{reference} predicted" for reference in REFERENCES},
    }
    return [
        {
            "name": f"per {level}",
            "rows": [
                {"name": name, "cells": [_cell(run.metrics, f"{prefix}{level}_{column}") for column in COLUMNS]}
                for prefix, name in prefixes.items()
            ],
        }
        for level in LEVELS
    ]


def _cell(metrics: Mapping[str, float | None], key: str) -> Cell | None:
    return Cell(metrics[key], metrics.get(f"{key}_low"), metrics.get(f"{key}_high")) if key in metrics else None


def list_categories(run: ParsingRun) -> list[dict[str, Any]]:
    """Return the scores of each category, None where one is not defined, and its segments found, missed, invented."""
    return [
        {
            "name": row["category"],
            "num_clips": row["num_clips"],
            **{name: float(row[name]) if row[name] else None for name in ("audio", "visual", "audio_visual")},
            "confusion": run.confusion[row["category"]],
        }
        for row in run.per_class
    ]


def count_mistakes(run: ParsingRun) -> list[dict[str, Any]]:
    """Return the wrong segments of each split and modality by kind; splits without a prediction are left out."""
    rows = []
    for split in PREDICTIONS:
        for modality, verb in VERBS.items():
            lanes = [
                lane for prediction in run.predictions[split] for lane in prediction.lanes if lane.modality == modality
            ]
            counts = count_kinds((lane.counted_kinds for lane in lanes), KINDS)
            if run.predictions[split]:
                rows.append(
                    {
                        "name": f"{SPLIT_NAMES[split]}, {verb}",
                        "counts": counts,
                        "num_wrong": sum(counts.values()),
                        "num_segments": sum(len(lane.counted_kinds) for lane in lanes),
                        "num_masked": sum(map(_count_masked, lanes)),
                    }
                )
    return rows


def _count_masked(lane: ParsedLane) -> int:
    """Return how many wrong segments have no media, so that nothing could be predicted."""
    return sum(kind != RIGHT and not has_media for kind, has_media in zip(lane.kinds, lane.has_media, strict=True))


def draw_reliability(run: ParsingRun) -> list[dict[str, Any]]:
    """Return a diagram per split with predictions and modality, over every category of every segment that has media."""
    parts = []
    for split in PREDICTIONS:
        for modality, verb in VERBS.items():
            if run.predictions[split]:
                said, found = _said_and_found(run, split, MODALITIES.index(modality))
                parts.append(draw_reliability_of(f"{SPLIT_NAMES[split]}, {verb}", said, found))
    return parts


def _said_and_found(run: ParsingRun, split: str, modality: int) -> tuple[np.ndarray, np.ndarray]:
    said, found = [], []
    for prediction in run.predictions[split]:
        has_media = np.array(run.has_media(MODALITIES[modality], prediction.clip.video_id))
        said.append(prediction.probabilities[has_media, modality].ravel())
        found.append(prediction.truth[modality][:, has_media].T.ravel())
    return np.concatenate(said).astype(np.float64).clip(0, 1), np.concatenate(found)

"""Read the files of a run of localization once, and check them against one another."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pipeline.params.schema import Params
from pipeline.report.inputs import (
    RUN_METRICS,
    check_clips,
    check_counts,
    check_paths,
    contradiction,
    listed,
    load_features,
    load_history,
    load_metrics,
    load_scored_maps,
    number,
    read_json,
    read_rows,
)
from pipeline.report.localization.cards import CARDS
from pipeline.report.localization.run import MATRICES, LocalizationPrediction, LocalizationRun
from pipeline.report.run import PREDICTIONS
from pipeline.store.manifest import BACKGROUND, Manifest, load_manifest

METRICS = (
    "segment_accuracy",
    "segment_accuracy_low",
    "segment_accuracy_high",
    *CARDS,
    "background_share",
    "test_selected_segment_accuracy",
    *RUN_METRICS,
)
SEED_METRICS = ("num_seeds", "segment_accuracy_mean", "segment_accuracy_sd")
"""Only there where several seeds were trained."""

_PER_CLASS_COLUMNS = ("category", "num_clips", "num_event_segments", "segment_accuracy", "category_accuracy")


def load_run(
    *, params: Params, prepared: Path, features: Path, train: Path, evaluate: Path, raw: Path
) -> LocalizationRun:
    """Read the outputs of all stages and refuse those that do not belong together.

    Raises
    ------
    PipelineError
        If a file is missing, cannot be read, or contradicts another; one line that names it and its stage.
    """
    audit = read_json(prepared / "audit.json", "prepare")
    manifest = load_manifest(prepared)
    check_paths(prepared / "manifest.csv", manifest.clips)
    run = LocalizationRun(
        params=params,
        raw=raw,
        manifest=manifest,
        audit=audit,
        features=load_features(features, manifest, params),
        history=load_history(train / "history.csv"),
        metrics=load_metrics(evaluate / "metrics.json", METRICS, SEED_METRICS),
        per_class=read_rows(evaluate / "per_class.csv", "evaluate", _PER_CLASS_COLUMNS),
        confusion=_load_confusion(evaluate / "confusion.csv", (*manifest.categories, BACKGROUND)),
        predictions=_load_predictions(evaluate, manifest, params.dataset.num_segments),
    )
    check_counts(run, evaluate, train)
    _check_tables(run, evaluate)
    return run


def _load_confusion(path: Path, names: tuple[str, ...]) -> np.ndarray:
    position = {name: index for index, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    for row in read_rows(path, "evaluate", ("truth", "prediction", "count")):
        for name in (row["truth"], row["prediction"]):
            if name not in position:
                raise contradiction(path, "names of categories.txt", repr(name), "evaluate")
        counts[position[row["truth"]], position[row["prediction"]]] = int(number(row["count"], path, "evaluate") or 0)
    return counts


def _load_predictions(
    evaluate: Path, manifest: Manifest, num_segments: int
) -> dict[str, tuple[LocalizationPrediction, ...]]:
    rows = {split: _load_rows(evaluate / name, manifest, split) for split, name in PREDICTIONS.items()}
    path = evaluate / "maps.safetensors"
    scored = [split for split in PREDICTIONS if rows[split]]
    maps = load_scored_maps(path, scored)
    for split in scored:
        _check_maps(path, split, maps[split], len(rows[split]), num_segments)
    return {
        split: _join(evaluate / name, manifest, rows[split], maps.get(split, {}), num_segments)
        for split, name in PREDICTIONS.items()
    }


_Rows = dict[str, dict[int, dict[str, str]]]
"""Clip to segment to the row of the file, in the file's order."""


def _load_rows(path: Path, manifest: Manifest, split: str) -> _Rows:
    rows: _Rows = {}
    for row in read_rows(path, "evaluate", ("clip_id", "segment", "truth", "prediction", "relevance")):
        rows.setdefault(row["clip_id"], {})[int(number(row["segment"], path, "evaluate") or 0)] = row
    check_clips(path, rows, manifest.clips, split)
    return rows


def _check_maps(path: Path, split: str, maps: Mapping[str, np.ndarray], num_clips: int, num_segments: int) -> None:
    names = ("attention", *(MATRICES if len(maps) > 1 else ()))
    if set(maps) != set(names):
        wanted = f"{split}: attention, alone or with {listed(MATRICES)}"
        raise contradiction(path, wanted, listed(sorted(maps)), "evaluate")
    for name, array in maps.items():
        is_attention = name == "attention"
        shape = (num_clips, num_segments, *(array.shape[2:3] if is_attention else (num_segments,)))
        if array.shape != shape or not array.size:
            axes = f"({num_clips}, {num_segments}, {'P' if is_attention else num_segments})"
            raise contradiction(path, f"{split}/{name} of shape {axes}", str(array.shape), "evaluate")
        if not np.isfinite(array).all():
            raise contradiction(path, f"finite numbers in {split}/{name}", "others", "evaluate")


def _join(
    path: Path, manifest: Manifest, rows: _Rows, maps: Mapping[str, np.ndarray], num_segments: int
) -> tuple[LocalizationPrediction, ...]:
    place_of = {clip_id: place for place, clip_id in enumerate(rows)}
    names = {*manifest.categories, BACKGROUND}
    predictions = []
    for clip in manifest.clips:
        if clip.clip_id not in rows:
            continue
        by_segment = rows[clip.clip_id]
        if sorted(by_segment) != list(range(num_segments)):
            raise contradiction(
                path, f"{num_segments} segments per clip", f"{len(by_segment)} of {clip.clip_id!r}", "evaluate"
            )
        ordered = [by_segment[segment] for segment in range(num_segments)]
        truth = tuple(row["truth"] for row in ordered)
        predicted = tuple(row["prediction"] for row in ordered)
        annotated = tuple(clip.category if event == "1" else BACKGROUND for event in clip.events)
        if truth != annotated:
            raise contradiction(path, "the truth of manifest.csv", f"another for {clip.clip_id!r}", "evaluate")
        if strange := sorted({*predicted} - names):
            raise contradiction(path, "names of categories.txt", repr(strange[0]), "evaluate")
        relevance = tuple(number(row["relevance"], path, "evaluate") or 0.0 for row in ordered)
        if not all(0 <= value <= 1 for value in relevance):
            raise contradiction(path, "a relevance from 0 to 1", f"another for {clip.clip_id!r}", "evaluate")
        place = place_of[clip.clip_id]
        of_clip = {name: array[place] for name, array in maps.items()}
        predictions.append(LocalizationPrediction(clip, truth, predicted, relevance, of_clip))
    return tuple(predictions)


def _check_tables(run: LocalizationRun, evaluate: Path) -> None:
    num_segments = len(run.predictions["test"]) * run.params.dataset.num_segments
    if run.confusion.sum() != num_segments:
        raise contradiction(
            evaluate / "confusion.csv", f"{num_segments} segments", str(run.confusion.sum()), "evaluate"
        )
    if tuple(row["category"] for row in run.per_class) != run.names:
        raise contradiction(
            evaluate / "per_class.csv", "a row per name of categories.txt, background last", "others", "evaluate"
        )

"""Read the files of all earlier stages once, and check them against one another.

The page shows numbers of five stages side by side. That is only honest when they belong to one run, so whatever
contradicts is refused here: predictions of unknown clips, a ledger of other videos, a confusion of other segments.
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pipeline.core.errors import PipelineError, explain, one_line
from pipeline.core.files import read_csv
from pipeline.params.schema import Params
from pipeline.report.cards import CARDS
from pipeline.report.run import MATRICES, MODALITIES, PREDICTIONS, Features, Prediction, Run
from pipeline.store.ledger import summarise_ledger
from pipeline.store.manifest import BACKGROUND, Clip, Manifest, load_manifest
from pipeline.store.maps import load_maps
from pipeline.store.shards import load_index, load_ledger

METRICS = (
    "segment_accuracy",
    "segment_accuracy_low",
    "segment_accuracy_high",
    *CARDS,
    "background_share",
    "num_clips",
    "num_clips_expected",
    "masked_segment_share",
    "test_selected_segment_accuracy",
    "best_epoch",
    "test_selected_epoch",
)
SEED_METRICS = ("num_seeds", "segment_accuracy_mean", "segment_accuracy_sd")
"""Only there where several seeds were trained."""

_PER_CLASS_COLUMNS = ("category", "num_clips", "num_event_segments", "segment_accuracy", "category_accuracy")


def load_run(*, params: Params, prepared: Path, features: Path, train: Path, evaluate: Path, raw: Path) -> Run:
    """Read the outputs of all stages and refuse those that do not belong together.

    Raises
    ------
    PipelineError
        If a file is missing, cannot be read, or contradicts another; one line that names it and its stage.
    """
    audit = _read_json(prepared / "audit.json", "prepare")
    manifest = load_manifest(prepared)
    for clip in manifest.clips:
        _check_path(prepared / "manifest.csv", clip)
    run = Run(
        params=params,
        raw=raw,
        manifest=manifest,
        audit=audit,
        features={name: _load_features(features / name, name, manifest, params) for name in MODALITIES},
        history=_load_history(train / "history.csv"),
        metrics=_load_metrics(evaluate / "metrics.json"),
        per_class=_read_csv(evaluate / "per_class.csv", "evaluate", _PER_CLASS_COLUMNS),
        confusion=_load_confusion(evaluate / "confusion.csv", (*manifest.categories, BACKGROUND)),
        predictions=_load_predictions(evaluate, manifest, params.dataset.num_segments),
    )
    _check_scores(run, evaluate, train)
    return run


def _load_features(folder: Path, modality: str, manifest: Manifest, params: Params) -> Features:
    stage = f"extract_{modality}"
    _require(folder / "index.json", stage)
    _require(folder / "ledger.csv", stage)
    index = load_index(folder)
    if index.modality != modality:
        raise _contradiction(folder / "index.json", f"modality {modality!r}", repr(index.modality), stage)
    asked = "released" if params.features.source == "released" else getattr(params, modality).weights
    if _kind(asked) != _kind(index.origin):
        expected = f"features from {asked!r}, as params.yaml says"
        raise _contradiction(folder / "index.json", expected, repr(index.origin), stage)
    try:
        ledger = {row.video_id: row for row in load_ledger(folder / "ledger.csv")}
    except (TypeError, ValueError) as error:
        raise _contradiction(folder / "ledger.csv", "a ledger", one_line(error), stage) from error
    wanted = {video.video_id for video in manifest.videos}
    if different := sorted(wanted ^ set(ledger)):
        raise _contradiction(
            folder / "ledger.csv",
            f"the {len(wanted)} videos of videos.csv",
            f"{len(ledger)}, not the same: {different[0]!r}",
            stage,
        )
    return Features(index, ledger, summarise_ledger(list(ledger.values()), params.dataset.num_segments))


def _kind(name: str) -> str:
    """Return what is to be said of features beside their scores: released, from random weights, or from others."""
    return name if name == "released" else "random" if name.partition(":")[0] == "random" else "weights"


def _load_history(path: Path) -> dict[str, list[float | None]]:
    rows = _read_csv(path, "train", ("epoch", "train_loss", "validation_score"))
    if not rows:
        raise _contradiction(path, "a row per epoch", "none", "train")
    return {column: [_number(row[column], path, "train") for row in rows] for column in rows[0]}


def _load_metrics(path: Path) -> dict[str, float | None]:
    content = _read_json(path, "evaluate")
    if missing := [key for key in METRICS if key not in content]:
        raise _contradiction(path, f"the keys {', '.join(missing)}", "none", "evaluate")
    metrics: dict[str, float | None] = {}
    for key in (*METRICS, *(key for key in SEED_METRICS if key in content)):
        value = content[key]
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise _contradiction(path, f"a number for {key}", repr(value), "evaluate")
        metrics[key] = value
    return metrics


def _load_confusion(path: Path, names: tuple[str, ...]) -> np.ndarray:
    position = {name: index for index, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    for row in _read_csv(path, "evaluate", ("truth", "prediction", "count")):
        for name in (row["truth"], row["prediction"]):
            if name not in position:
                raise _contradiction(path, "names of categories.txt", repr(name), "evaluate")
        counts[position[row["truth"]], position[row["prediction"]]] = int(_number(row["count"], path, "evaluate") or 0)
    return counts


def _load_predictions(evaluate: Path, manifest: Manifest, num_segments: int) -> dict[str, tuple[Prediction, ...]]:
    rows = {split: _load_rows(evaluate / name, manifest, split) for split, name in PREDICTIONS.items()}
    path = evaluate / "maps.safetensors"
    maps = load_maps(path)
    scored = [split for split in PREDICTIONS if rows[split]]
    if sorted(maps) != sorted(scored):
        raise _contradiction(
            path, f"maps of the splits with predictions, {_listed(scored)}", _listed(sorted(maps)), "evaluate"
        )
    if different := [split for split in scored if set(maps[split]) != set(maps[scored[0]])]:
        raise _contradiction(path, f"the same maps of {scored[0]} and {different[0]}", "others", "evaluate")
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
    for row in _read_csv(path, "evaluate", ("clip_id", "segment", "truth", "prediction", "relevance")):
        rows.setdefault(row["clip_id"], {})[int(_number(row["segment"], path, "evaluate") or 0)] = row
    clips = {clip.clip_id for clip in manifest.clips if clip.split == split}
    if strange := [clip_id for clip_id in rows if clip_id not in clips]:
        raise _contradiction(path, f"clips of the {split} split", repr(strange[0]), "evaluate")
    return rows


def _check_maps(path: Path, split: str, maps: Mapping[str, np.ndarray], num_clips: int, num_segments: int) -> None:
    names = ("attention", *(MATRICES if len(maps) > 1 else ()))
    if set(maps) != set(names):
        wanted = f"{split}: attention, alone or with {_listed(MATRICES)}"
        raise _contradiction(path, wanted, _listed(sorted(maps)), "evaluate")
    for name, array in maps.items():
        is_attention = name == "attention"
        shape = (num_clips, num_segments, *(array.shape[2:3] if is_attention else (num_segments,)))
        if array.shape != shape or not array.size:
            axes = f"({num_clips}, {num_segments}, {'P' if is_attention else num_segments})"
            raise _contradiction(path, f"{split}/{name} of shape {axes}", str(array.shape), "evaluate")
        if not np.isfinite(array).all():
            raise _contradiction(path, f"finite numbers in {split}/{name}", "others", "evaluate")


def _join(
    path: Path, manifest: Manifest, rows: _Rows, maps: Mapping[str, np.ndarray], num_segments: int
) -> tuple[Prediction, ...]:
    place_of = {clip_id: place for place, clip_id in enumerate(rows)}
    names = {*manifest.categories, BACKGROUND}
    predictions = []
    for clip in manifest.clips:
        if clip.clip_id not in rows:
            continue
        by_segment = rows[clip.clip_id]
        if sorted(by_segment) != list(range(num_segments)):
            raise _contradiction(
                path, f"{num_segments} segments per clip", f"{len(by_segment)} of {clip.clip_id!r}", "evaluate"
            )
        ordered = [by_segment[segment] for segment in range(num_segments)]
        truth = tuple(row["truth"] for row in ordered)
        predicted = tuple(row["prediction"] for row in ordered)
        annotated = tuple(clip.category if event == "1" else BACKGROUND for event in clip.events)
        if truth != annotated:
            raise _contradiction(path, "the truth of manifest.csv", f"another for {clip.clip_id!r}", "evaluate")
        if strange := sorted({*predicted} - names):
            raise _contradiction(path, "names of categories.txt", repr(strange[0]), "evaluate")
        relevance = tuple(_number(row["relevance"], path, "evaluate") or 0.0 for row in ordered)
        if not all(0 <= value <= 1 for value in relevance):
            raise _contradiction(path, "a relevance from 0 to 1", f"another for {clip.clip_id!r}", "evaluate")
        place = place_of[clip.clip_id]
        predictions.append(
            Prediction(clip, truth, predicted, relevance, {name: array[place] for name, array in maps.items()})
        )
    return tuple(predictions)


def _check_scores(run: Run, evaluate: Path, train: Path) -> None:
    metrics = run.metrics
    num_scored = len(run.predictions["test"])
    pairs = (
        (evaluate / "metrics.json", "num_clips", num_scored, "clips in predictions.csv"),
        (evaluate / "metrics.json", "num_clips_expected", len(run.test_clips), "test clips in manifest.csv"),
    )
    for path, key, number, what in pairs:
        if metrics[key] != number:
            raise _contradiction(path, f"{key} {number}, the {what}", str(metrics[key]), "evaluate")
    num_segments = num_scored * run.params.dataset.num_segments
    if run.confusion.sum() != num_segments:
        raise _contradiction(
            evaluate / "confusion.csv", f"{num_segments} segments", str(run.confusion.sum()), "evaluate"
        )
    if tuple(row["category"] for row in run.per_class) != run.names:
        raise _contradiction(
            evaluate / "per_class.csv", "a row per name of categories.txt, background last", "others", "evaluate"
        )
    if metrics["best_epoch"] not in run.history["epoch"]:
        raise _contradiction(
            train / "history.csv", f"the best epoch {metrics['best_epoch']} of metrics.json", "no such row", "train"
        )


def _check_path(manifest_path: Path, clip: Clip) -> None:
    """Refuse a media path that leaves the raw folder: the page would show what lies there."""
    path = PurePosixPath(clip.path)
    if path.is_absolute() or ".." in path.parts:
        raise _contradiction(manifest_path, "paths inside the raw folder", repr(clip.path), "prepare")


def _read_json(path: Path, stage: str) -> dict[str, Any]:
    _require(path, stage)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _contradiction(path, "JSON", one_line(error), stage) from error
    if not isinstance(content, dict):
        raise _contradiction(path, "a JSON object", type(content).__name__, stage)
    return content


def _read_csv(path: Path, stage: str, columns: Iterable[str]) -> list[dict[str, str]]:
    _require(path, stage)
    try:
        rows = read_csv(path)
    except ValueError as error:
        raise _contradiction(path, "UTF-8 text", one_line(error), stage) from error
    for row in rows:
        _check_row(row, path, stage, columns)
    return rows


def _check_row(row: Mapping[Any, Any], path: Path, stage: str, columns: Iterable[str]) -> None:
    if missing := [column for column in columns if row.get(column) is None]:
        raise _contradiction(path, f"the column {missing[0]!r} in every row", "none", stage)
    if None in row or None in row.values():
        raise _contradiction(path, "as many values as columns", "another number", stage)


def _number(text: str, path: Path, stage: str) -> float | None:
    if text == "":
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise _contradiction(path, "a number", repr(text), stage) from error
    return value if math.isfinite(value) else None


def _require(path: Path, stage: str) -> None:
    if not path.is_file():
        raise PipelineError(
            explain(
                path,
                expected=f"the output of the {stage} stage",
                found="no file",
                remedy=f"run `dvc repro {stage}`",
            )
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _contradiction(path: Path, expected: str, found: str, stage: str) -> PipelineError:
    return PipelineError(explain(path, expected=expected, found=found, remedy=f"run `dvc repro` again from {stage} on"))

"""Read the files that every task has, and what reading those of one task needs.

The page shows numbers of five stages side by side. That is only honest when they belong to one run, so whatever
contradicts is refused where it is read: predictions of unknown clips, a ledger of other videos, a confusion of other
segments. A contradiction is one line that names the file and the stage to run again.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pipeline.core.errors import PipelineError, explain, one_line
from pipeline.core.files import read_csv
from pipeline.params.schema import Params
from pipeline.report.run import MODALITIES, AnyClip, Features, Run
from pipeline.store.ledger import summarise_ledger
from pipeline.store.manifest import Manifest
from pipeline.store.maps import load_maps
from pipeline.store.parsing_manifest import ParsingManifest
from pipeline.store.shards import load_index, load_ledger

RUN_METRICS = (
    "num_clips",
    "num_clips_expected",
    "masked_segment_share",
    "best_epoch",
    "test_selected_epoch",
)
"""What ``metrics.json`` says of any task."""


def check_paths(manifest_path: Path, clips: Iterable[AnyClip]) -> None:
    """Refuse a media path that leaves the raw folder: the page would show what lies there.

    Raises
    ------
    PipelineError
        If there is one.
    """
    for clip in clips:
        path = PurePosixPath(clip.path)
        if path.is_absolute() or ".." in path.parts:
            raise contradiction(manifest_path, "paths inside the raw folder", repr(clip.path), "prepare")


def load_features(folder: Path, manifest: Manifest | ParsingManifest, params: Params) -> dict[str, Features]:
    """Read the books of both modalities.

    Raises
    ------
    PipelineError
        If a file is missing, damaged, of other videos or of other weights than the params say.
    """
    return {name: _load_modality(folder / name, name, manifest, params) for name in MODALITIES}


def _load_modality(folder: Path, modality: str, manifest: Manifest | ParsingManifest, params: Params) -> Features:
    stage = f"extract_{modality}"
    require(folder / "index.json", stage)
    require(folder / "ledger.csv", stage)
    index = load_index(folder)
    if index.modality != modality:
        raise contradiction(folder / "index.json", f"modality {modality!r}", repr(index.modality), stage)
    asked = "released" if params.features.source == "released" else getattr(params, modality).weights
    if _kind(asked) != _kind(index.origin):
        expected = f"features from {asked!r}, as params.yaml says"
        raise contradiction(folder / "index.json", expected, repr(index.origin), stage)
    try:
        ledger = {row.video_id: row for row in load_ledger(folder / "ledger.csv")}
    except (TypeError, ValueError) as error:
        raise contradiction(folder / "ledger.csv", "a ledger", one_line(error), stage) from error
    wanted = {video.video_id for video in manifest.videos}
    if different := sorted(wanted ^ set(ledger)):
        raise contradiction(
            folder / "ledger.csv",
            f"the {len(wanted)} videos of videos.csv",
            f"{len(ledger)}, not the same: {different[0]!r}",
            stage,
        )
    return Features(index, ledger, summarise_ledger(list(ledger.values()), params.dataset.num_segments))


def _kind(name: str) -> str:
    """Return what is to be said of features beside their scores: released, from random weights, or from others."""
    return name if name == "released" else "random" if name.partition(":")[0] == "random" else "weights"


def load_history(path: Path) -> dict[str, list[float | None]]:
    """Read ``history.csv``: column to values, None where a cell is empty or not finite.

    Raises
    ------
    PipelineError
        If it is missing, damaged or empty.
    """
    rows = read_rows(path, "train", ("epoch", "train_loss", "validation_score"))
    if not rows:
        raise contradiction(path, "a row per epoch", "none", "train")
    return {column: [number(row[column], path, "train") for row in rows] for column in rows[0]}


def load_metrics(path: Path, required: Sequence[str], optional: Sequence[str]) -> dict[str, float | None]:
    """Read ``metrics.json``: those of `required`, which must be there, and of `optional`.

    Raises
    ------
    PipelineError
        If a key is missing, or holds neither a number nor null.
    """
    content = read_json(path, "evaluate")
    if missing := [key for key in required if key not in content]:
        raise contradiction(path, f"the keys {', '.join(missing)}", "none", "evaluate")
    metrics: dict[str, float | None] = {}
    for key in (*required, *(key for key in optional if key in content)):
        value = content[key]
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise contradiction(path, f"a number for {key}", repr(value), "evaluate")
        metrics[key] = value
    return metrics


def load_scored_maps(path: Path, scored: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """Read the maps of the splits that have predictions.

    Raises
    ------
    PipelineError
        If the file is missing or damaged, there are maps of other splits, or not the same of every split.
    """
    maps = load_maps(path)
    if sorted(maps) != sorted(scored):
        raise contradiction(
            path, f"maps of the splits with predictions, {listed(scored)}", listed(sorted(maps)), "evaluate"
        )
    if different := [split for split in scored if set(maps[split]) != set(maps[scored[0]])]:
        raise contradiction(path, f"the same maps of {scored[0]} and {different[0]}", "others", "evaluate")
    return maps


def check_clips(path: Path, clip_ids: Iterable[str], clips: Iterable[AnyClip], split: str) -> None:
    """Refuse predictions of a clip that is not in the split.

    Raises
    ------
    PipelineError
        If there is one.
    """
    known = {clip.clip_id for clip in clips if clip.split == split}
    if strange := [clip_id for clip_id in clip_ids if clip_id not in known]:
        raise contradiction(path, f"clips of the {split} split", repr(strange[0]), "evaluate")


def check_counts(run: Run, evaluate: Path, train: Path) -> None:
    """Refuse a number of clips that is not that of the predictions, and a best epoch that was not trained.

    Raises
    ------
    PipelineError
        If there is one.
    """
    metrics = run.metrics
    pairs = (
        ("num_clips", len(run.predictions["test"]), "clips in predictions.csv"),
        ("num_clips_expected", len(run.test_clips), "test clips in manifest.csv"),
    )
    for key, counted, what in pairs:
        if metrics[key] != counted:
            raise contradiction(
                evaluate / "metrics.json", f"{key} {counted}, the {what}", str(metrics[key]), "evaluate"
            )
    if metrics["best_epoch"] not in run.history["epoch"]:
        raise contradiction(
            train / "history.csv", f"the best epoch {metrics['best_epoch']} of metrics.json", "no such row", "train"
        )


def read_json(path: Path, stage: str) -> dict[str, Any]:
    """Return a JSON object.

    Raises
    ------
    PipelineError
        If the file is missing or holds something else.
    """
    require(path, stage)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise contradiction(path, "JSON", one_line(error), stage) from error
    if not isinstance(content, dict):
        raise contradiction(path, "a JSON object", type(content).__name__, stage)
    return content


def read_rows(path: Path, stage: str, columns: Iterable[str]) -> list[dict[str, str]]:
    """Return the rows of a table that has `columns`, among others.

    Raises
    ------
    PipelineError
        If the file is missing, no UTF-8, or a row has not the columns.
    """
    require(path, stage)
    try:
        rows = read_csv(path)
    except ValueError as error:
        raise contradiction(path, "UTF-8 text", one_line(error), stage) from error
    for row in rows:
        _check_row(row, path, stage, columns)
    return rows


def _check_row(row: Mapping[Any, Any], path: Path, stage: str, columns: Iterable[str]) -> None:
    if missing := [column for column in columns if row.get(column) is None]:
        raise contradiction(path, f"the column {missing[0]!r} in every row", "none", stage)
    if None in row or None in row.values():
        raise contradiction(path, "as many values as columns", "another number", stage)


def number(text: str, path: Path, stage: str) -> float | None:
    """Return the number in a cell; None where it is empty or not finite.

    Raises
    ------
    PipelineError
        If it holds something else.
    """
    if text == "":
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise contradiction(path, "a number", repr(text), stage) from error
    return value if math.isfinite(value) else None


def require(path: Path, stage: str) -> None:
    """Refuse to go on without a file.

    Raises
    ------
    PipelineError
        If it is not there.
    """
    if not path.is_file():
        raise PipelineError(
            explain(
                path,
                expected=f"the output of the {stage} stage",
                found="no file",
                remedy=f"run `dvc repro {stage}`",
            )
        )


def listed(names: Iterable[str]) -> str:
    """Return names as one phrase."""
    return ", ".join(names) or "none"


def contradiction(path: Path, expected: str, found: str, stage: str) -> PipelineError:
    """Return the error of a file that does not fit the others, which `stage` and those after it write anew."""
    return PipelineError(explain(path, expected=expected, found=found, remedy=f"run `dvc repro` again from {stage} on"))

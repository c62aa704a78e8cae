"""Read the files of a run of parsing once, and check them against one another."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.methods.settings import Gate
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
from pipeline.report.mistakes import RIGHT
from pipeline.report.parsing.mistakes import lane_kinds
from pipeline.report.parsing.run import (
    GATES,
    THRESHOLD,
    VERBS,
    Found,
    ParsedLane,
    ParsingPrediction,
    ParsingRun,
    gate_of,
    gates,
    present,
)
from pipeline.report.run import PREDICTIONS, Features
from pipeline.store.manifest import BACKGROUND
from pipeline.store.parsing_manifest import MODALITIES, ParsedClip, ParsingManifest, load_parsing_manifest

LEVELS = ("segment", "event")
COLUMNS = ("audio", "visual", "audio_visual", "type_at_av", "event_at_av")
SCORES = tuple(f"{level}_{column}" for level in LEVELS for column in COLUMNS)
"""The ten F-scores of :mod:`pipeline.metrics.parsing`."""

REFERENCES = ("everything", "nothing")
"""Predictions that look at no clip."""

SEED_METRICS = ("num_seeds", "segment_type_at_av_mean", "segment_type_at_av_sd")
"""Only there where several seeds were trained."""

ROUNDING = 0.001
"""By how much a probability from 0 to 1 may change in float16 and in six digits."""

LOOSENESS = 0.01
"""By how much a clip's probability, a weighted mean of sigmoids, may leave 0 to 1 in the arithmetic of a network."""

_PER_CLASS_COLUMNS = ("category", "num_clips", "audio", "visual", "audio_visual")
_PREDICTION_COLUMNS = ("clip_id", "modality", "category", "segment", "truth", "prediction", "probability")

_Lane = tuple[str, str]
"""Modality and category."""
_Rows = dict[str, dict[_Lane, dict[int, dict[str, str]]]]
"""Clip to lane to segment to the row of the file, in the file's order."""


def metrics_of(other_gate: Gate) -> tuple[str, ...]:
    """Return what ``metrics.json`` must say: of the gate that was not asked for, the scores alone."""
    return (
        *(f"{score}{end}" for score in SCORES for end in ("", "_low", "_high")),
        *(f"micro_{score}" for score in SCORES),
        *(f"{other_gate}_gate_{score}" for score in SCORES),
        *(f"{reference}_{level}_type_at_av" for reference in REFERENCES for level in LEVELS),
        "test_selected_segment_type_at_av",
        *RUN_METRICS,
    )


def load_run(*, params: Params, prepared: Path, features: Path, train: Path, evaluate: Path, raw: Path) -> ParsingRun:
    """Read the outputs of all stages and refuse those that do not belong together.

    Raises
    ------
    PipelineError
        If a file is missing, cannot be read, or contradicts another; one line that names it and its stage.
    """
    audit = read_json(prepared / "audit.json", "prepare")
    manifest = load_parsing_manifest(prepared)
    check_paths(prepared / "manifest.csv", manifest.clips)
    _check_names(prepared / "manifest.csv", manifest)
    books = load_features(features, manifest, params)
    gate = gate_of(params)
    run = ParsingRun(
        params=params,
        raw=raw,
        manifest=manifest,
        audit=audit,
        features=books,
        history=load_history(train / "history.csv"),
        metrics=load_metrics(
            evaluate / "metrics.json", metrics_of("own" if gate == "global" else "global"), SEED_METRICS
        ),
        per_class=read_rows(evaluate / "per_class.csv", "evaluate", _PER_CLASS_COLUMNS),
        confusion=_load_confusion(evaluate / "confusion.csv", manifest.categories),
        predictions=_load_predictions(evaluate, manifest, books, params),
    )
    check_counts(run, evaluate, train)
    _check_tables(run, evaluate)
    return run


def _check_names(path: Path, manifest: ParsingManifest) -> None:
    known = set(manifest.categories)
    for clip in manifest.clips:
        named = {*clip.tags, *(clip.audio_events or {}), *(clip.visual_events or {})}
        if strange := sorted(named - known):
            raise contradiction(path, "names of categories.txt", repr(strange[0]), "prepare")


def _load_confusion(path: Path, categories: tuple[str, ...]) -> dict[str, Found]:
    counts: dict[tuple[str, str], int] = {}
    for row in read_rows(path, "evaluate", ("truth", "prediction", "count")):
        pair = row["truth"], row["prediction"]
        names = set(pair) - {BACKGROUND}
        if len(names) != 1 or not names <= set(categories):
            expected = "a category of categories.txt that is found, missed or invented"
            raise contradiction(path, expected, f"{pair[0]!r} taken for {pair[1]!r}", "evaluate")
        counts[pair] = int(number(row["count"], path, "evaluate") or 0)
    return {
        name: Found(
            found=counts.get((name, name), 0),
            missed=counts.get((name, BACKGROUND), 0),
            invented=counts.get((BACKGROUND, name), 0),
        )
        for name in categories
    }


def _load_predictions(
    evaluate: Path, manifest: ParsingManifest, books: Mapping[str, Features], params: Params
) -> dict[str, tuple[ParsingPrediction, ...]]:
    num_segments = params.dataset.num_segments
    rows = {split: _load_rows(evaluate / name, manifest, split) for split, name in PREDICTIONS.items()}
    path = evaluate / "maps.safetensors"
    scored = [split for split in PREDICTIONS if rows[split]]
    maps = load_scored_maps(path, scored)
    for split in scored:
        _check_maps(path, split, maps[split], (len(rows[split]), num_segments, len(manifest.categories)))
    return {
        split: _join(evaluate / name, manifest, books, rows[split], maps.get(split, {}), gate_of(params), num_segments)
        for split, name in PREDICTIONS.items()
    }


def _load_rows(path: Path, manifest: ParsingManifest, split: str) -> _Rows:
    rows: _Rows = {}
    for row in read_rows(path, "evaluate", _PREDICTION_COLUMNS):
        if row["modality"] not in MODALITIES:
            raise contradiction(path, f"a modality, {' or '.join(MODALITIES)}", repr(row["modality"]), "evaluate")
        if row["category"] not in manifest.categories:
            raise contradiction(path, "names of categories.txt", repr(row["category"]), "evaluate")
        for column in ("truth", "prediction"):
            if row[column] not in (row["category"], BACKGROUND):
                expected = f"{row['category']!r} or {BACKGROUND!r} in its lane"
                raise contradiction(path, expected, repr(row[column]), "evaluate")
        lane = rows.setdefault(row["clip_id"], {}).setdefault((row["modality"], row["category"]), {})
        lane[int(number(row["segment"], path, "evaluate") or 0)] = row
    check_clips(path, rows, manifest.clips, split)
    return rows


def _check_maps(path: Path, split: str, maps: Mapping[str, np.ndarray], sizes: tuple[int, int, int]) -> None:
    num_clips, num_segments, num_categories = sizes
    shapes = {
        "probabilities": (num_clips, num_segments, len(MODALITIES), num_categories),
        "clip_probabilities": (num_clips, 3, num_categories),
    }
    if set(maps) != set(shapes):
        raise contradiction(path, f"{split}: {listed(shapes)}", listed(sorted(maps)), "evaluate")
    for name, array in maps.items():
        if array.shape != shapes[name]:
            raise contradiction(path, f"{split}/{name} of shape {shapes[name]}", str(array.shape), "evaluate")
        if not np.isfinite(array).all():
            raise contradiction(path, f"finite numbers in {split}/{name}", "others", "evaluate")
        if array.min() < -LOOSENESS or array.max() > 1 + LOOSENESS:
            found = f"{array.min():.3g} to {array.max():.3g}"
            raise contradiction(path, f"probabilities in {split}/{name}", found, "evaluate")


@dataclass(frozen=True)
class _Answers:
    """What is true and what the network says of one clip: truth (2, C, T), has_media (2, T), and the maps."""

    truth: np.ndarray
    has_media: np.ndarray
    probabilities: np.ndarray
    clip_probabilities: np.ndarray
    gates: np.ndarray


def _join(
    path: Path,
    manifest: ParsingManifest,
    books: Mapping[str, Features],
    rows: _Rows,
    maps: Mapping[str, np.ndarray],
    gate: Gate,
    num_segments: int,
) -> tuple[ParsingPrediction, ...]:
    place_of = {clip_id: place for place, clip_id in enumerate(rows)}
    predictions = []
    for clip in manifest.clips:
        if clip.clip_id not in rows:
            continue
        probabilities, of_clip = (
            maps[name][place_of[clip.clip_id]] for name in ("probabilities", "clip_probabilities")
        )
        answers = _Answers(
            truth=clip.event_masks(manifest.categories, num_segments),
            has_media=np.array([books[modality].valid(clip.video_id, num_segments) for modality in MODALITIES]),
            probabilities=probabilities,
            clip_probabilities=of_clip,
            gates=gates(of_clip.astype(np.float64), gate),
        )
        lanes = tuple(
            _lane(path, clip, (modality, category), manifest, answers, by_segment)
            for modality in VERBS
            for category in manifest.categories
            if (by_segment := rows[clip.clip_id].get((modality, category))) is not None
        )
        there = present(answers.truth, manifest)
        prediction = ParsingPrediction(clip, lanes, there, answers.truth, probabilities, of_clip)
        _check_lanes(path, manifest, prediction)
        _check_gate(path, manifest, prediction, answers, gate)
        predictions.append(prediction)
    return tuple(predictions)


def _lane(
    path: Path,
    clip: ParsedClip,
    lane: _Lane,
    manifest: ParsingManifest,
    answers: _Answers,
    by_segment: Mapping[int, dict[str, str]],
) -> ParsedLane:
    modality, category = MODALITIES.index(lane[0]), manifest.categories.index(lane[1])
    rows = _ordered(path, clip, by_segment, answers.truth.shape[2])
    probability = tuple(_probability(path, clip, row) for row in rows)
    if not np.allclose(probability, answers.probabilities[:, modality, category], rtol=0, atol=ROUNDING):
        raise contradiction(path, "the probabilities of maps.safetensors", f"others of {clip.clip_id!r}", "evaluate")
    truth = tuple(answers.truth[modality, category].tolist())
    if tuple(row["truth"] != BACKGROUND for row in rows) != truth:
        raise contradiction(path, "the truth of manifest.csv", f"another for {clip.clip_id!r}", "evaluate")
    predicted = tuple(row["prediction"] != BACKGROUND for row in rows)
    return ParsedLane(
        *lane,
        truth=truth,
        predicted=predicted,
        probability=probability,
        has_media=tuple(answers.has_media[modality].tolist()),
        kinds=lane_kinds(truth, predicted, answers.truth[1 - modality, category].tolist()),
        gate=float(answers.gates[modality, category]),
    )


def _ordered(
    path: Path, clip: ParsedClip, by_segment: Mapping[int, dict[str, str]], num_segments: int
) -> list[dict[str, str]]:
    if sorted(by_segment) != list(range(num_segments)):
        raise contradiction(
            path, f"{num_segments} segments per lane", f"{len(by_segment)} of {clip.clip_id!r}", "evaluate"
        )
    return [by_segment[segment] for segment in range(num_segments)]


def _probability(path: Path, clip: ParsedClip, row: Mapping[str, str]) -> float:
    value = number(row["probability"], path, "evaluate")
    if value is None or not 0 <= value <= 1:
        raise contradiction(path, "a probability from 0 to 1", f"another for {clip.clip_id!r}", "evaluate")
    return value


def _check_lanes(path: Path, manifest: ParsingManifest, prediction: ParsingPrediction) -> None:
    """Refuse a clip without the lane of what is true, and a lane of nothing beside others."""
    clip_id = prediction.clip.clip_id
    filed = {(lane.modality, lane.category) for lane in prediction.lanes}
    for place, category in np.argwhere(prediction.truth.any(axis=2)):
        modality, name = MODALITIES[place], manifest.categories[category]
        if (modality, name) not in filed:
            expected = f"a lane of {name!r}, {VERBS[modality]} by manifest.csv"
            raise contradiction(path, expected, f"none of {clip_id!r}", "evaluate")
    if len(prediction.lanes) > 1 and not all(lane.counted_kinds for lane in prediction.lanes):
        raise contradiction(path, "lanes of what is true or predicted", f"another of {clip_id!r}", "evaluate")


def _check_gate(
    path: Path, manifest: ParsingManifest, prediction: ParsingPrediction, answers: _Answers, gate: Gate
) -> None:
    """Refuse predictions that do not follow from the probabilities by the gate that the params name."""
    predicted = np.zeros(answers.truth.shape, bool)
    for lane in prediction.lanes:
        predicted[MODALITIES.index(lane.modality), manifest.categories.index(lane.category)] = lane.predicted
    segments = answers.probabilities.astype(np.float64).transpose(1, 2, 0)
    weakest = np.where(answers.has_media[:, np.newaxis], np.minimum(segments, answers.gates[..., np.newaxis]), 0.0)
    if (predicted & (weakest < THRESHOLD - ROUNDING) | ~predicted & (weakest >= THRESHOLD + ROUNDING)).any():
        expected = f"predictions from the probabilities of maps.safetensors by the {GATES[gate]}, where there is media"
        raise contradiction(path, expected, f"others of {prediction.clip.clip_id!r}", "evaluate")


def _check_tables(run: ParsingRun, evaluate: Path) -> None:
    """Refuse counts of categories that are not those of the predictions."""
    counted = {name: [0, 0, 0] for name in run.manifest.categories}
    for prediction in run.predictions["test"]:
        for lane in prediction.lanes:
            found = lane.counted_kinds.count(RIGHT)
            for place, count in enumerate((found, sum(lane.truth) - found, sum(lane.predicted) - found)):
                counted[lane.category][place] += count
    for name, confusion in run.confusion.items():
        if confusion != Found(*counted[name]):
            found_, missed, invented = counted[name]
            expected = f"{name!r} {found_} times found, {missed} missed, {invented} invented, as in predictions.csv"
            said = f"{confusion.found}, {confusion.missed}, {confusion.invented}"
            raise contradiction(evaluate / "confusion.csv", expected, said, "evaluate")
    path = evaluate / "per_class.csv"
    if tuple(row["category"] for row in run.per_class) != run.manifest.categories:
        raise contradiction(path, "a row per name of categories.txt", "others", "evaluate")
    for row in run.per_class:
        num_clips = sum(row["category"] in prediction.categories for prediction in run.predictions["test"])
        if number(row["num_clips"], path, "evaluate") != num_clips:
            expected = f"{num_clips} clips of {row['category']!r}, as in predictions.csv"
            raise contradiction(path, expected, repr(row["num_clips"]), "evaluate")

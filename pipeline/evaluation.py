"""Score trained weights on the test split and write what ``results/evaluate`` promises (see docs/metrics.md)."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipeline.annotations.manifest import BACKGROUND
from pipeline.checkpoints import Checkpoint, load_checkpoint
from pipeline.dataset import Dataset, LabelledClips
from pipeline.errors import CheckpointError, TrainingError, explain
from pipeline.files import write_csv, write_json
from pipeline.metrics import (
    CategoryScores,
    confusion_matrix,
    evaluate,
    per_category,
    predict_segments,
    segment_accuracy,
    video_counts,
)
from pipeline.params import EvaluateParams
from pipeline.statistics import bootstrap_interval
from pipeline.training import SELECTIONS, Outputs, predict

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Scored:
    """One checkpoint's outputs on a split and the labels they mean, (N, T)."""

    checkpoint: Checkpoint
    outputs: Outputs
    predicted: np.ndarray


def evaluate_run(params: EvaluateParams, dataset: Dataset, weights: Path, output: Path, device: torch.device) -> None:
    """Write ``metrics.json``, ``per_class.csv``, ``confusion.csv`` and ``predictions.csv``.

    Parameters
    ----------
    params : EvaluateParams
    dataset : Dataset
    weights : Path
        Output folder of the train stage.
    output : Path
    device : torch.device

    Raises
    ------
    CheckpointError
        If the weights are missing or were trained on other categories or features.
    TrainingError
        If no clip of the test split has features.
    """
    test = dataset.test
    if len(test) == 0:
        raise TrainingError(
            explain(
                "split test",
                expected="at least one clip with features",
                found="none",
                remedy="see data/<name>/prepared/audit.md and the ledgers",
            )
        )
    truth, valid = test.truth.numpy(), test.has_media.numpy()
    selected = _score(weights / SELECTIONS["val"], dataset, device)
    on_test = _score(weights / SELECTIONS["test"], dataset, device)

    scores = evaluate(selected.outputs.event_logits, selected.outputs.category_logits, truth, valid=valid)
    counts = video_counts(selected.predicted, truth, test.clips.video_ids)
    interval = bootstrap_interval(
        counts.correct,
        counts.total,
        confidence=params.confidence,
        num_resamples=params.num_resamples,
        seed=params.seed,
    )
    metrics = {
        "segment_accuracy": scores["segment_accuracy"],
        "segment_accuracy_low": interval.low,
        "segment_accuracy_high": interval.high,
        "category_accuracy": scores["category_accuracy"],
        "event_f1": scores["event_f1"],
        "background_share": scores["background_share"],
        "masked_segment_share": scores["masked_segment_share"],
        "num_clips": scores["num_clips"],
        "num_clips_expected": test.num_expected,
        "best_epoch": selected.checkpoint.epoch,
        "test_selected_segment_accuracy": segment_accuracy(on_test.predicted, truth),
        "test_selected_epoch": on_test.checkpoint.epoch,
    }
    names = [*dataset.categories, BACKGROUND]
    table = per_category(selected.predicted, selected.outputs.category_logits, truth)
    _write_categories(output / "per_class.csv", table, names)
    confusion = confusion_matrix(selected.predicted, truth, num_categories=len(dataset.categories))
    _write_confusion(output / "confusion.csv", confusion, names)
    _write_predictions(output / "predictions.csv", selected, test, names)
    write_json(output / "metrics.json", {key: _rounded(value) for key, value in metrics.items()})
    logger.info(
        "test: %.2f %% of segments [%.2f, %.2f] on %d of %d clips; always background: %.2f %%",
        metrics["segment_accuracy"],
        interval.low,
        interval.high,
        len(test),
        test.num_expected,
        metrics["background_share"],
    )


def _score(path: Path, dataset: Dataset, device: torch.device) -> _Scored:
    checkpoint, network = load_checkpoint(path, device)
    _require_fit(path, checkpoint, dataset)
    outputs = predict(network, dataset.test.clips, device=device, dtype=_dtype_of(network))
    valid = dataset.test.has_media.numpy()
    return _Scored(checkpoint, outputs, predict_segments(outputs.event_logits, outputs.category_logits, valid=valid))


def _require_fit(path: Path, checkpoint: Checkpoint, dataset: Dataset) -> None:
    pairs = {
        "categories": (checkpoint.categories, list(dataset.categories)),
        "recipe of the visual features": (checkpoint.visual_recipe, dataset.visual.index.recipe),
        "recipe of the audio features": (checkpoint.audio_recipe, dataset.audio.index.recipe),
    }
    for subject, (trained_on, found) in pairs.items():
        if trained_on != found:
            raise CheckpointError(
                explain(
                    f"{path}, {subject}",
                    expected=trained_on,
                    found=found,
                    remedy="evaluate on the data set and features it was trained on, or train again",
                )
            )


def _dtype_of(network: nn.Module) -> torch.dtype:
    return next(network.parameters()).dtype


def _write_categories(path: Path, table: Sequence[CategoryScores], names: Sequence[str]) -> None:
    columns = ("category", "num_clips", "num_event_segments", "segment_accuracy", "category_accuracy")
    write_csv(
        path,
        columns,
        (
            {
                "category": names[row.category],
                "num_clips": _blank(row.num_clips),
                "num_event_segments": row.num_event_segments,
                "segment_accuracy": _blank(row.segment_accuracy),
                "category_accuracy": _blank(row.category_accuracy),
            }
            for row in table
        ),
    )


def _write_confusion(path: Path, confusion: np.ndarray, names: Sequence[str]) -> None:
    write_csv(
        path,
        ("truth", "prediction", "count"),
        (
            {"truth": names[true], "prediction": names[guess], "count": int(confusion[true, guess])}
            for true in range(len(names))
            for guess in range(len(names))
        ),
    )


def _write_predictions(path: Path, scored: _Scored, test: LabelledClips, names: Sequence[str]) -> None:
    relevance = torch.sigmoid(torch.from_numpy(scored.outputs.event_logits)).numpy()
    truth = test.truth.numpy()
    write_csv(
        path,
        ("clip_id", "segment", "truth", "prediction", "relevance"),
        (
            {
                "clip_id": clip_id,
                "segment": segment,
                "truth": names[truth[clip, segment]],
                "prediction": names[scored.predicted[clip, segment]],
                "relevance": f"{relevance[clip, segment]:.6f}",
            }
            for clip, clip_id in enumerate(test.clips.clip_ids)
            for segment in range(truth.shape[1])
        ),
    )


def _blank(value: float | None) -> object:
    return "" if value is None else _rounded(value)


def _rounded(value: float | int) -> float | int:
    """Round to what is worth reading; whole numbers stay whole."""
    return value if isinstance(value, int) else round(value, 4)

"""Score trained weights on the test split and write what ``results/evaluate`` promises (see docs/metrics.md)."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline.core.files import write_csv, write_json
from pipeline.evaluation.scoring import Scored, load_selected, score
from pipeline.metrics.categories import CategoryScores, confusion_matrix, per_category
from pipeline.metrics.localization import evaluate
from pipeline.metrics.statistics import Resampling, bootstrap_interval, mean_and_deviation
from pipeline.params.schema import EvaluateParams
from pipeline.store.manifest import BACKGROUND
from pipeline.store.maps import save_maps
from pipeline.training.checkpoints import seed_folders
from pipeline.training.dataset import Dataset

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Seed:
    """What one seed says of the test split; selected on test, nothing is known of imported weights."""

    selected: Scored
    selected_on_test: Scored | None


@dataclass(frozen=True)
class _Scores:
    """The scores of one seed, percent of segments, beside the epochs they are of."""

    seed: int | None
    segment_accuracy: float
    best_epoch: int | None
    test_selected_segment_accuracy: float | None
    test_selected_epoch: int | None


def evaluate_run(params: EvaluateParams, dataset: Dataset, weights: Path, output: Path, device: torch.device) -> None:
    """Write ``metrics.json``, ``seeds.csv``, ``per_class.csv``, ``confusion.csv``, predictions and maps.

    All but ``seeds.csv`` are about the first seed; of several, ``metrics.json`` also has mean and deviation. All are
    about the test split but ``predictions_val.csv`` and the maps of the clips in it.

    Parameters
    ----------
    params : EvaluateParams
    dataset : Dataset
    weights : Path
        Output folder of the train stage, or one with imported weights.
    output : Path
    device : torch.device

    Raises
    ------
    CheckpointError
        If the weights are missing or were trained on other categories or features.
    TrainingError
        If no clip of the test split has features.
    """
    dataset.require_clips("test")
    test = dataset.test
    truth = test.truth.numpy()
    seeds, validated = _score(weights, dataset, device)
    selected = seeds[0].selected
    table_of_seeds = [_scores_of(seed) for seed in seeds]

    scores = evaluate(selected.predicted, selected.outputs.category_scores, truth, valid=test.has_media.numpy())
    counts = selected.count_per_video()
    interval = bootstrap_interval(counts.correct, counts.total, Resampling(**params.model_dump()))
    metrics = {
        "segment_accuracy": scores.pop("segment_accuracy"),
        "segment_accuracy_low": interval.low,
        "segment_accuracy_high": interval.high,
        **scores,
        "num_clips_expected": test.num_expected,
        "best_epoch": selected.checkpoint.epoch,
        "test_selected_segment_accuracy": table_of_seeds[0].test_selected_segment_accuracy,
        "test_selected_epoch": table_of_seeds[0].test_selected_epoch,
        **_over_seeds(table_of_seeds),
    }
    names = [*dataset.categories, BACKGROUND]
    table = per_category(selected.predicted, selected.outputs.category_scores, truth)
    _write_categories(output / "per_class.csv", table, names)
    confusion = confusion_matrix(selected.predicted, truth, num_categories=len(dataset.categories))
    _write_confusion(output / "confusion.csv", confusion, names)
    _write_predictions(output / "predictions.csv", selected, names)
    _write_predictions(output / "predictions_val.csv", validated, names)
    splits = {"test": selected, "val": validated}
    save_maps(output / "maps.safetensors", {name: scored.outputs.maps for name, scored in splits.items() if scored})
    _write_seeds(output / "seeds.csv", table_of_seeds)
    write_json(output / "metrics.json", {key: _rounded(value) for key, value in metrics.items() if value is not None})
    logger.info(
        "test: %.2f %% of segments [%.2f, %.2f] on %d of %d clips; always background: %.2f %%",
        metrics["segment_accuracy"],
        interval.low,
        interval.high,
        len(test),
        test.num_expected,
        metrics["background_share"],
    )
    if len(seeds) > 1:
        logger.info(
            "%d seeds: %.2f %% of segments, standard deviation %.2f",
            len(seeds),
            metrics["segment_accuracy_mean"],
            metrics["segment_accuracy_sd"],
        )


def _score(weights: Path, dataset: Dataset, device: torch.device) -> tuple[list[_Seed], Scored | None]:
    """Return what all seeds say of the test split, and the first one of the validation split, if that has clips."""
    loaded = [load_selected(folder, dataset, device) for folder in seed_folders(weights)]
    scored = iter(
        score([item for of_seed in loaded for item in of_seed], dataset.test, dataset, device, num_with_maps=1)
    )
    seeds = [_Seed(next(scored), next(scored) if len(of_seed) > 1 else None) for of_seed in loaded]
    if not len(dataset.val):
        return seeds, None
    (validated,) = score(loaded[0][:1], dataset.val, dataset, device, num_with_maps=1)
    return seeds, validated


def _scores_of(seed: _Seed) -> _Scores:
    on_test = seed.selected_on_test
    return _Scores(
        seed=seed.selected.checkpoint.seed,
        segment_accuracy=seed.selected.segment_accuracy,
        best_epoch=seed.selected.checkpoint.epoch,
        test_selected_segment_accuracy=on_test.segment_accuracy if on_test else None,
        test_selected_epoch=on_test.checkpoint.epoch if on_test else None,
    )


def _over_seeds(seeds: Sequence[_Scores]) -> dict[str, float]:
    """Return mean and standard deviation of both protocols over the seeds, where there are several."""
    if len(seeds) == 1:
        return {}
    mean, deviation = mean_and_deviation([seed.segment_accuracy for seed in seeds])
    on_test = [s.test_selected_segment_accuracy for s in seeds if s.test_selected_segment_accuracy is not None]
    test_mean, test_deviation = mean_and_deviation(on_test)
    return {
        "num_seeds": len(seeds),
        "segment_accuracy_mean": mean,
        "segment_accuracy_sd": deviation,
        "test_selected_segment_accuracy_mean": test_mean,
        "test_selected_segment_accuracy_sd": test_deviation,
    }


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


def _write_predictions(path: Path, scored: Scored | None, names: Sequence[str]) -> None:
    rows: list[dict[str, object]] = []
    if scored:
        relevance = scored.outputs.relevance
        truth = scored.clips.truth.numpy()
        rows = [
            {
                "clip_id": clip_id,
                "segment": segment,
                "truth": names[truth[clip, segment]],
                "prediction": names[scored.predicted[clip, segment]],
                "relevance": f"{relevance[clip, segment]:.6f}",
            }
            for clip, clip_id in enumerate(scored.clips.clips.clip_ids)
            for segment in range(truth.shape[1])
        ]
    write_csv(path, ("clip_id", "segment", "truth", "prediction", "relevance"), rows)


def _write_seeds(path: Path, seeds: Sequence[_Scores]) -> None:
    rows = [{column: _blank(value) for column, value in vars(seed).items()} for seed in seeds]
    write_csv(path, list(rows[0]), rows)


def _blank(value: float | None) -> object:
    return "" if value is None else _rounded(value)


def _rounded(value: float | int) -> float | int:
    """Round to what is worth reading; whole numbers stay whole."""
    return value if isinstance(value, int) else round(value, 4)

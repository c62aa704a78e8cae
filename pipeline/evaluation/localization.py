"""What evaluation of localization writes: accuracies with an interval, confusions, labels of segments."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.core.files import write_csv
from pipeline.evaluation.scoring import Scored
from pipeline.evaluation.text import blank
from pipeline.metrics.categories import CategoryScores, confusion_matrix, per_category
from pipeline.metrics.localization import evaluate
from pipeline.metrics.statistics import Resampling, bootstrap_interval
from pipeline.params.schema import EvaluateParams
from pipeline.store.manifest import BACKGROUND
from pipeline.store.maps import save_maps

logger = logging.getLogger(__name__)


def write_localization(
    params: EvaluateParams, categories: Sequence[str], selected: Scored, validated: Scored | None, output: Path
) -> dict[str, float | int]:
    """Write ``per_class.csv``, ``confusion.csv``, predictions and maps, and return the scores for ``metrics.json``.

    Parameters
    ----------
    params : EvaluateParams
    categories : sequence of str
        In class order.
    selected, validated : Scored
        What the weights selected on validation say of the test split and, if it has clips, of the validation split.
    output : Path
    """
    truth, valid = selected.clips.truth.numpy(), selected.clips.has_media.numpy()
    predicted = selected.clips.predicted(selected.outputs)
    category_scores = selected.outputs.category_scores
    scores = evaluate(predicted, category_scores, truth, valid=valid)
    counts = selected.per_video()["segment_accuracy"]
    interval = bootstrap_interval(counts.correct, counts.total, Resampling(**params.model_dump()))
    names = [*categories, BACKGROUND]
    _write_categories(output / "per_class.csv", per_category(predicted, category_scores, truth), names)
    confusion = confusion_matrix(predicted, truth, num_categories=len(categories))
    _write_confusion(output / "confusion.csv", confusion, names)
    _write_predictions(output / "predictions.csv", selected, names)
    _write_predictions(output / "predictions_val.csv", validated, names)
    splits = {"test": selected, "val": validated}
    save_maps(output / "maps.safetensors", {name: scored.outputs.maps for name, scored in splits.items() if scored})
    logger.info(
        "test: %.2f %% of segments [%.2f, %.2f] on %d of %d clips; always background: %.2f %%",
        scores["segment_accuracy"],
        interval.low,
        interval.high,
        len(selected.clips),
        selected.clips.num_expected,
        scores["background_share"],
    )
    return {
        "segment_accuracy": scores.pop("segment_accuracy"),
        "segment_accuracy_low": interval.low,
        "segment_accuracy_high": interval.high,
        **scores,
    }


def _write_categories(path: Path, table: Sequence[CategoryScores], names: Sequence[str]) -> None:
    columns = ("category", "num_clips", "num_event_segments", "segment_accuracy", "category_accuracy")
    write_csv(
        path,
        columns,
        (
            {
                "category": names[row.category],
                "num_clips": blank(row.num_clips),
                "num_event_segments": row.num_event_segments,
                "segment_accuracy": blank(row.segment_accuracy),
                "category_accuracy": blank(row.category_accuracy),
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
        truth, predicted = scored.clips.truth.numpy(), scored.clips.predicted(scored.outputs)
        rows = [
            {
                "clip_id": clip_id,
                "segment": segment,
                "truth": names[truth[clip, segment]],
                "prediction": names[predicted[clip, segment]],
                "relevance": f"{relevance[clip, segment]:.6f}",
            }
            for clip, clip_id in enumerate(scored.clips.clips.clip_ids)
            for segment in range(truth.shape[1])
        ]
    write_csv(path, ("clip_id", "segment", "truth", "prediction", "relevance"), rows)

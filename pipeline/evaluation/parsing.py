"""What evaluation of parsing writes: F-scores with intervals, by both gates, and what is heard and seen."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from pipeline.core.files import write_csv
from pipeline.evaluation.scoring import Scored
from pipeline.evaluation.text import blank
from pipeline.methods.contract import gate_of_rule
from pipeline.methods.settings import Gate
from pipeline.metrics.parsing import count_matches, evaluate, per_category, reference_scores
from pipeline.metrics.segments import masked_segment_share
from pipeline.metrics.statistics import Resampling, bootstrap_interval
from pipeline.params.schema import ParsingEvaluateParams
from pipeline.store.manifest import BACKGROUND
from pipeline.store.maps import save_maps
from pipeline.store.parsing_manifest import MODALITIES

logger = logging.getLogger(__name__)

REFERENCED = ("segment_type_at_av", "event_type_at_av")
"""The scores that those of predicting everything and nothing stand beside."""


def write_parsing(
    params: ParsingEvaluateParams, categories: Sequence[str], selected: Scored, validated: Scored | None, output: Path
) -> dict[str, float | int]:
    """Write ``per_class.csv``, ``confusion.csv``, predictions and maps, and return the scores for ``metrics.json``.

    Parameters
    ----------
    params : ParsingEvaluateParams
    categories : sequence of str
        In class order.
    selected, validated : Scored
        What the weights selected on validation say of the test split and, if it has clips, of the validation split.
    output : Path
    """
    gate = gate_of_rule(selected.rule)
    predicted, truth = selected.clips.predicted(selected.outputs, gate), selected.clips.truth.numpy()
    _write_categories(output / "per_class.csv", predicted, truth, categories)
    _write_confusion(output / "confusion.csv", predicted, truth, categories)
    for name, scored in (("predictions.csv", selected), ("predictions_val.csv", validated)):
        rows = _lanes(scored, gate, categories) if scored else iter(())
        write_csv(output / name, ("clip_id", "modality", "category", *_SEGMENT_COLUMNS), rows)
    splits = {"test": selected, "val": validated}
    save_maps(output / "maps.safetensors", {name: _maps(scored) for name, scored in splits.items() if scored})
    scores = _scores(params, selected, gate, predicted, truth)
    logger.info(
        "test: Type@AV %.2f %% per segment [%.2f, %.2f], %.2f %% per event, on %d of %d clips (gate: %s); everything: "
        "%.2f and %.2f %%, nothing: %.2f and %.2f %%",
        scores["segment_type_at_av"],
        scores["segment_type_at_av_low"],
        scores["segment_type_at_av_high"],
        scores["event_type_at_av"],
        len(selected.clips),
        selected.clips.num_expected,
        gate,
        *(scores[f"{reference}_{name}"] for reference in ("everything", "nothing") for name in REFERENCED),
    )
    return scores


_SEGMENT_COLUMNS = ("segment", "truth", "prediction", "probability")


def _scores(
    params: ParsingEvaluateParams, selected: Scored, gate: Gate, predicted: np.ndarray, truth: np.ndarray
) -> dict[str, float | int]:
    """Return the ten scores with their intervals, as micro averages and by the other gate, beside the references."""
    resampling = Resampling(**params.model_dump(exclude={"gate"}))
    of_split = evaluate(predicted, truth)
    scores: dict[str, float | int] = {}
    for name, counts in selected.clips.sum_scores(predicted).items():
        interval = bootstrap_interval(counts.correct, counts.total, resampling)
        scores |= {name: of_split[name], f"{name}_low": interval.low, f"{name}_high": interval.high}
    scores |= {name: value for name, value in of_split.items() if name not in scores}
    (other,) = (each for each in get_args(Gate) if each != gate)
    by_other = evaluate(selected.clips.predicted(selected.outputs, other), truth)
    scores |= {f"{other}_gate_{name}": value for name, value in by_other.items() if not name.startswith("micro_")}
    valid = selected.clips.has_media.numpy()
    for reference, values in reference_scores(truth, valid=valid).items():
        scores |= {f"{reference}_{name}": values[name] for name in REFERENCED}
    return scores | {"masked_segment_share": masked_segment_share(valid.all(axis=1)), "num_clips": len(truth)}


def _write_categories(path: Path, predicted: np.ndarray, truth: np.ndarray, names: Sequence[str]) -> None:
    rows = (
        {
            "category": names[row.category],
            "num_clips": row.num_clips,
            "audio": blank(row.segment_audio),
            "visual": blank(row.segment_visual),
            "audio_visual": blank(row.segment_audio_visual),
        }
        for row in per_category(predicted, truth)
    )
    write_csv(path, ("category", "num_clips", "audio", "visual", "audio_visual"), rows)


def _write_confusion(path: Path, predicted: np.ndarray, truth: np.ndarray, names: Sequence[str]) -> None:
    """Write how often each category is found, missed and invented, over the segments of both modalities.

    No category is taken for another: each may be there beside the others.
    """
    counts = count_matches(predicted, truth, level="segment").summed(0)
    event = 2  # the column in which audio and visual are added
    rows = [
        {"truth": true, "prediction": guess, "count": int(of_kind[event, number])}
        for number, name in enumerate(names)
        for true, guess, of_kind in (
            (name, name, counts.true_positives),
            (name, BACKGROUND, counts.false_negatives),
            (BACKGROUND, name, counts.false_positives),
        )
    ]
    write_csv(path, ("truth", "prediction", "count"), rows)


def _lanes(scored: Scored, gate: Gate, names: Sequence[str]) -> Iterator[dict[str, object]]:
    """Yield the segments of every category of a clip that is heard, or seen, or predicted to be.

    Of a clip without any there is the one of the largest probability, so that every clip is there.
    """
    probabilities = scored.outputs.segment_probabilities.transpose(0, 2, 3, 1)
    predicted, truth = scored.clips.predicted(scored.outputs, gate), scored.clips.truth.numpy()
    is_shown = (predicted | truth).any(axis=3)
    for clip, clip_id in enumerate(scored.clips.clips.clip_ids):
        if not is_shown[clip].any():
            most = probabilities[clip].max(axis=2)
            is_shown[clip][np.unravel_index(most.argmax(), most.shape)] = True
        for modality, category in np.argwhere(is_shown[clip]):
            for segment in range(truth.shape[3]):
                place = (clip, modality, category, segment)
                yield {
                    "clip_id": clip_id,
                    "modality": MODALITIES[modality],
                    "category": names[category],
                    "segment": segment,
                    "truth": names[category] if truth[place] else BACKGROUND,
                    "prediction": names[category] if predicted[place] else BACKGROUND,
                    "probability": f"{probabilities[place]:.6f}",
                }


def _maps(scored: Scored) -> dict[str, np.ndarray]:
    outputs = scored.outputs
    return {
        "probabilities": outputs.segment_probabilities.astype(np.float16),
        "clip_probabilities": outputs.clip_probabilities.astype(np.float16),
    }

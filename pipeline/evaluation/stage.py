"""Score trained weights on the test split and write what ``results/evaluate`` promises (see docs/metrics.md)."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.core.files import write_csv, write_json
from pipeline.core.references import resolve
from pipeline.evaluation.scoring import Scored, load_selected, score
from pipeline.evaluation.text import blank, rounded
from pipeline.methods.settings import Task
from pipeline.metrics.statistics import mean_and_deviation
from pipeline.params.schema import EvaluateParams
from pipeline.training.checkpoints import seed_folders
from pipeline.training.dataset import Dataset

logger = logging.getLogger(__name__)

WRITERS: Mapping[Task, str] = {
    "localization": "pipeline.evaluation.localization:write_localization",
    "parsing": "pipeline.evaluation.parsing:write_parsing",
}
"""References to what scores a task and writes its tables."""


@dataclass(frozen=True)
class _Seed:
    """What one seed says of the test split; selected on test, nothing is known of imported weights."""

    selected: Scored
    selected_on_test: Scored | None


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
        If the weights are missing or were trained for the other task, on other categories or on other features.
    TrainingError
        If no clip of the test split has features.
    """
    dataset.require_clips("test")
    seeds, validated = _score(params, weights, dataset, device)
    selected = seeds[0].selected
    name = dataset.score_name
    table_of_seeds = [_scores_of(seed, name) for seed in seeds]
    write: Any = resolve(WRITERS[dataset.task])
    metrics = {
        **write(params, dataset.categories, selected, validated, output),
        "num_clips_expected": selected.clips.num_expected,
        **{key: value for key, value in table_of_seeds[0].items() if key not in ("seed", name)},
        **_over_seeds(table_of_seeds, name),
    }
    _write_seeds(output / "seeds.csv", table_of_seeds)
    write_json(output / "metrics.json", {key: rounded(value) for key, value in metrics.items() if value is not None})
    if len(seeds) > 1:
        logger.info(
            "%d seeds: %.2f %%, standard deviation %.2f", len(seeds), metrics[f"{name}_mean"], metrics[f"{name}_sd"]
        )


def _score(
    params: EvaluateParams, weights: Path, dataset: Dataset, device: torch.device
) -> tuple[list[_Seed], Scored | None]:
    """Return what all seeds say of the test split, and the first one of the validation split, if that has clips."""
    loaded = [load_selected(folder, dataset, device) for folder in seed_folders(weights)]
    scored = iter(
        score([item for of_seed in loaded for item in of_seed], dataset.test, dataset, params, device, num_with_maps=1)
    )
    seeds = [_Seed(next(scored), next(scored) if len(of_seed) > 1 else None) for of_seed in loaded]
    if not len(dataset.val):
        return seeds, None
    (validated,) = score(loaded[0][:1], dataset.val, dataset, params, device, num_with_maps=1)
    return seeds, validated


def _scores_of(seed: _Seed, name: str) -> dict[str, Any]:
    """Return the score of a seed, in percent, beside the epochs it is of, by both ways of choosing."""
    on_test = seed.selected_on_test
    return {
        "seed": seed.selected.checkpoint.seed,
        name: seed.selected.score,
        "best_epoch": seed.selected.checkpoint.epoch,
        f"test_selected_{name}": on_test.score if on_test else None,
        "test_selected_epoch": on_test.checkpoint.epoch if on_test else None,
    }


def _over_seeds(seeds: Sequence[Mapping[str, Any]], name: str) -> dict[str, float]:
    """Return mean and standard deviation of both protocols over the seeds, where there are several."""
    if len(seeds) == 1:
        return {}
    scores: dict[str, float] = {"num_seeds": len(seeds)}
    for key in (name, f"test_selected_{name}"):
        mean, deviation = mean_and_deviation([seed[key] for seed in seeds if seed[key] is not None])
        scores |= {f"{key}_mean": mean, f"{key}_sd": deviation}
    return scores


def _write_seeds(path: Path, seeds: Sequence[Mapping[str, Any]]) -> None:
    rows = [{column: blank(value) for column, value in seed.items()} for seed in seeds]
    write_csv(path, list(rows[0]), rows)

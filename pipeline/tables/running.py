"""Train one row with one seed, as the train stage would, and score each video."""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from pipeline.core.devices import choose_device
from pipeline.core.errors import PipelineError, TrainingError
from pipeline.evaluation.scoring import load_selected, score
from pipeline.params.overriding import override
from pipeline.params.schema import Params
from pipeline.tables.plans import Plan
from pipeline.tables.records import Counts, Record, failed, write_record
from pipeline.training.dataset import Dataset, load_dataset
from pipeline.training.loop import train

logger = logging.getLogger(__name__)


def run_row(params: Params, plan: Plan, seed: int, prepared: Path, features: Path, output: Path) -> None:
    """Write the record of one training; one that fails has a record, too, with the reason.

    What the main graph or an earlier run has trained with the same settings is found in its scratch store.

    Parameters
    ----------
    params : Params
        What the plan does not say: the data set, its recipes, and how the machine is used.
    plan : Plan
    seed : int
    prepared, features : Path
        As :func:`pipeline.training.dataset.load_dataset`.
    output : Path
        Gets ``record.json`` and ``counts.csv``.

    Raises
    ------
    PipelineError
        If data, params or the machine would let no row be trained.
    """
    params = override(params, {**plan.values, "train.seed": seed, "train.num_seeds": 1}, subject=f"row {plan.row}")
    dataset = load_dataset(params, prepared, features)
    dataset.require_trainable(params.train.supervision)
    device = choose_device(params.train.device)
    counts = None
    try:
        with TemporaryDirectory() as weights:
            train(params.train, dataset, Path(weights), device)
            record, counts = _score(plan.row, params, Path(weights), dataset, device)
    except (PipelineError, OSError) as error:
        if not isinstance(error, TrainingError):
            raise
        record = failed(plan.row, seed, str(error))
    except Exception as error:  # Whatever it is, the other rows should not wait for it.
        logger.exception("row %s, seed %d failed", plan.row, seed)
        record = failed(plan.row, seed, f"{type(error).__name__}: {error}")
    write_record(output, record, counts)
    if record.reason:
        logger.warning("row %s, seed %d has no score: %s", plan.row, seed, record.reason)


def _score(
    row: str, params: Params, weights: Path, dataset: Dataset, device: torch.device
) -> tuple[Record, dict[str, Counts]]:
    """Score the weights on the test split: those that the recipe keeps, and those selected on test."""
    scored = score(load_selected(weights, dataset, device), dataset.test, dataset, params.evaluate, device)
    kept, on_test = (of.per_video() for of in scored)
    for of, videos in zip(scored, (kept, on_test), strict=True):
        leading = videos[dataset.score_name]
        logger.info(
            "test: %.2f %% with epoch %d, selected on %s",
            100.0 * leading.correct.sum() / leading.total.sum(),
            of.checkpoint.epoch,
            of.checkpoint.selected_on,
        )
    kept_epoch, epoch_on_test = (of.checkpoint.epoch or 0 for of in scored)
    record = Record(
        row=row,
        seed=params.train.seed,
        reason="",
        num_clips=len(dataset.test),
        num_clips_expected=dataset.test.num_expected,
        best_epoch=kept_epoch,
        test_selected_epoch=epoch_on_test,
        weights=weights_of(dataset),
    )
    return record, {
        metric: Counts(videos.video_ids, videos.total, videos.correct, on_test[metric].correct)
        for metric, videos in kept.items()
    }


def weights_of(dataset: Dataset) -> dict[str, str]:
    """Return what the features were made with: by modality, and of the motion stream where the visual ones have one."""
    weights = {folder.index.modality: folder.index.origin for folder in (dataset.visual, dataset.audio)}
    motion = dataset.visual.index.recipe.get("motion")
    return weights if motion is None else {**weights, "motion": motion["weights"]}

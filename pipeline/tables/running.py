"""Train one row with one seed, as the train stage would, and count per video what it gets right."""

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
            record, counts = _score(plan.row, seed, Path(weights), dataset, device)
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


def _score(row: str, seed: int, weights: Path, dataset: Dataset, device: torch.device) -> tuple[Record, Counts]:
    """Score the weights on the test split: those selected on validation, and those selected on test."""
    best, best_on_test = score(load_selected(weights, dataset, device), dataset.test, dataset, device)
    for scored in (best, best_on_test):
        logger.info(
            "test: %.2f %% with epoch %d, the best on %s",
            scored.score,
            scored.checkpoint.epoch,
            scored.checkpoint.selected_on,
        )
    selected, on_test = (scored.per_video()["segment_accuracy"] for scored in (best, best_on_test))
    record = Record(
        row=row,
        seed=seed,
        reason="",
        num_clips=len(dataset.test),
        num_clips_expected=dataset.test.num_expected,
        best_epoch=best.checkpoint.epoch or 0,
        test_selected_epoch=best_on_test.checkpoint.epoch or 0,
        weights={folder.index.modality: folder.index.origin for folder in (dataset.visual, dataset.audio)},
    )
    return record, Counts(selected.video_ids, selected.total, selected.correct, on_test.correct)

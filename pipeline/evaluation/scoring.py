"""From trained weights to what they get right: their answers about a split, and the scores of these."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.core.errors import CheckpointError, explain
from pipeline.methods.registry import METHODS
from pipeline.metrics.segments import VideoCounts
from pipeline.params.schema import EvaluateParams
from pipeline.training.checkpoints import SELECTIONS, Checkpoint, load_checkpoint
from pipeline.training.dataset import Dataset, Labelled
from pipeline.training.inference import ARITHMETIC, predict_each, reproducible
from pipeline.training.loading import open_store

Loaded = tuple[Checkpoint, nn.Module]
"""A file of weights, and its network."""


@dataclass(frozen=True)
class Scored:
    """One checkpoint's outputs about the clips of a split, and the `rule` by which labels follow from them."""

    checkpoint: Checkpoint
    clips: Any
    outputs: Any
    rule: str

    @property
    def score(self) -> float:
        """The score that epochs are selected by, in percent; by the rule asked for, which may differ from theirs."""
        score: float = self.clips.score(self.outputs, self.rule)
        return score

    def per_video(self) -> dict[str, VideoCounts]:
        """Return the scores of each video, by name; that by which epochs are selected comes first."""
        counts: dict[str, VideoCounts] = self.clips.per_video(self.outputs, self.rule)
        return counts


def load_selected(folder: Path, dataset: Dataset, device: torch.device) -> list[Loaded]:
    """Return the weights of one seed: those selected on validation and, unless imported, those selected on test.

    Parameters
    ----------
    folder : Path
        What the training of one seed wrote.
    dataset : Dataset
        What is to be scored.
    device : torch.device

    Raises
    ------
    CheckpointError
        If they are missing, damaged, or were trained for the other task, on other categories or on other features.
    """
    selected = _load(folder / SELECTIONS["val"], dataset, device)
    return [selected, _load(folder / SELECTIONS["test"], dataset, device)] if selected[0].selected_on else [selected]


def score(
    loaded: Sequence[Loaded],
    clips: Labelled,
    dataset: Dataset,
    params: EvaluateParams,
    device: torch.device,
    *,
    num_with_maps: int = 0,
) -> list[Scored]:
    """Run networks of one precision over a split, which is read once.

    Parameters
    ----------
    loaded : sequence of Loaded
        At least one.
    clips : Labelled
        One of the dataset's splits.
    dataset : Dataset
    params : EvaluateParams
        It says by which rule.
    device : torch.device
    num_with_maps : int, optional
        Of the first so many, the outputs have maps.

    Raises
    ------
    ShardError
        If features cannot be read.
    """
    arithmetic = ARITHMETIC[loaded[0][0].precision]
    networks = [network for _, network in loaded]
    # One pass: nothing is worth holding.
    with reproducible(), open_store(dataset, "stream", device, arithmetic.network, num_workers=0) as store:
        answers = predict_each(networks, clips.clips, store, arithmetic, num_with_maps=num_with_maps)
    return [
        Scored(checkpoint, clips, outputs, params.rule_of(checkpoint.method))
        for (checkpoint, _), outputs in zip(loaded, answers, strict=True)
    ]


def _load(path: Path, dataset: Dataset, device: torch.device) -> tuple[Checkpoint, nn.Module]:
    checkpoint, network = load_checkpoint(path, device)
    _require_fit(path, checkpoint, dataset)
    return checkpoint, network


def _require_fit(path: Path, checkpoint: Checkpoint, dataset: Dataset) -> None:
    pairs: dict[str, tuple[object, object]] = {
        "task": (METHODS[checkpoint.method].task, dataset.task),
        "categories": (checkpoint.categories, list(dataset.categories)),
        "recipe of the visual features": (checkpoint.visual_recipe, dataset.visual.index.recipe),
        "recipe of the audio features": (checkpoint.audio_recipe, dataset.audio.index.recipe),
        "sizes of the features": (checkpoint.inputs, dataset.network_inputs),
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

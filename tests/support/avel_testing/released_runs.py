"""Runs of the product's own training loop on the one batch of a golden set, recorded step by step."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.localization.answers import Localization
from models.localization.released import translate_names
from pipeline.methods.registry import METHODS
from pipeline.params.schema import TrainParams
from pipeline.training.checkpoints import new_checkpoint
from pipeline.training.dataset import ClipBatch, Splits
from pipeline.training.localization import terms
from pipeline.training.localization.dataset import CategoryClips, LabelledClips
from pipeline.training.localization.labels import ClipLabels, SegmentLabels
from pipeline.training.loop import Run


@dataclass
class Record:
    """What a run left behind; `terms` also has those that it gives no weight."""

    names: dict[str, str]
    labels: ClipLabels
    first: Localization
    before: dict[str, Tensor]
    terms: dict[str, float] = field(default_factory=dict)
    gradients: dict[str, Tensor] = field(default_factory=dict)
    after: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    def keep_first_gradient(self, name: str, parameter: Tensor) -> None:
        self.gradients.setdefault(name, parameter.grad.clone())


@dataclass
class Store:
    """A feature store of one batch, in double precision, which comes in another order every time, or in its own."""

    visual: Tensor
    audio: Tensor
    shuffles: bool = True

    def epoch_order(self, clips: CategoryClips) -> Tensor:
        return torch.randperm(len(clips)) if self.shuffles else torch.arange(len(clips))

    def batches(self, clips: CategoryClips, batches: Sequence[Sequence[int]]) -> Iterator[ClipBatch]:
        for positions in batches:
            yield ClipBatch(self.visual[positions], self.audio[positions], clips.categories[positions])


@dataclass(frozen=True)
class ReleasedLabels(ClipLabels):
    """Labels per segment where a clip without an event has a category all the same; to us it has none to learn."""

    events: Tensor

    @property
    def segment_classes(self) -> Tensor:
        return SegmentLabels(self.categories, self.num_categories, self.events).segment_classes


class ReleasedRun(Run):
    """A run that is told the category that the released code makes of every clip."""

    def _labels(self, batch: ClipBatch, positions: Sequence[int]) -> ClipLabels:
        labels = super()._labels(batch, positions)
        if isinstance(labels, SegmentLabels):
            return ReleasedLabels(labels.categories, labels.num_categories, labels.events)
        return labels


def make_splits(
    params: TrainParams, categories: Tensor, segments: np.ndarray, events: Tensor, event_shares: Tensor | None = None
) -> Splits:
    """Return the set's batch to train on, weak training without labels per segment, and its first clip to score."""
    clip_ids = tuple(str(number) for number in range(len(segments)))
    clips = CategoryClips(clip_ids, clip_ids, categories, segments.shape[2] - 1, None, None, event_shares)
    truth = torch.from_numpy(segments.argmax(axis=2))
    labelled = LabelledClips(clips, events, truth, torch.ones_like(events), len(clips))
    first = replace(clips, clip_ids=clip_ids[:1], video_ids=clip_ids[:1], categories=categories[:1], event_shares=None)
    scored = LabelledClips(first, events[:1], truth[:1], labelled.has_media[:1], len(first))
    return Splits(labelled if params.supervision == "full" else clips, scored, scored)


def make_run(params: TrainParams, splits: Splits, store: Store, released: nn.Module, scratch: Path) -> Run:
    """Return a run that starts from the weights of `released`, without dropout."""
    *map_shape, channels = store.visual.shape[2:]
    dataset = SimpleNamespace(
        categories=tuple(str(number) for number in range(splits.training_clips.num_categories)),
        network_inputs={
            "visual_channels": channels,
            "num_positions": math.prod(map_shape),
            "audio_features": store.audio.shape[-1],
        },
        visual=SimpleNamespace(index=SimpleNamespace(recipe={})),
        audio=SimpleNamespace(index=SimpleNamespace(recipe={})),
    )
    description = new_checkpoint(params, dataset)
    run = ReleasedRun(params, splits, description, store, torch.device("cpu"), scratch)
    run.network.load_state_dict(released.state_dict())
    for module in run.network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    return run


def record_run(run: Run, store: Store, labels: ClipLabels, names: Sequence[str], settings: Any, method: str) -> Record:
    """Train as the set did, one batch an epoch, and remember; `settings` and `method` say which terms there are."""
    params, network = run.params, run.network
    with torch.no_grad():
        first = network(store.visual, store.audio)
        every = [terms.TERMS[name](settings) for name in METHODS[method].terms[params.supervision]]
        unweighted = {term.name: term.compute(first, labels).item() for term in every if term.weight == 0}
    record = Record(translate_names(names, network), labels, first, before=copy_of(network), terms=unweighted)
    for name, parameter in network.named_parameters():  # before they are clipped
        parameter.register_post_accumulate_grad_hook(partial(record.keep_first_gradient, name))
    for number in range(params.settings.num_epochs):
        record.history.append(run.epoch())
        if number == 0:
            record.after = copy_of(network)
    for name, value in record.history[0].items():
        if name.startswith("train_"):
            record.terms[name.removeprefix("train_")] = value
    return record


def copy_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


@dataclass(frozen=True)
class Comparison:
    """A recorded run beside the arrays of its case, with the tolerances of the set."""

    record: Record
    arrays: dict[str, np.ndarray]
    relative: float
    absolute: float

    def compare(self, actual: object, expected: np.ndarray, name: str) -> None:
        np.testing.assert_allclose(actual, expected, rtol=self.relative, atol=self.absolute, err_msg=name)

    def check_terms(self, ours: dict[str, str]) -> None:
        """Compare every loss at the first step; `ours` maps released names to ours."""
        expected = {
            ours[name.removeprefix("loss.")]: value for name, value in self.arrays.items() if name.startswith("loss.")
        }
        assert self.record.terms.keys() == expected.keys()
        for name, value in expected.items():
            self.compare(self.record.terms[name], value, name)

    def check_gradients(self) -> None:
        """Compare norms of all first gradients, and those gradients that the set has in full."""
        record, arrays = self.record, self.arrays
        # A parameter that nothing learns from has a gradient of zero in one loop, and none in another.
        gradients = zip(arrays["param_names"], arrays["has_grad"], arrays["grad_norm"], strict=True)
        learning = {key for key, has_gradient, norm in gradients if has_gradient and norm > 0}
        assert learning == {key for key in record.names if self._learns(key)}
        for key, norm in zip(arrays["param_names"], arrays["grad_norm"], strict=True):
            self.compare(record.gradients[record.names[key]].norm() if self._learns(key) else 0.0, norm, key)
        self._compare_in_full("grad", record.gradients)

    def check_update(self) -> None:
        """Compare the first update of every parameter, and those parameters that the set has in full."""
        record, arrays = self.record, self.arrays
        for key, norm in zip(arrays["param_names"], arrays["update_norm"], strict=True):
            ours = record.names.get(key)
            self.compare((record.after[ours] - record.before[ours]).norm() if ours else 0.0, norm, key)
        self._compare_in_full("param_after_1", record.after)

    def check_trajectory(self) -> None:
        """Compare the loss before, and the gradient's norm at, every step."""
        for name, column in (("loss_trajectory", "train_loss"), ("total_grad_norm", "gradient_norm")):
            self.compare([row[column] for row in self.record.history], self.arrays[name], name)

    def _compare_in_full(self, kind: str, values: dict[str, Tensor]) -> None:
        listed = [name for name in self.arrays if name.startswith(f"{kind}.")]
        assert listed
        for name in listed:
            self.compare(values[self.record.names[name.removeprefix(f"{kind}.")]], self.arrays[name], name)

    def _learns(self, key: str) -> bool:
        gradient = self.record.gradients.get(self.record.names.get(key, ""))
        return gradient is not None and bool(gradient.any())

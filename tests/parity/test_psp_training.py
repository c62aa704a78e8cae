"""Training of PSP and CPSP, full and weak, against the released loop: losses, gradients and updates.

What is compared is :class:`pipeline.training.loop.Run`, with the terms and weights that the method's params give it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from torch import Tensor, nn

from models.localization.psp import PSPLocalization, PSPNet
from models.localization.released import translate_names
from pipeline.methods.registry import METHODS
from pipeline.params.schema import Params, TrainParams
from pipeline.training import terms
from pipeline.training.checkpoints import new_checkpoint
from pipeline.training.dataset import ClipBatch, Clips, LabelledClips
from pipeline.training.loop import Run, Splits
from pipeline.training.objective import ClipLabels, SegmentLabels

pytestmark = pytest.mark.slow

PRESET = Path(__file__).resolve().parents[2] / "data/ave/preset.yaml"
# What the released code fixes where the set's train.json has no entry.
TEMPERATURE, FULL_MARGIN, FULL_NEGATIVES = 0.6, 0.2, 3
TERMS = {
    "is_event": "relevance",
    "event_class": "category",
    "avps": "avpsp",
    "scon": "spsa",
    "vcon": "vpsa",
    "total": "loss",
}
"""Released names of the terms and of their weighted sum, to ours."""
OUTPUTS: dict[str, Callable[[PSPLocalization], Tensor]] = {
    "event_logits": lambda found: found.event_logits,
    "category_logits": lambda found: found.category_logits,
    "avps": lambda found: found.similarity,
    "video_probs": lambda found: found.clip_probabilities,
    "fusion": lambda found: found.fusion,
}


@dataclass
class Record:
    """What a run left behind; `terms` also has those that it gives no weight."""

    names: dict[str, str]
    first: PSPLocalization
    before: dict[str, Tensor]
    terms: dict[str, float] = field(default_factory=dict)
    gradients: dict[str, Tensor] = field(default_factory=dict)
    after: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    def keep_first_gradient(self, name: str, parameter: Tensor) -> None:
        self.gradients.setdefault(name, parameter.grad.clone())


@dataclass
class Store:
    """A feature store of one batch, in double precision, which comes in another order every time."""

    visual: Tensor
    audio: Tensor

    def epoch_order(self, clips: Clips) -> Tensor:
        return torch.randperm(len(clips))

    def batches(self, clips: Clips, batches: Sequence[Sequence[int]]) -> Iterator[ClipBatch]:
        for positions in batches:
            yield ClipBatch(self.visual[positions], self.audio[positions], clips.categories[positions])


@dataclass(frozen=True)
class ReleasedLabels(ClipLabels):
    """Labels per segment where a clip without an event has a category all the same; to us it has none to learn."""

    events: Tensor


class ReleasedRun(Run):
    """A run that is told the category that the released code makes of every clip."""

    def _labels(self, batch: ClipBatch, positions: Sequence[int]) -> ClipLabels:
        labels = super()._labels(batch, positions)
        return ReleasedLabels(labels.categories, labels.events) if isinstance(labels, SegmentLabels) else labels


def train_params(case: dict[str, Any], network: PSPNet, num_clips: int) -> TrainParams:
    """Return the params of a case: the preset's, with what the set and its network settle."""
    content = YAML(typ="safe", pure=True).load(PRESET)
    supervision = "full" if "lambda_avps" in case else "weak"
    preset = content["train"]["cpsp"][supervision]
    settings = preset | {
        "tau": network.propagation.tau,
        "pooling": network.heads.pooling,
        "batch_size": num_clips,
        "num_epochs": case["steps"],
        "learning_rate": case["lr"],
        "milestones": [],
        "max_gradient_norm": case["clip"],
        "vpsa": preset["vpsa"]
        | {
            "weight": case["lambda_vcon"],
            "form": "triplet",
            "margin": case.get("margin", FULL_MARGIN),
            "num_negatives": case.get("neg_num", FULL_NEGATIVES),
        },
    }
    if supervision == "full":
        settings["avpsp"] = {"weight": case["lambda_avps"]}
        settings["spsa"] = {"weight": case["lambda_scon"], "form": "released", "temperature": TEMPERATURE}
    for method in ("psp", "cpsp"):
        known = content["train"][method][supervision]
        content["train"][method][supervision] = {key: settings[key] for key in known}
    is_cpsp = case["lambda_vcon"] > 0 or case.get("lambda_scon", 0) > 0
    content["train"] |= {
        "method": "cpsp" if is_cpsp else "psp",
        "supervision": supervision,
        "precision": "float64",
    }
    return Params.model_validate(content).train


def make_labels(inputs: dict[str, np.ndarray], params: TrainParams, released: dict[str, np.ndarray]) -> ClipLabels:
    """Return the labels of the set's batch: all that the supervision gives."""
    if params.supervision == "full":
        return ReleasedLabels(
            torch.from_numpy(released["labels_event"]), torch.from_numpy(released["labels_BCE"]).bool()
        )
    assert (inputs["labels_weak"].sum(axis=1) == 1).all()
    return ClipLabels(torch.from_numpy(inputs["labels_weak"].argmax(axis=1)))


def make_splits(labels: ClipLabels, segments: np.ndarray, events: Tensor) -> Splits:
    """Return the set's batch as every split; weak training gets no label per segment."""
    clip_ids = tuple(str(number) for number in range(len(segments)))
    clips = Clips(clip_ids, clip_ids, labels.categories, segments.shape[2] - 1, visual=None, audio=None)
    truth = torch.from_numpy(segments.argmax(axis=2))
    labelled = LabelledClips(clips, events, truth, torch.ones_like(events), len(clips))
    return Splits(labelled if isinstance(labels, ReleasedLabels) else clips, labelled, labelled)


def train(run: Run, store: Store, labels: ClipLabels, names: Sequence[str]) -> Record:
    """Train as the set did, one batch an epoch, and remember."""
    params, network = run.params, run.network
    with torch.no_grad():
        first = network(store.visual, store.audio)
        settings = getattr(params.cpsp, params.supervision)
        every = [terms.TERMS[name](settings) for name in METHODS["cpsp"].terms[params.supervision]]
        unweighted = {term.name: term.compute(first, labels).item() for term in every if term.weight == 0}
    record = Record(translate_names(names, network), first, before=copy_of(network), terms=unweighted)
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


@pytest.fixture(scope="module")
def trained(
    golden, released_network, released_labels, tmp_path_factory
) -> Callable[[str], tuple[Record, dict[str, np.ndarray]]]:
    """Return a function that trains as a case of the set did, once, and gives our record and the set's arrays."""
    records: dict[str, tuple[Record, dict[str, np.ndarray]]] = {}

    def run_case(name: str) -> tuple[Record, dict[str, np.ndarray]]:
        if name not in records:
            case, inputs, arrays = golden.json("train")[name], golden.arrays("train_inputs"), golden.arrays(name)
            released = released_network(case["model"])
            store = Store(*(torch.from_numpy(inputs[key]).double() for key in ("video_vgg", "audio")))
            params = train_params(case, released, len(store.visual))
            segments = inputs["labels_full"]
            of_segments = released_labels(segments)
            labels = make_labels(inputs, params, of_segments)
            splits = make_splits(labels, segments, torch.from_numpy(of_segments["labels_BCE"]).bool())
            dataset = SimpleNamespace(
                categories=tuple(str(number) for number in range(segments.shape[2] - 1)),
                visual=SimpleNamespace(feature_shape=store.visual.shape[2:], index=SimpleNamespace(recipe={})),
                audio=SimpleNamespace(feature_shape=store.audio.shape[2:], index=SimpleNamespace(recipe={})),
            )
            description = new_checkpoint(params, dataset)
            scratch = tmp_path_factory.mktemp(name)
            run = ReleasedRun(params, splits, description, store, torch.device("cpu"), scratch)
            run.network.load_state_dict(released.state_dict())
            for module in run.network.modules():
                if isinstance(module, nn.Dropout):
                    module.p = 0.0
            records[name] = train(run, store, labels, [str(key) for key in arrays["param_names"]]), arrays
        return records[name]

    return run_case


def compare(golden, actual: object, expected: np.ndarray, name: str) -> None:
    np.testing.assert_allclose(actual, expected, rtol=golden.relative, atol=golden.absolute, err_msg=name)


def test_the_first_forward_pass_agrees(golden, trained, training_case):
    record, arrays = trained(training_case)
    for name in OUTPUTS.keys() & arrays.keys():
        compare(golden, OUTPUTS[name](record.first), arrays[name], name)


def test_every_loss_term_agrees(golden, trained, training_case):
    record, arrays = trained(training_case)
    expected = {TERMS[name.removeprefix("loss.")]: value for name, value in arrays.items() if name.startswith("loss.")}
    assert record.terms.keys() == expected.keys()
    for name, value in expected.items():
        compare(golden, record.terms[name], value, name)


def test_every_gradient_agrees(golden, trained, training_case):
    record, arrays = trained(training_case)
    assert {key for key, has in zip(arrays["param_names"], arrays["has_grad"], strict=True) if has} == set(record.names)
    for key, norm in zip(arrays["param_names"], arrays["grad_norm"], strict=True):
        ours = record.gradients[record.names[key]].norm() if key in record.names else 0.0
        compare(golden, ours, norm, key)
    for key, ours in record.names.items():
        if f"grad.{key}" in arrays:
            compare(golden, record.gradients[ours], arrays[f"grad.{key}"], key)


def test_the_first_update_agrees(golden, trained, training_case):
    record, arrays = trained(training_case)
    for key, norm in zip(arrays["param_names"], arrays["update_norm"], strict=True):
        ours = record.names.get(key)
        compare(golden, (record.after[ours] - record.before[ours]).norm() if ours else 0.0, norm, key)
    for key, ours in record.names.items():
        if f"param_after_1.{key}" in arrays:
            compare(golden, record.after[ours], arrays[f"param_after_1.{key}"], key)


def test_the_run_stays_together_over_all_steps(golden, trained, training_case):
    record, arrays = trained(training_case)
    for name, column in (("loss_trajectory", "train_loss"), ("total_grad_norm", "gradient_norm")):
        compare(golden, [row[column] for row in record.history], arrays[name], name)


@pytest.mark.parametrize("clip_prediction", ["category_logits", "video_probs"])
def test_accuracy_agrees_by_category_logits_as_by_clip_probabilities(golden, trained, clip_prediction):
    # Both have the same arg-max: the weak head multiplies all positive logits by one number, all negative by another.
    labels = golden.arrays("train_inputs")["labels_full"]
    truth, background = labels.argmax(axis=2), labels.shape[2] - 1
    scored = [name for name, run in golden.json("train").items() if "lambda_vcon" in run]
    compared = 0
    for record, arrays in map(trained, scored):
        if "accuracy" in arrays:
            category = OUTPUTS[clip_prediction](record.first).argmax(dim=1, keepdim=True)
            is_event = torch.sigmoid(record.first.event_logits) > 0.5
            predicted = torch.where(is_event, category, background).numpy()
            compare(golden, 100 * np.mean(predicted == truth), arrays["accuracy"], "accuracy")
            compared += 1
    assert compared > 0

"""Training of networks that class segments, and of CMRAN with a class for background, against the released loops.

The loop here is as plain as theirs: the same batch in every step, Adam, and the gradient clipped where they clip it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from avel_testing.counterparts import load_counterpart
from models.localization.answers import GatedLocalization, Localization
from models.localization.losses import similarity_share_loss, weak_category_loss
from models.localization.released import translate_names
from models.localization.segment_losses import (
    class_share_loss,
    event_share_targets,
    segment_class_loss,
    segment_margin_loss,
)

pytestmark = pytest.mark.slow

CASES = [
    "train_psp2021_full",
    "train_psp2021_weak",
    "train_ave_att_full",
    "train_ave_att_weak",
    "train_ave_dmrn_full",
    "train_cmran_original_weak29",
]


@dataclass(frozen=True)
class Labels:
    """What the set's batch has to learn.

    Attributes
    ----------
    classes : torch.Tensor, shape (B, T)
        Of the segments, background last.
    clip_classes : torch.Tensor, shape (B,)
        Of the clips.
    shares : torch.Tensor, shape (B, C + 1)
        Of the classes in each clip.
    events : torch.Tensor, shape (B, T)
        Which segments are not background.
    """

    classes: Tensor
    clip_classes: Tensor
    shares: Tensor
    events: Tensor


def losses(case: dict[str, Any], found: Localization, labels: Labels) -> dict[str, tuple[float, Tensor]]:
    """Return the weight and the value of every loss of a case, under the set's names."""
    match case["model"]:
        case "psp2021_full":
            targets = event_share_targets(labels.events, dtype=torch.float64)
            return {
                "cls": (1.0, segment_class_loss(found.segment_logits, labels.classes)),
                "avps": (case["lambda_avps"], similarity_share_loss(found.similarity, targets)),
            }
        case "psp2021_weak":
            return {"bce": (1.0, class_share_loss(found.clip_probabilities, labels.shares))}
        case "ave_att_full" | "ave_dmrn_full":
            probabilities = torch.softmax(found.segment_logits, dim=-1)
            return {"multilabel": (1.0, segment_margin_loss(probabilities, labels.classes))}
        case "ave_att_weak" | "cmran_original_weak29":
            return {"multilabel": (1.0, weak_category_loss(found.clip_probabilities, labels.clip_classes))}
    raise AssertionError(case["model"])


@dataclass
class Record:
    """What a run left behind: names by released name, and the rest by ours."""

    names: dict[str, str]
    first: Localization | None = None
    losses: dict[str, float] = field(default_factory=dict)
    gradients: dict[str, Tensor] = field(default_factory=dict)
    before: dict[str, Tensor] = field(default_factory=dict)
    after: dict[str, Tensor] = field(default_factory=dict)
    loss_trajectory: list[float] = field(default_factory=list)
    total_grad_norm: list[float] = field(default_factory=list)


def train(network: nn.Module, case: dict[str, Any], inputs: tuple[Tensor, Tensor], labels: Labels) -> Record:
    """Train as the set did, and remember; dropout is off."""
    record = Record({}, before=copy_of(network))
    optimiser = torch.optim.Adam(network.parameters(), lr=case["lr"])
    for step in range(case["steps"]):
        found = network(*inputs)
        terms = losses(case, found, labels)
        total = sum(weight * value for weight, value in terms.values())
        optimiser.zero_grad()
        total.backward()
        if step == 0:
            record.first = found
            record.losses = {name: value.item() for name, (_, value) in terms.items()} | {"total": total.item()}
            record.gradients = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
        record.loss_trajectory.append(total.item())
        norm = nn.utils.clip_grad_norm_(network.parameters(), case["clip"] or torch.inf)
        record.total_grad_norm.append(norm.item())
        optimiser.step()
        if step == 0:
            record.after = copy_of(network)
    return record


def copy_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


@pytest.fixture(scope="module")
def labels(golden_more) -> Labels:
    """Return the labels of the set's batch."""
    arrays = golden_more.arrays("train_inputs")
    classes = torch.from_numpy(arrays["labels_full"].argmax(axis=2))
    return Labels(
        classes,
        torch.from_numpy(arrays["labels_weak29"].argmax(axis=1)),
        torch.from_numpy(arrays["prob_label"]),
        classes != arrays["labels_full"].shape[2] - 1,
    )


@pytest.fixture(scope="module")
def trained(golden_more, labels) -> Callable[[str], tuple[Record, dict[str, np.ndarray]]]:
    """Return a function that trains as a case of the set did, once, and gives our record and the set's arrays."""
    arrays = golden_more.arrays("train_inputs")
    visual, audio = (torch.from_numpy(arrays[name]).double() for name in ("video_vgg", "audio"))

    @cache
    def run_case(name: str) -> tuple[Record, dict[str, np.ndarray]]:
        case, expected = golden_more.json("train")[name], golden_more.arrays(name)
        model = f"models/{case['model']}"
        network = load_counterpart(case["model"], golden_more.json(model), golden_more.weights(model))
        record = train(network, case, (visual, audio), labels)
        record.names = translate_names([str(key) for key in expected["param_names"]], network)
        return record, expected

    return run_case


def compare(golden, found: object, expected: object, name: str) -> None:
    np.testing.assert_allclose(found, expected, rtol=golden.relative, atol=golden.absolute, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_every_loss_agrees(golden_more, trained, case):
    record, arrays = trained(case)
    expected = {name.removeprefix("loss."): value for name, value in arrays.items() if name.startswith("loss.")}
    assert record.losses.keys() == expected.keys()
    for name, value in expected.items():
        compare(golden_more, record.losses[name], value, name)


@pytest.mark.parametrize("case", CASES)
def test_every_gradient_agrees(golden_more, trained, case):
    record, arrays = trained(case)
    assert {key for key, has in zip(arrays["param_names"], arrays["has_grad"], strict=True) if has} == set(record.names)
    for key, norm in zip(arrays["param_names"], arrays["grad_norm"], strict=True):
        compare(golden_more, record.gradients[record.names[key]].norm() if key in record.names else 0.0, norm, key)
    for key, ours in record.names.items():
        if f"grad.{key}" in arrays:
            compare(golden_more, record.gradients[ours], arrays[f"grad.{key}"], key)


@pytest.mark.parametrize("case", CASES)
def test_the_first_update_agrees(golden_more, trained, case):
    record, arrays = trained(case)
    for key, norm in zip(arrays["param_names"], arrays["update_norm"], strict=True):
        ours = record.names.get(key)
        compare(golden_more, (record.after[ours] - record.before[ours]).norm() if ours else 0.0, norm, key)
    for key, ours in record.names.items():
        if f"param_after_1.{key}" in arrays:
            compare(golden_more, record.after[ours], arrays[f"param_after_1.{key}"], key)


@pytest.mark.parametrize("case", CASES)
def test_the_run_stays_together_over_all_steps(golden_more, trained, case):
    record, arrays = trained(case)
    for name in ("loss_trajectory", "total_grad_norm"):
        compare(golden_more, getattr(record, name), arrays[name], name)


@pytest.mark.parametrize("case", CASES)
def test_the_accuracy_agrees(golden_more, trained, labels, case):
    record, arrays = trained(case)
    first = record.first
    if isinstance(first, GatedLocalization):
        background = first.category_logits.shape[1] - 1
        is_event = torch.sigmoid(first.event_logits) > 0.5
        predicted = torch.where(is_event, first.category_logits.argmax(dim=1, keepdim=True), background)
        np.testing.assert_array_equal(predicted, arrays["predicted"])
        percent = 100
    else:
        predicted, percent = first.segment_logits.argmax(dim=2), 1
    compare(golden_more, percent * (predicted == labels.classes).double().mean(), arrays["accuracy"], "accuracy")


def test_the_targets_of_the_full_run_are_shares_of_its_events(golden_more, labels):
    arrays = golden_more.arrays("train_psp2021_full")
    compare(golden_more, event_share_targets(labels.events, dtype=torch.float64), arrays["avps_target"], "float64")
    np.testing.assert_array_equal(event_share_targets(labels.events), arrays["avps_target_float32"])

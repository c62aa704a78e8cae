"""Training of PSP and CPSP, full and weak, against the released loop: losses, gradients and updates.

What is compared is :class:`pipeline.training.loop.Run`, with the terms and weights that the method's params give it.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from torch import Tensor

from avel_testing.released_runs import Comparison, ReleasedLabels, Store, make_run, make_splits, record_run
from models.localization.psp import PSPLocalization, PSPNet
from pipeline.params.schema import TrainParams, params_of_task
from pipeline.training.localization.labels import ClipLabels

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
    for method in ("psp_cpsp", "cpsp"):
        known = content["train"][method][supervision]
        content["train"][method][supervision] = {key: settings[key] for key in known}
    is_cpsp = case["lambda_vcon"] > 0 or case.get("lambda_scon", 0) > 0
    content["train"] |= {
        "method": "cpsp" if is_cpsp else "psp_cpsp",
        "supervision": supervision,
        "precision": "float64",
    }
    return params_of_task(content).model_validate(content).train


@pytest.fixture(scope="module")
def trained(golden, released_network, released_labels, tmp_path_factory) -> Callable[[str], Comparison]:
    """Return a function that trains as a case of the set did, once, and sets our record beside the set's arrays."""

    @cache
    def run_case(name: str) -> Comparison:
        case, inputs, arrays = golden.json("train")[name], golden.arrays("train_inputs"), golden.arrays(name)
        released = released_network(case["model"])
        store = Store(*(torch.from_numpy(inputs[key]).double() for key in ("video_vgg", "audio")))
        params = train_params(case, released, len(store.visual))
        segments = inputs["labels_full"]
        of_segments = released_labels(segments)
        events = torch.from_numpy(of_segments["labels_BCE"]).bool()
        num_categories = segments.shape[2] - 1
        if params.supervision == "full":
            categories = torch.from_numpy(of_segments["labels_event"])
            labels: ClipLabels = ReleasedLabels(categories, num_categories, events)
        else:
            assert (inputs["labels_weak"].sum(axis=1) == 1).all()
            categories = torch.from_numpy(inputs["labels_weak"].argmax(axis=1))
            labels = ClipLabels(categories, num_categories)
        splits = make_splits(params, categories, segments, events)
        run = make_run(params, splits, store, released, tmp_path_factory.mktemp(name))
        settings = getattr(params.cpsp, params.supervision)
        record = record_run(run, store, labels, [str(key) for key in arrays["param_names"]], settings, "cpsp")
        return Comparison(record, arrays, golden.relative, golden.absolute)

    return run_case


def test_the_first_forward_pass_agrees(trained, training_case):
    found = trained(training_case)
    for name in OUTPUTS.keys() & found.arrays.keys():
        found.compare(OUTPUTS[name](found.record.first), found.arrays[name], name)


def test_every_loss_term_agrees(trained, training_case):
    trained(training_case).check_terms(TERMS)


def test_every_gradient_agrees(trained, training_case):
    trained(training_case).check_gradients()


def test_the_first_update_agrees(trained, training_case):
    trained(training_case).check_update()


def test_the_run_stays_together_over_all_steps(trained, training_case):
    trained(training_case).check_trajectory()


@pytest.mark.parametrize("clip_prediction", ["category_logits", "video_probs"])
def test_accuracy_agrees_by_category_logits_as_by_clip_probabilities(golden, trained, clip_prediction):
    # Both have the same arg-max: the weak head multiplies all positive logits by one number, all negative by another.
    labels = golden.arrays("train_inputs")["labels_full"]
    truth, background = labels.argmax(axis=2), labels.shape[2] - 1
    scored = [name for name, run in golden.json("train").items() if "lambda_vcon" in run]
    compared = 0
    for found in map(trained, scored):
        if "accuracy" in found.arrays:
            first = found.record.first
            category = OUTPUTS[clip_prediction](first).argmax(dim=1, keepdim=True)
            is_event = torch.sigmoid(first.event_logits) > 0.5
            predicted = torch.where(is_event, category, background).numpy()
            found.compare(100 * np.mean(predicted == truth), found.arrays["accuracy"], "accuracy")
            compared += 1
    assert compared > 0

"""Training of every method with a recipe of its own against the released loops: losses, gradients, updates, scores.

What is compared is :class:`pipeline.training.loop.Run`, with the terms, labels and weights that the params give it.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from torch import Tensor, nn
from torch.nn import functional

from avel_testing.counterparts import CONSTANTS, PARSING, load_counterpart
from avel_testing.released_arrays import is_answer, read
from avel_testing.released_runs import Comparison, ReleasedLabels, Store, make_run, make_splits, record_run
from models.localization.answers import GatedLocalization
from models.localization.losses import BACKGROUND_CLIP
from models.localization.segment_losses import event_share_targets
from pipeline.methods import registry
from pipeline.params.schema import TrainParams, params_of_task
from pipeline.training.localization.decisions import decide
from pipeline.training.localization.labels import ClipLabels, ShareLabels

pytestmark = pytest.mark.slow

PRESET = Path(__file__).resolve().parents[2] / "data/ave/preset.yaml"
METHODS = {
    "psp2021_full": ("psp", "full"),
    "psp2021_weak": ("psp", "weak"),
    "cmran_original_weak29": ("cmran", "weak"),
    "cmbs_full": ("cmbs", "full"),
    "cmbs_weak": ("cmbs", "weak"),
    "cacenet_full": ("cacenet", "full"),
    "ave_att_full": ("ave_att", "full"),
    "ave_att_weak": ("ave_att", "weak"),
    "ave_dmrn_full": ("ave_dmrn", "full"),
}
"""Models of the set, to our method and supervision."""
TERMS = {
    "cls": "category",
    "avps": "avpsp",
    "bce": "category",
    "multilabel": "category",
    "is_event": "relevance",
    "gate": "gate",
    "class": "category",
    "cas": "class_scores",
    "contrastive": "foreground",
    "total": "loss",
}
"""Released names of the terms and of their weighted sum, to ours."""
LISTED = {"param_names", "has_grad", "grad_norm", "update_norm", "loss_trajectory", "total_grad_norm"}
COMPARED = LISTED | {"predicted", "accuracy", "segment_labels", "labels_weak29", "avps_target", "avps_target_float32"}
DESCRIPTIVE = {"augmentation_noise", "threshold_margin"}
"""Arrays of a case but answers, losses, and gradients and parameters in full; the last are no results."""
LABELS: dict[str, Callable[[Any], Tensor]] = {
    "segment_labels": lambda labels: labels.segment_classes,
    "labels_weak29": lambda labels: functional.one_hot(labels.classes, labels.num_categories + 1),
    "avps_target": lambda labels: event_share_targets(labels.events, dtype=torch.float64),
    "avps_target_float32": lambda labels: event_share_targets(labels.events),
}


def preset(model: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the content of the preset, and in it the settings of the method that is a model's."""
    method, supervision = METHODS[model]
    content = YAML(typ="safe", pure=True).load(PRESET)
    content["train"] |= {"method": method, "supervision": supervision, "precision": "float64"}
    return content, content["train"][method][supervision]


def train_params(case: dict[str, Any], constructor: dict[str, Any], num_clips: int) -> TrainParams:
    """Return the params of a case: the preset's, with what the set settles."""
    content, block = preset(case["model"])
    block |= {"batch_size": num_clips, "num_epochs": case["steps"], "milestones": []}
    block |= {"learning_rate": case["lr"], "max_gradient_norm": case["clip"]}
    block |= {ours: constructor[name] for name, ours in CONSTANTS.items() if ours in block and name in constructor}
    if "threshold" in case:
        block["tau"] = case["threshold"]
    if case.get("lambda_avps") is not None:
        block["avpsp"]["weight"] = case["lambda_avps"]
    if "contrastive_switch" in case:
        block["foreground"]["scale"] = constructor["Lambda"]
        block["foreground"]["weight"] = case["contrastive_coefficient"]
        block["foreground"]["first_epoch"] = 1 if case["contrastive_switch"] else case["steps"] + 1
    return params_of_task(content).model_validate(content).train


def labels_of(params: TrainParams, inputs: dict[str, np.ndarray], released: dict[str, np.ndarray]) -> ClipLabels:
    """Return what a case trains with; `released` is what the released code makes of the labels per segment."""
    num_categories = inputs["labels_full"].shape[2] - 1
    if params.supervision == "full":
        events = torch.from_numpy(released["labels_BCE"]).bool()
        return ReleasedLabels(torch.from_numpy(released["labels_event"]), num_categories, events)
    classes = torch.from_numpy(inputs["labels_weak29"].argmax(axis=1))
    categories = torch.where(classes == num_categories, BACKGROUND_CLIP, classes)
    if registry.METHODS[params.method].needs_event_shares:
        return ShareLabels(categories, num_categories, torch.from_numpy(1 - inputs["prob_label"][:, num_categories]))
    return ClipLabels(categories, num_categories)


def disturb(network: nn.Module, noise: Tensor) -> None:
    """Have a network take the noise of the set (B, T, D)."""
    forward = network.forward
    network.forward = lambda visual, audio: forward(visual, audio, noise=noise[: len(visual)])


@pytest.fixture(scope="module")
def trained(golden_more, released_labels, tmp_path_factory) -> Callable[[str], Comparison]:
    """Return a function that trains as a case of the set did, once, and sets our record beside the set's arrays."""

    @cache
    def run_case(name: str) -> Comparison:
        case, arrays = golden_more.json("train")[name], golden_more.arrays(name)
        inputs = golden_more.arrays("train_inputs")
        spec, weights = golden_more.json(f"models/{case['model']}"), golden_more.weights(f"models/{case['model']}")
        store = Store(*(torch.from_numpy(inputs[key]).double() for key in ("video_vgg", "audio")), shuffles=False)
        params = train_params(case, spec["constructor"], len(store.visual))
        released = released_labels(inputs["labels_full"])
        labels = labels_of(params, inputs, released)
        events, shares = torch.from_numpy(released["labels_BCE"]).bool(), getattr(labels, "event_shares", None)
        splits = make_splits(params, labels.categories, inputs["labels_full"], events, shares)
        network = load_counterpart(case["model"], spec, weights)
        run = make_run(params, splits, store, network, tmp_path_factory.mktemp(name))
        params.settings.begin_epoch(run.network, 1)
        if "augmentation_noise" in arrays:
            disturb(run.network, torch.from_numpy(arrays["augmentation_noise"]).movedim(0, 1))
        names = [str(key) for key in arrays["param_names"]]
        record = record_run(run, store, labels, names, params.settings, params.method)
        return Comparison(record, arrays, golden_more.relative, golden_more.absolute)

    return run_case


def test_every_training_of_the_set_but_those_of_parsing_is_compared(golden_more):
    models = {case["model"] for case in golden_more.json("train").values()}
    assert {name for name in models if not PARSING.fullmatch(name)} == METHODS.keys()


def test_the_preset_trains_as_the_set_did(golden_more, recipe_case):
    case = golden_more.json("train")[recipe_case]
    _, block = preset(case["model"])
    assert block["learning_rate"] == case["lr"]
    assert block["max_gradient_norm"] == case["clip"]
    assert block.get("tau") == case.get("threshold")
    assert block.get("avpsp", {}).get("weight") == case.get("lambda_avps")


def test_the_first_forward_pass_agrees(golden_more, trained, recipe_case):
    model, found = golden_more.json("train")[recipe_case]["model"], trained(recipe_case)
    answers = {name for name in found.arrays if is_answer(model, name)}
    for name in answers:
        found.compare(read(found.record.first, model, name), found.arrays[name], name)
    assert answers
    in_full = {name for name in found.arrays if name.startswith(("loss.", "grad.", "param_after_1."))}
    assert found.arrays.keys() - answers - in_full <= COMPARED | DESCRIPTIVE


def test_every_loss_term_agrees(trained, recipe_case):
    trained(recipe_case).check_terms(TERMS)


def test_every_gradient_agrees(trained, recipe_case):
    trained(recipe_case).check_gradients()


def test_the_first_update_agrees(trained, recipe_case):
    trained(recipe_case).check_update()


def test_the_run_stays_together_over_all_steps(trained, recipe_case):
    trained(recipe_case).check_trajectory()


def test_the_scores_agree(golden_more, trained, recipe_case):
    found = trained(recipe_case)
    first, labels = found.record.first, golden_more.arrays("train_inputs")["labels_full"]
    predicted = decide(first, labels.shape[2] - 1).labels
    if "predicted" in found.arrays:
        np.testing.assert_array_equal(predicted, found.arrays["predicted"])
    whole = 100 if isinstance(first, GatedLocalization) else 1  # percent, or a share
    found.compare(whole * np.mean(predicted == labels.argmax(axis=2)), found.arrays["accuracy"], "accuracy")


def test_the_labels_and_what_is_made_of_them_agree(trained, label_case):
    case, name = label_case.split(":")
    found = trained(case)
    ours, expected = LABELS[name](found.record.labels).numpy(), found.arrays[name]
    if expected.dtype == np.float64:
        found.compare(ours, expected, name)
    else:
        np.testing.assert_array_equal(ours, expected)

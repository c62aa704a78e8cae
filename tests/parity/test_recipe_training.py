"""Training of every method with a recipe of its own against the released loops: losses, gradients, updates, scores.

What is compared is :class:`pipeline.training.loop.Run`, with the terms, labels and weights that the params give it.
"""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from avel_testing.counterparts import load_counterpart
from avel_testing.released_runs import Comparison, ReleasedLabels, Store, make_run, make_splits, record_run
from models.localization.losses import BACKGROUND_CLIP
from pipeline.params.schema import Params, TrainParams
from pipeline.training.inference import decide
from pipeline.training.objective import ClipLabels, ShareLabels

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
CASES = [
    "train_psp2021_full",
    "train_psp2021_weak",
    "train_cmran_original_weak29",
    "train_cmbs_full",
    "train_cmbs_weak",
    "train_cacenet_full",
    "train_cacenet_full_contrastive",
    "train_ave_att_full",
    "train_ave_att_weak",
    "train_ave_dmrn_full",
]
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
ANSWERS = {
    "fusion": "fusion",
    "logits": "segment_logits",
    "scores": "segment_logits",
    "avps": "similarity",
    "video_probs": "clip_probabilities",
    "event_logits": "event_logits",
    "class_logits": "category_logits",
    "av_gate": "gate",
    "av_score": "class_scores",
}
"""Released names of what the first forward pass gives, to ours."""


def train_params(case: dict[str, Any], num_clips: int) -> TrainParams:
    """Return the params of a case: the preset's, which are the authors', with what the set settles."""
    method, supervision = METHODS[case["model"]]
    content = YAML(typ="safe", pure=True).load(PRESET)
    content["train"] |= {"method": method, "supervision": supervision, "precision": "float64"}
    block = content["train"][method][supervision]
    assert block["learning_rate"] == case["lr"]
    assert block["max_gradient_norm"] == case["clip"]
    assert block.get("tau") == case.get("threshold")
    block |= {"batch_size": num_clips, "num_epochs": case["steps"], "milestones": []}
    if "contrastive_switch" in case:
        block["foreground"]["weight"] = case["contrastive_coefficient"]
        block["foreground"]["first_epoch"] = 1 if case["contrastive_switch"] else case["steps"] + 1
    return Params.model_validate(content).train


@pytest.fixture(scope="module")
def trained(golden_more, released_labels, tmp_path_factory) -> Callable[[str], Comparison]:
    """Return a function that trains as a case of the set did, once, and sets our record beside the set's arrays."""

    @cache
    def run_case(name: str) -> Comparison:
        case, inputs, arrays = (
            golden_more.json("train")[name],
            golden_more.arrays("train_inputs"),
            golden_more.arrays(name),
        )
        spec = golden_more.json(f"models/{case['model']}")
        released = load_counterpart(case["model"], spec, golden_more.weights(f"models/{case['model']}"))
        store = Store(*(torch.from_numpy(inputs[key]).double() for key in ("video_vgg", "audio")), shuffles=False)
        params = train_params(case, len(store.visual))
        segments = inputs["labels_full"]
        of_segments = released_labels(segments)
        events, num_categories = torch.from_numpy(of_segments["labels_BCE"]).bool(), segments.shape[2] - 1
        shares = None
        if params.supervision == "full":
            categories = torch.from_numpy(of_segments["labels_event"])
            labels: ClipLabels = ReleasedLabels(categories, num_categories, events)
        else:
            categories = torch.from_numpy(inputs["labels_weak29"].argmax(axis=1))
            categories[categories == num_categories] = BACKGROUND_CLIP
            labels = ClipLabels(categories, num_categories)
        if params.method == "psp" and params.supervision == "weak":
            shares = torch.from_numpy(1 - inputs["prob_label"][:, num_categories])
            labels = ShareLabels(categories, num_categories, shares)
        splits = make_splits(params, categories, segments, events, shares)
        run = make_run(params, splits, store, released, tmp_path_factory.mktemp(name))
        params.settings.begin_epoch(run.network, 1)
        if "augmentation_noise" in arrays:
            noise = torch.from_numpy(arrays["augmentation_noise"]).movedim(0, 1)
            run.network.forward = partial(run.network.forward, noise=noise)
        names = [str(key) for key in arrays["param_names"]]
        record = record_run(run, store, labels, names, params.settings, params.method)
        return Comparison(record, arrays, relative=1e-8, absolute=1e-9)

    return run_case


def test_every_training_of_the_set_but_those_of_parsing_is_compared(golden_more):
    parsing = {name for name in golden_more.json("train") if "han" in name or "avvp" in name}
    assert golden_more.json("train").keys() - parsing == set(CASES)


@pytest.mark.parametrize("case", CASES)
class TestTraining:
    def test_the_first_forward_pass_agrees(self, trained, case):
        found = trained(case)
        shared = ANSWERS.keys() & found.arrays.keys()
        for name in shared:
            found.compare(getattr(found.record.first, ANSWERS[name]), found.arrays[name], name)
        assert len(shared) > 0 or case in ("train_ave_att_full", "train_ave_dmrn_full")
        if "segment_probs" in found.arrays:
            probabilities = torch.softmax(found.record.first.segment_logits, dim=-1)
            found.compare(probabilities, found.arrays["segment_probs"], "segment_probs")

    def test_every_loss_term_agrees(self, trained, case):
        trained(case).check_terms(TERMS)

    def test_every_gradient_agrees(self, trained, case):
        trained(case).check_gradients()

    def test_the_first_update_agrees(self, trained, case):
        trained(case).check_update()

    def test_the_run_stays_together_over_all_steps(self, trained, case):
        trained(case).check_trajectory()

    def test_the_scores_agree(self, trained, case, golden_more):
        found = trained(case)
        truth = golden_more.arrays("train_inputs")["labels_full"].argmax(axis=2)
        predicted = decide(found.record.first, 28).labels
        if "predicted" in found.arrays:
            np.testing.assert_array_equal(predicted, found.arrays["predicted"])
        scale = 100.0 if found.arrays["accuracy"] > 1 or "predicted" in found.arrays else 1.0
        found.compare(scale * np.mean(predicted == truth), found.arrays["accuracy"], "accuracy")

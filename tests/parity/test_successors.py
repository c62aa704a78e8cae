"""CMBS and CACE-Net against the released networks: outputs, steps on the way, losses, gradients and updates.

The arrays of the set are read with the batch axis first, as ours are: most of these networks' have it second.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from models.localization.cacenet import CACENet
from models.localization.cmbs import CMBSFullNet, CMBSWeakNet
from models.localization.contrasts import foreground_contrast, row_contrasts
from models.localization.losses import category_loss, gate_loss, relevance_loss, weak_category_loss
from models.localization.released import translate, translate_names

NETWORKS = {"cmbs_full": CMBSFullNet, "cmbs_weak": CMBSWeakNet, "cacenet_full": CACENet}
SETTINGS = {"alpha": "alpha", "beta": "beta", "gamma": "gamma", "psai": "psi", "Lambda": "contrast_scale"}
"""Constants of the released constructors, to ours."""

RELATED = {
    "video_encoder": "encoded_visual",
    "audio_encoder": "encoded_audio",
    "video_decoder": "decoded_visual",
    "audio_decoder": "decoded_audio",
    "AVInter": "interacted_visual",
    "VAInter": "interacted_audio",
    "video_cas": "visual_scores",
    "audio_cas": "audio_scores",
}
SEEN = {
    "visual_vector": "seen.visual",
    "spatial_att_0": "seen.summary_attention",
    "spatial_att_1": "attention",
    "position_att0_video0_segment0": "seen.position_attention",
}
FULL = {
    **SEEN,
    **{array: f"steps.{step}" for array, step in RELATED.items()},
    "rnn_audio": "steps.audio_sequence",
    "rnn_video": "steps.visual_sequence",
    "audio_gated": "steps.audio_gate",
    "video_gated": "steps.visual_gate",
    "out0_event_logits_TB1": "event_logits",
    "out1_class_logits": "category_logits",
    "out2_av_gate_TB1": "gate",
    "out3_av_score": "class_scores",
}
STEPS: dict[str, dict[str, str]] = {
    "cmbs_full": FULL,
    "cmbs_weak": {
        **SEEN,
        **RELATED,
        # The released names are crossed: each gate reads the other modality than it is named after.
        "audio_gated": "visual_gate",
        "video_gated": "audio_gate",
        "CAS_model": "segment_scores",
        "out0_av_gate": "gate",
        "out1_class_logits": "category_logits",
        "out2_video_probs": "clip_probabilities",
    },
    "cacenet_full": {
        **FULL,
        "guided_audio": "heard.audio",
        "time_att_0": "heard.segment_attention",
        "time_att_1": "heard.guidance_attention",
        "position_att1_video0_segment0": "heard.position_attention",
        "out4_query": "query",
        "out5_key": "key",
    },
}
GUIDED = {"switch_on_event_logits_TB1": "event_logits", "switch_on_class_logits": "category_logits"}
"""What CACE-Net answers with its switch on; all others of its arrays were made with the switch off."""
BATCH_SECOND = {
    *("video_encoder", "audio_encoder", "video_decoder", "audio_decoder", "AVInter", "VAInter"),
    *("video_cas", "audio_cas", "video_gated", "audio_gated"),
    *("out0_event_logits_TB1", "out2_av_gate_TB1", "switch_on_event_logits_TB1", "augmentation_noise"),
}


@cache
def weights_of(golden: Any, name: str) -> dict[str, Tensor]:
    return golden.weights(f"models/{name}")


def build(golden: Any, name: str, dtype: torch.dtype = torch.float64) -> nn.Module:
    """Return our network with the released weights and constants of a model of the set, dropout off."""
    spec = golden.json(f"models/{name}")
    visual, audio = golden.inputs(f"models/{name}")
    network = NETWORKS[name](
        num_categories=golden.arrays("train_inputs")["labels_full"].shape[2] - 1,
        visual_channels=visual.shape[-1],
        audio_features=audio.shape[-1],
        num_positions=visual.shape[2] * visual.shape[3],
        **{ours: spec["constructor"][theirs] for theirs, ours in SETTINGS.items() if theirs in spec["constructor"]},
    )
    translated = translate(weights_of(golden, name), network)
    assert translated.missing == []
    assert translated.mismatched == []
    network.load_state_dict(translated.state)
    return network.to(dtype).eval()


def expected_arrays(golden: Any, name: str) -> dict[str, np.ndarray]:
    """Return the arrays of a model with the batch axis first, and no axis for a single score."""
    expected = {}
    for array, values in golden.arrays(f"models/{name}").items():
        first = values.swapaxes(0, 1) if array in BATCH_SECOND else values
        expected[array] = first.squeeze(-1) if first.shape[-1] == 1 else first
    return expected


def run(network: nn.Module, visual: Tensor, audio: Tensor, noise: np.ndarray | None) -> dict[str, Tensor]:
    """Return our value for every array of a model."""
    values = {}
    name = next(name for name, kind in NETWORKS.items() if type(network) is kind)
    settings = {} if noise is None else {"noise": torch.from_numpy(noise).to(visual)}
    with torch.inference_mode():
        if noise is not None:
            guided = network(visual, audio, **settings)
            values |= {array: attrgetter(step)(guided) for array, step in GUIDED.items()}
            network.set_guided(False)
        found = network(visual, audio, **settings)
    values |= {array: attrgetter(step)(found) for array, step in STEPS[name].items()}
    return {array: value[0, 0] if "video0_segment0" in array else value for array, value in values.items()}


def compare(golden: Any, actual: object, expected: object, name: str) -> None:
    np.testing.assert_allclose(actual, expected, rtol=golden.relative, atol=golden.absolute, err_msg=name)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_output_and_intermediate_array_agrees(golden_more, name):
    expected = expected_arrays(golden_more, name)
    noise = expected.pop("augmentation_noise", None)
    values = run(build(golden_more, name), *golden_more.inputs(f"models/{name}"), noise)
    assert values.keys() == expected.keys()
    for array, value in values.items():
        compare(golden_more, value, expected[array], array)


@pytest.mark.parametrize("name", NETWORKS)
def test_single_precision_stays_as_close_as_the_released_network(golden_more, name):
    expected = expected_arrays(golden_more, name)
    noise = expected.pop("augmentation_noise", None)
    inputs = (tensor.float() for tensor in golden_more.inputs(f"models/{name}"))
    values = run(build(golden_more, name, torch.float32), *inputs, noise)
    allowed = golden_more.json(f"models/{name}")["float32_max_abs_err"]
    assert values.keys() == expected.keys() == allowed.keys()
    for array, value in values.items():
        deviation = np.abs(value.double().numpy() - expected[array]).max()
        assert deviation <= golden_more.float32_factor * allowed[array], array


@pytest.mark.parametrize("name", NETWORKS)
def test_only_layers_without_influence_are_ignored(golden_more, name):
    translated = translate(weights_of(golden_more, name), build(golden_more, name))
    without_influence = golden_more.json(f"models/{name}")["params_without_gradient"]
    assert sorted(translated.ignored) == sorted(without_influence)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_single_clip_keeps_its_batch_axis_and_its_outputs(golden_more, name):
    expected = {array: values for array, values in expected_arrays(golden_more, name).items() if "video0" not in array}
    noise = expected.pop("augmentation_noise", None)
    visual, audio = golden_more.inputs(f"models/{name}")
    values = run(build(golden_more, name), visual[:1], audio[:1], None if noise is None else noise[:1])
    for array, there in expected.items():
        compare(golden_more, values[array], there[:1], array)


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_with_channels_first_are_refused(golden_more, name):
    visual, audio = golden_more.inputs(f"models/{name}")
    with pytest.raises(ValueError, match="channels come last"):
        build(golden_more, name)(visual.movedim(-1, 2), audio)


def test_the_intended_gate_of_the_weak_network_is_the_logit_of_the_released_one(golden_more):
    network, inputs = build(golden_more, "cmbs_weak"), golden_more.inputs("models/cmbs_weak")
    with torch.inference_mode():
        released = network(*inputs)
        network.gate = "intended"
        intended = network(*inputs)
    assert torch.equal(released.event_logits, released.gate)
    torch.testing.assert_close(intended.event_logits.sigmoid(), released.gate)
    torch.testing.assert_close(intended.clip_probabilities, released.clip_probabilities)


TRAINED = ("cmbs_full", "cmbs_weak", "cacenet_full", "cacenet_full_contrastive")
OUTPUTS = {
    "event_logits": "event_logits",
    "event": "event_logits",
    "av_gate": "gate",
    "class_logits": "category_logits",
    "av_score": "class_scores",
    "video_probs": "clip_probabilities",
}


@dataclass
class Record:
    """What a run left behind."""

    first: Any
    terms: dict[str, float]
    gradients: dict[str, Tensor] = field(default_factory=dict)
    updates: dict[str, Tensor] = field(default_factory=dict)
    after: dict[str, Tensor] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    gradient_norms: list[float] = field(default_factory=list)


def descend(network: nn.Module, compute_total: Callable[[], Tensor], case: dict[str, Any], record: Record) -> None:
    """Take the steps of a case, and remember all losses and the first gradient and update."""
    parameters = dict(network.named_parameters())
    optimiser = torch.optim.Adam(parameters.values(), lr=case["lr"])
    for number in range(case["steps"]):
        optimiser.zero_grad()
        loss = compute_total()
        loss.backward()
        if number == 0:
            record.gradients = {name: value.grad.clone() for name, value in parameters.items()}
            before = {name: value.detach().clone() for name, value in parameters.items()}
        record.losses.append(loss.item())
        record.gradient_norms.append(clip_grad_norm_(parameters.values(), case["clip"]).item())
        optimiser.step()
        if number == 0:
            record.after = {name: value.detach().clone() for name, value in parameters.items()}
            record.updates = {name: value - before[name] for name, value in record.after.items()}


def full_terms(found: Any, events: Tensor, categories: Tensor) -> dict[str, Tensor]:
    """Return the loss terms of full supervision under their released names."""
    terms = {
        "is_event": relevance_loss(found.event_logits, events),
        "gate": gate_loss(found.gate, events, form="released"),
        "class": category_loss(found.category_logits, categories),
        "cas": category_loss(found.class_scores, categories),
    }
    if hasattr(found, "query"):
        terms["contrastive"] = foreground_contrast(found.query, found.key, events)
    return terms


@pytest.fixture(scope="module")
def trained(golden_more, released_labels) -> Callable[[str], Record]:
    """Return a function that trains as a case of the set did, once."""

    @cache
    def train(name: str) -> Record:
        case, arrays = golden_more.json("train")[f"train_{name}"], golden_more.arrays(f"train_{name}")
        inputs = golden_more.arrays("train_inputs")
        clips = [torch.from_numpy(inputs[key]).double() for key in ("video_vgg", "audio")]
        labels = released_labels(inputs["labels_full"])
        events, categories = torch.from_numpy(labels["labels_BCE"]), torch.from_numpy(labels["labels_event"])
        network, settings = build(golden_more, case["model"]), {}
        weights = {"contrastive": case.get("contrastive_coefficient", 0.0)}
        if "augmentation_noise" in arrays:
            settings["noise"] = torch.from_numpy(arrays["augmentation_noise"]).transpose(0, 1)
            network.set_guided(case["contrastive_switch"])

        def compute_terms() -> tuple[Any, dict[str, Tensor]]:
            found = network(*clips, **settings)
            if isinstance(network, CMBSWeakNet):
                classes = torch.from_numpy(arrays["labels_weak29"].argmax(axis=1))
                terms = {"multilabel": weak_category_loss(found.clip_probabilities, classes)}
            else:
                terms = full_terms(found, events, categories)
            total = sum(weights.get(term, 1.0) * value for term, value in terms.items())
            return found, terms | {"total": total}

        with torch.no_grad():
            first, terms = compute_terms()
        record = Record(first, {term: value.item() for term, value in terms.items()})
        descend(network, lambda: compute_terms()[1]["total"], case, record)
        return record

    return train


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
class TestTraining:
    def test_the_first_forward_pass_agrees(self, golden_more, trained, name):
        arrays = golden_more.arrays(f"train_{name}")
        compared = OUTPUTS.keys() & arrays.keys()
        assert len(compared) >= 3
        for array in compared:
            compare(golden_more, attrgetter(OUTPUTS[array])(trained(name).first), arrays[array], array)

    def test_the_predictions_agree(self, golden_more, trained, name):
        arrays, found = golden_more.arrays(f"train_{name}"), trained(name).first
        labels = golden_more.arrays("train_inputs")["labels_full"]
        is_event = torch.sigmoid(found.event_logits) > 0.5
        predicted = torch.where(is_event, found.category_logits.argmax(dim=1, keepdim=True), labels.shape[2] - 1)
        assert (predicted.numpy() == arrays["predicted"]).all()
        compare(golden_more, 100 * np.mean(predicted.numpy() == labels.argmax(axis=2)), arrays["accuracy"], "accuracy")

    def test_every_loss_term_agrees(self, golden_more, trained, name):
        arrays = golden_more.arrays(f"train_{name}")
        expected = {key.removeprefix("loss."): value for key, value in arrays.items() if key.startswith("loss.")}
        terms = trained(name).terms
        assert terms.keys() == expected.keys()
        for term, value in expected.items():
            compare(golden_more, terms[term], value, term)

    def test_every_gradient_and_the_first_update_agree(self, golden_more, trained, name):
        arrays, record = golden_more.arrays(f"train_{name}"), trained(name)
        names = [str(key) for key in arrays["param_names"]]
        ours = translate_names(names, build(golden_more, golden_more.json("train")[f"train_{name}"]["model"]))
        assert sorted(ours.values()) == sorted(record.gradients)
        none = torch.zeros(1)
        for key, has_gradient, norm, update in zip(
            names, arrays["has_grad"], arrays["grad_norm"], arrays["update_norm"], strict=True
        ):
            gradient = record.gradients.get(ours.get(key), none)
            assert bool(gradient.any()) == has_gradient, key
            compare(golden_more, gradient.norm(), norm, key)
            compare(golden_more, record.updates.get(ours.get(key), none).norm(), update, key)
        for kept, values in (("grad", record.gradients), ("param_after_1", record.after)):
            listed = [key.removeprefix(f"{kept}.") for key in arrays if key.startswith(f"{kept}.")]
            assert listed
            for key in listed:
                compare(golden_more, values[ours[key]], arrays[f"{kept}.{key}"], f"{kept}.{key}")

    def test_the_run_stays_together_over_all_steps(self, golden_more, trained, name):
        arrays, record = golden_more.arrays(f"train_{name}"), trained(name)
        compare(golden_more, record.losses, arrays["loss_trajectory"], "loss")
        compare(golden_more, record.gradient_norms, arrays["total_grad_norm"], "gradient norm")


@pytest.mark.parametrize("clips", ["mixed", "one_clip"])
def test_the_contrast_agrees_by_row_and_in_its_gradients(golden_more, clips):
    arrays = golden_more.arrays("cacenet_contrastive")
    query, key = (torch.from_numpy(arrays[f"{clips}.{part}"]).double().requires_grad_() for part in ("query", "key"))
    events = torch.from_numpy(arrays[f"{clips}.event"])
    compare(golden_more, row_contrasts(query, key, events).detach(), arrays[f"{clips}.per_row"], "per_row")
    loss = foreground_contrast(query, key, events)
    compare(golden_more, loss.item(), arrays[f"{clips}.value"], "value")
    for part, gradient in zip(("query", "key"), torch.autograd.grad(loss, (query, key)), strict=True):
        compare(golden_more, gradient, arrays[f"{clips}.grad_{part}"], part)


@pytest.mark.parametrize("clips", ["mixed", "one_clip"])
def test_the_contrast_is_finite_in_single_precision_where_the_released_one_is_not(golden_more, clips):
    arrays = golden_more.arrays("cacenet_contrastive")
    assert np.isnan(arrays[f"{clips}.value_float32"])
    query, key, events = (torch.from_numpy(arrays[f"{clips}.{part}"]).float() for part in ("query", "key", "event"))
    loss = foreground_contrast(query.requires_grad_(), key.requires_grad_(), events)
    assert loss.item() == pytest.approx(arrays[f"{clips}.value"].item(), rel=1e-5)
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, (query, key)))

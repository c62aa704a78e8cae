"""CMBS and CACE-Net against the released networks: all outputs, and every step on the way.

The arrays of the set are read with the batch axis first, as ours are: most of these networks' have it second.
"""

from functools import cache
from operator import attrgetter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.localization.cacenet import CACENet
from models.localization.cmbs import CMBSFullNet, CMBSWeakNet
from models.localization.released import translate

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

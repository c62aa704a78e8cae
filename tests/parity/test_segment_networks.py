"""Networks that give every segment a class, and CMRAN with one for background, against the released ones."""

import re
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from avel_testing.counterparts import load_counterpart
from models.localization.released import translate

CASES = [
    "psp2021_full",
    "psp2021_weak",
    "ave_att_full",
    "ave_att_weak",
    "ave_dmrn_full",
    "cmran_original_weak29",
]
OF_NETWORK = {
    "alpha": "attention",
    "video_att": "attended_visual",
    "fa": "projected_audio",
    "fv": "projected_visual",
    "linear_v": "projected_visual",
    "lstm_audio": "audio_sequence",
    "lstm_video": "visual_sequence",
    "beta": "propagation.pair_similarity",
    "beta_va": "propagation.visual_similarity",
    "beta_av": "propagation.audio_similarity",
    "gamma_va": "propagation.visual_connections",
    "gamma_av": "propagation.audio_connections",
    "v_psp": "propagation.visual",
    "a_psp": "propagation.audio",
    "fusion": "fusion",
    "hidden64": "hidden",
    "logits": "segment_logits",
    "scores": "segment_logits",
    "segment_logits_before_weighting": "unweighted_logits",
    "temporal_weight": "segment_weights",
    "avps": "similarity",
    "video_probs": "clip_probabilities",
    "visual_vector": "attended_visual",
    "spatial_att_0": "attention",
    "video_encoder": "encoded_visual",
    "audio_encoder": "encoded_audio",
    "video_decoder": "decoded_visual",
    "audio_decoder": "decoded_audio",
    "AVInter": "fusion",
    "event_logits": "event_logits",
    "class_logits": "category_logits",
}
BATCH_SECOND = {"video_encoder", "audio_encoder", "video_decoder", "audio_decoder", "AVInter"}


def read(found: Any, array: str) -> torch.Tensor:
    """Return what the network has for an array of the set, in the array's shape."""
    plain = re.sub(r"^out\d+_", "", array)
    if plain == "segment_probs":
        return torch.softmax(found.segment_logits, dim=-1)
    value = attrgetter(OF_NETWORK[plain])(found)
    if plain == "temporal_weight":
        return value.unsqueeze(-1)
    return value.transpose(0, 1) if plain in BATCH_SECOND else value


def first_clip(array: str, values: np.ndarray) -> np.ndarray:
    """Return the part of an array that belongs to the first clip."""
    return values[:, :1] if array in BATCH_SECOND else values[:1]


@pytest.fixture(scope="module")
def inputs(golden_more) -> tuple[torch.Tensor, torch.Tensor]:
    """Return maps, channels last, and audio, float64."""
    arrays = golden_more.arrays("inputs")
    visual, audio = (torch.from_numpy(arrays[name]).double() for name in ("video_vgg", "audio"))
    return visual, audio


@pytest.fixture(scope="module")
def build(golden_more) -> Callable[..., nn.Module]:
    """Return a function that builds our network with the released weights of a model, dropout off."""
    weights = cache(lambda name: golden_more.weights(f"models/{name}"))

    def build_network(name: str, dtype: torch.dtype = torch.float64) -> nn.Module:
        return load_counterpart(name, golden_more.json(f"models/{name}"), weights(name)).to(dtype)

    return build_network


def compare(golden, found: Any, expected: dict[str, np.ndarray]) -> None:
    for array, there in expected.items():
        np.testing.assert_allclose(
            read(found, array).numpy(), there, rtol=golden.relative, atol=golden.absolute, err_msg=array
        )


@pytest.mark.parametrize("case", CASES)
@torch.inference_mode()
def test_every_output_and_intermediate_array_agrees(golden_more, build, inputs, case):
    compare(golden_more, build(case)(*inputs), golden_more.arrays(f"models/{case}"))


@pytest.mark.parametrize("case", CASES)
@torch.inference_mode()
def test_single_precision_stays_as_close_as_the_released_network(golden_more, build, inputs, case):
    found = build(case, torch.float32)(*(tensor.float() for tensor in inputs))
    allowed = golden_more.json(f"models/{case}")["float32_max_abs_err"]
    for array, expected in golden_more.arrays(f"models/{case}").items():
        deviation = np.abs(read(found, array).double().numpy() - expected).max()
        assert deviation <= golden_more.float32_factor * allowed[array], array


@pytest.mark.parametrize("case", CASES)
def test_only_layers_without_influence_are_ignored(golden_more, build, case):
    translated = translate(golden_more.weights(f"models/{case}"), build(case))
    assert sorted(translated.ignored) == sorted(golden_more.json(f"models/{case}")["params_without_gradient"])


@pytest.mark.parametrize("case", CASES)
@torch.inference_mode()
def test_a_single_clip_keeps_its_batch_axis_and_its_outputs(golden_more, build, inputs, case):
    expected = golden_more.arrays(f"models/{case}")
    found = build(case)(*(tensor[:1] for tensor in inputs))
    compare(golden_more, found, {array: first_clip(array, there) for array, there in expected.items()})


@pytest.mark.parametrize("case", CASES)
def test_maps_with_channels_first_are_refused(build, inputs, case):
    visual, audio = inputs
    with pytest.raises(ValueError, match="channels come last"):
        build(case)(visual.movedim(-1, 2), audio)

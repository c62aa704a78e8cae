"""Every network against the released one: all outputs, and every step on the way.

The arrays of the set are read with the batch axis first, as ours are: some of CMRAN's and AVSDN's have it second.
"""

import re
from operator import attrgetter
from typing import Any

import numpy as np
import pytest
import torch

from models.localization.propagation import PositiveSamplePropagation
from models.localization.released import translate

OF_PROPAGATION = {
    "beta": "pair_similarity",
    "beta_va": "visual_similarity",
    "beta_av": "audio_similarity",
    "gamma_va": "visual_connections",
    "gamma_av": "audio_connections",
    "v_psp": "visual",
    "a_psp": "audio",
    "fusion": "fusion",
}
OF_NETWORK = {
    **{array: f"propagation.{step}" for array, step in OF_PROPAGATION.items()},
    "event_logits": "event_logits",
    "event_logits_BT": "event_logits",
    "event_logits_TB1": "event_logits",
    "category_logits": "category_logits",
    "video_probs": "clip_probabilities",
    "avps": "similarity",
    "fusion": "fusion",
    "final_v": "visual",
    "final_a": "audio",
    "alpha": "attention",
    "fa": "projected_audio",
    "video_att": "attended_visual",
    "fv": "projected_visual",
    "lstm_audio": "audio_sequence",
    "lstm_video": "visual_sequence",
    "init_h": "initial_hidden",
    "init_c": "initial_cell",
    "lstm_av": "joint_sequence",
    "channel_att": "channel_attention",
    "spatial_att": "attention",
    "visual_vector": "attended_visual",
    "video_encoder": "encoded_visual",
    "audio_encoder": "encoded_audio",
    "video_decoder": "decoded_visual",
    "audio_decoder": "decoded_audio",
    "av_inter": "fusion",
}
BATCH_SECOND = {"init_h", "init_c", "video_encoder", "audio_encoder", "video_decoder", "audio_decoder", "av_inter"}
RUNS = re.compile(r"(maxpool|quirk_channels_last|quirk_channels_first)_")
"""How an array begins that another run made than the plain one: max pooling, or maps that are misread."""


def plain_name(array: str) -> str:
    """Return what an array holds, whichever run made it and wherever the released network returns it.

    >>> plain_name("out3_fusion"), plain_name("maxpool_video_probs")
    ('fusion', 'video_probs')
    """
    return re.sub(r"^out\d+_", "", RUNS.sub("", array))


def run_of(array: str) -> str:
    """Return the run that made an array: ``plain``, ``maxpool``, ``quirk_channels_last`` or ``_first``."""
    begins = RUNS.match(array)
    return begins[1] if begins else "plain"


def expected_arrays(golden, name: str, run: str | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of a model, of one of its runs or all but the misread ones, with the batch axis first."""
    expected = {}
    for array, values in golden.arrays(f"models/{name}").items():
        if run_of(array) != run if run else run_of(array).startswith("quirk_"):
            continue
        plain = plain_name(array)
        if plain == "event_logits_TB1":
            expected[array] = values[:, :, 0].T
        else:
            expected[array] = values.swapaxes(0, 1) if plain in BATCH_SECOND else values
    return expected


def read(found: Any, array: str) -> torch.Tensor:
    """Return what the network has for an array of the set."""
    return attrgetter(OF_NETWORK[plain_name(array)])(found)


def run_all(golden, build, name: str, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Return our value for every array of a model but those of misread maps."""
    visual, audio = (tensor.to(dtype) for tensor in golden.inputs(f"models/{name}"))
    values = {}
    for run, pooling in (("plain", None), ("maxpool", "max")):
        if arrays := expected_arrays(golden, name, run):
            with torch.inference_mode():
                found = build(name, dtype=dtype, pooling=pooling)(visual, audio)
            values |= {array: read(found, array) for array in arrays}
    return values


def compare(golden, values: dict[str, torch.Tensor], expected: dict[str, np.ndarray]) -> None:
    assert values.keys() == expected.keys()
    for array, there in expected.items():
        np.testing.assert_allclose(
            values[array].numpy(), there, rtol=golden.relative, atol=golden.absolute, err_msg=array
        )


def test_every_output_and_intermediate_array_agrees(golden, released_network, network_case):
    values = run_all(golden, released_network, network_case, torch.float64)
    compare(golden, values, expected_arrays(golden, network_case))


def test_single_precision_stays_as_close_as_the_released_network(golden, released_network, network_case):
    values = run_all(golden, released_network, network_case, torch.float32)
    allowed = golden.json(f"models/{network_case}")["float32_max_abs_err"]
    for array, expected in expected_arrays(golden, network_case).items():
        deviation = np.abs(values[array].double().numpy() - expected).max()
        assert deviation <= golden.float32_factor * allowed[array], array


def test_only_layers_without_influence_are_ignored(golden, released_network, network_case):
    spec = golden.json(f"models/{network_case}")
    translated = translate(golden.weights(f"models/{network_case}"), released_network(network_case))
    assert sorted(translated.ignored) == sorted(spec["params_without_gradient"])


def test_a_single_clip_keeps_its_batch_axis_and_its_outputs(golden, released_network, network_case):
    visual, audio = golden.inputs(f"models/{network_case}")
    expected = expected_arrays(golden, network_case, "plain")
    with torch.inference_mode():
        found = released_network(network_case)(visual[:1], audio[:1])
    values = {array: read(found, array) for array in expected}
    compare(golden, values, {array: there[:1] for array, there in expected.items()})


def test_maps_with_channels_first_are_refused(golden, released_network, network_case):
    visual, audio = golden.inputs(f"models/{network_case}")
    with pytest.raises(ValueError, match="channels come last"):
        released_network(network_case)(visual.movedim(-1, 2), audio)


def test_maps_misread_as_the_released_network_misreads_them_give_what_it_gives(
    golden, released_network, scrambled_case
):
    # Released AVEL takes channels first: given them last, it moves the wrong axis and cuts the rest into rows of C.
    # Released AVSDN takes them last: given them first, it only cuts. Ours refuses such maps, so they come cut.
    visual, audio = golden.inputs(f"models/{scrambled_case}")
    num_compared = 0
    for run, moved in (
        ("quirk_channels_last", visual.movedim(2, -1)),
        ("quirk_channels_first", visual.movedim(-1, 2)),
    ):
        if expected := expected_arrays(golden, scrambled_case, run):
            with torch.inference_mode():
                found = released_network(scrambled_case)(moved.reshape(visual.shape), audio)
            compare(golden, {array: read(found, array) for array in expected}, expected)
            num_compared += len(expected)
    assert num_compared > 0


def build_block(golden, name: str, tau: float) -> PositiveSamplePropagation:
    """Return our propagation with the weights of the released block."""
    block = PositiveSamplePropagation(num_features=golden.json(f"models/{name}")["constructor"]["hidden_dim"], tau=tau)
    translated = translate(golden.weights(f"models/{name}"), block)
    assert translated.missing == []
    assert translated.mismatched == []
    assert translated.ignored == []
    block.load_state_dict(translated.state)
    return block.double().eval()


def test_the_propagation_agrees_at_every_threshold(golden, block_case):
    name, threshold = block_case.split(":")
    arrays = golden.arrays(f"models/{name}")
    audio, visual = (torch.from_numpy(arrays[key]).double().requires_grad_() for key in ("a_fea", "v_fea"))
    steps = build_block(golden, name, float(threshold))(visual, audio)

    for array, step in OF_PROPAGATION.items():
        expected = arrays.get(f"thr{threshold}.{array}", arrays.get(array))
        assert expected is not None, array
        np.testing.assert_allclose(
            getattr(steps, step).detach().numpy(), expected, rtol=golden.relative, atol=golden.absolute, err_msg=array
        )

    gradients = {key: arrays.get(f"thr{threshold}.grad_{key}") for key in ("a_fea", "v_fea")}
    if any(expected is not None for expected in gradients.values()):
        (torch.from_numpy(arrays["cotangent"]).double() * steps.fusion).sum().backward()
        np.testing.assert_allclose(audio.grad, gradients["a_fea"], rtol=golden.relative, atol=golden.absolute)
        np.testing.assert_allclose(visual.grad, gradients["v_fea"], rtol=golden.relative, atol=golden.absolute)

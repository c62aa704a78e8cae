"""Every network against the released one: all outputs, and every step on the way.

The arrays of the sets are read with the batch axis first, as ours are: many of them have it second.
"""

import numpy as np
import pytest
import torch
from torch import nn

from avel_testing.released_arrays import OF_PROPAGATION, batch_first, first_clip, read, run_of
from models.localization.propagation import PositiveSamplePropagation
from models.localization.released import translate

NOISE = "augmentation_noise"
"""What CACE-Net was given beside the clips."""
NO_ANSWERS = {NOISE, "out6_mask"}
"""Arrays that a model is given, or that are the same whatever it is given: the number of each segment."""


def expected_arrays(model, *runs: str) -> dict[str, np.ndarray]:
    """Return the arrays that some runs of a model made."""
    return {
        array: batch_first(array, values)
        for array, values in model.arrays.items()
        if run_of(array) in runs and array not in NO_ANSWERS
    }


def all_arrays(model) -> dict[str, np.ndarray]:
    """Return the arrays of all runs of a model but those that misread the maps."""
    return expected_arrays(model, "plain", "maxpool", "switch_on")


@torch.inference_mode()
def answers(
    model, network: nn.Module, visual: torch.Tensor, audio: torch.Tensor, run: str = "plain"
) -> dict[str, torch.Tensor]:
    """Return what our network says for every array of one run of a model."""
    settings = {}
    if NOISE in model.arrays:
        settings["noise"] = torch.from_numpy(batch_first(NOISE, model.arrays[NOISE]))[: len(visual)].to(visual)
        network.set_guided(run == "switch_on")
    found = network(visual, audio, **settings)
    return {array: read(found, model.name, array) for array in expected_arrays(model, run)}


def all_answers(model, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Return what our network says for every array of a model but those of misread maps."""
    inputs, network = model.inputs(dtype), model.build(dtype)
    values = answers(model, network, *inputs)
    if expected_arrays(model, "switch_on"):
        values |= answers(model, network, *inputs, run="switch_on")
    if expected_arrays(model, "maxpool"):
        values |= answers(model, model.build(dtype, pooling="max"), *inputs, run="maxpool")
    return values


def compare(model, values: dict[str, torch.Tensor], expected: dict[str, np.ndarray]) -> None:
    golden = model.golden
    assert values.keys() == expected.keys()
    for array, there in expected.items():
        np.testing.assert_allclose(
            values[array].numpy(), there, rtol=golden.relative, atol=golden.absolute, err_msg=array
        )


def test_every_model_of_the_second_set_that_has_answers_is_compared(golden_more):
    models = {path.stem for path in (golden_more.folder / "models").glob("*.npz")}
    assert models == set(golden_more.answered())


def test_every_output_and_intermediate_array_agrees(network_case):
    compare(network_case, all_answers(network_case, torch.float64), all_arrays(network_case))


def test_single_precision_stays_as_close_as_the_released_network(network_case):
    values, expected = all_answers(network_case, torch.float32), all_arrays(network_case)
    allowed = network_case.spec["float32_max_abs_err"]
    assert values.keys() == expected.keys() <= allowed.keys()
    for array, there in expected.items():
        deviation = np.abs(values[array].double().numpy() - there).max()
        assert deviation <= network_case.golden.float32_factor * allowed[array], array


def test_only_layers_without_influence_are_ignored(network_case):
    translated = translate(network_case.weights, network_case.build())
    assert sorted(translated.ignored) == sorted(network_case.spec["params_without_gradient"])


def test_a_single_clip_keeps_its_batch_axis_and_its_outputs(network_case):
    visual, audio = network_case.inputs()
    values = answers(network_case, network_case.build(), visual[:1], audio[:1])
    expected = expected_arrays(network_case, "plain")
    compare(network_case, values, {array: first_clip(array, there) for array, there in expected.items()})


def test_maps_with_channels_first_are_refused(map_case):
    visual, audio = map_case.inputs()
    with pytest.raises(ValueError, match="channels come last"):
        map_case.build()(visual.movedim(-1, 2), audio)


def test_maps_misread_as_the_released_network_misreads_them_give_what_it_gives(scrambled_case):
    # Released AVEL takes channels first: given them last, it moves the wrong axis and cuts the rest into rows of C.
    # Released AVSDN takes them last: given them first, it only cuts. Ours refuses such maps, so they come cut.
    visual, audio = scrambled_case.inputs()
    network, num_compared = scrambled_case.build(), 0
    for run, moved in (
        ("quirk_channels_last", visual.movedim(2, -1)),
        ("quirk_channels_first", visual.movedim(-1, 2)),
    ):
        if expected := expected_arrays(scrambled_case, run):
            compare(scrambled_case, answers(scrambled_case, network, moved.reshape(visual.shape), audio, run), expected)
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

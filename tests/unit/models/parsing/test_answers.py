"""What every network of the task keeps to, whatever is inside."""

from dataclasses import fields, is_dataclass
from functools import partial

import pytest
import torch

from models.parsing.answers import Parsing, PropagatedParsing
from models.parsing.han import HANNet
from models.parsing.psp import MMILPSPNet

NETWORKS = {"han": HANNet, "psp": partial(MMILPSPNet, tau=0.05)}
ANSWERS = ("segment_probabilities", "audio_probabilities", "visual_probabilities", "global_probabilities")
SMALL = {"num_categories": 3, "visual_shape": (2, 4), "motion_features": 3, "audio_features": 5}


@pytest.fixture(params=NETWORKS)
def build(request):
    """Return a function that builds one of the networks, always with the same weights."""

    def build_network(**settings):
        torch.manual_seed(0)
        return NETWORKS[request.param](**(SMALL | settings))

    return build_network


def draw(num_clips=2, num_segments=4, *, visual_shape=(11,), features=5, dtype=torch.float32):
    torch.manual_seed(1)
    visual = torch.rand(num_clips, num_segments, *visual_shape, dtype=dtype)
    return visual, torch.randn(num_clips, num_segments, features, dtype=dtype)


def values_of(found):
    """Return every tensor of an answer by name, those of its steps too."""
    values = {}
    for entry in fields(found):
        value = getattr(found, entry.name)
        inner = values_of(value) if is_dataclass(value) else {"": value}
        values |= {f"{entry.name}.{name}" if name else entry.name: tensor for name, tensor in inner.items()}
    return values


@pytest.mark.parametrize(
    ("num_clips", "num_segments", "num_categories", "visual_shape", "motion_features", "stored"),
    [
        (1, 1, 1, (512,), 0, (512,)),
        (1, 10, 25, (8, 2048), 512, (8 * 2048 + 512,)),
        (2, 7, 25, (7, 7, 16), 0, (7, 7, 16)),
        (2, 3, 4, (16,), 8, (24,)),
    ],
)
@torch.no_grad()
def test_shapes_follow_the_input_and_no_axis_is_lost(
    build, num_clips, num_segments, num_categories, visual_shape, motion_features, stored
):
    network = build(num_categories=num_categories, visual_shape=visual_shape, motion_features=motion_features)
    found = network(*draw(num_clips, num_segments, visual_shape=stored))
    assert isinstance(found, Parsing)
    assert found.segment_probabilities.shape == (num_clips, num_segments, 2, num_categories)
    for name in ANSWERS[1:]:
        assert getattr(found, name).shape == (num_clips, num_categories)
    if isinstance(found, PropagatedParsing):
        assert found.features.shape == (num_clips, num_segments, 2, 512)
        assert found.visual_inputs.shape == (num_clips, num_segments, 512)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@torch.no_grad()
def test_every_output_keeps_the_precision_of_the_network(build, dtype):
    values = values_of(build().to(dtype)(*draw(dtype=dtype)))
    assert {value.dtype for value in values.values()} == {dtype}
    assert all(value.isfinite().all() for value in values.values())


@torch.no_grad()
def test_the_answers_keep_their_digits_where_autocast_rounds_the_rest(build):
    network = build().eval()
    with torch.autocast("cpu", torch.bfloat16):
        found = network(*draw())
    assert torch.bfloat16 in {value.dtype for value in values_of(found).values()}
    for answer in (getattr(found, name) for name in ANSWERS):
        assert answer.dtype == torch.float32
        assert not torch.equal(answer, answer.bfloat16().float())


@torch.no_grad()
def test_a_clip_is_parsed_the_same_alone_as_in_a_batch(build):
    network, (visual, audio) = build().double().eval(), draw(dtype=torch.float64)
    together, alone = values_of(network(visual, audio)), values_of(network(visual[1:], audio[1:]))
    for name, value in alone.items():
        torch.testing.assert_close(together[name][1:], value, msg=name)


def test_evaluation_repeats_itself_and_does_not_depend_on_whether_gradients_are_recorded(build):
    network, inputs = build().double().eval(), draw(dtype=torch.float64)
    recorded = values_of(network(*inputs))
    with torch.inference_mode():
        first, second = values_of(network(*inputs)), values_of(network(*inputs))
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
        torch.testing.assert_close(recorded[name].detach(), value, msg=name)


@pytest.mark.parametrize("sizes", [{}, {"motion_features": 0, "visual_shape": (11,)}])
def test_the_tags_of_the_clip_alone_train_every_parameter(build, sizes):
    network = build(**sizes).double()
    network(*draw(dtype=torch.float64)).global_probabilities.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
        assert parameter.grad.isfinite().all(), name


def test_silent_black_clips_give_finite_outputs_and_gradients(build):
    network = build()
    found = network(torch.zeros(2, 4, 11), torch.zeros(2, 4, 5))
    sum(getattr(found, name).sum() for name in ANSWERS).backward()
    assert all(value.isfinite().all() for value in values_of(found).values())
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


@torch.no_grad()
def test_both_modalities_change_every_answer(build):
    network, (visual, audio) = build().double().eval(), draw(dtype=torch.float64)
    before = network(visual, audio)
    for changed in (network(visual.flip(0), audio), network(visual, audio.flip(0))):
        for name in ANSWERS:
            assert not torch.isclose(getattr(before, name), getattr(changed, name)).all(), name


def test_the_seed_determines_the_start(build):
    first, second = build().state_dict(), build().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("visual", "audio", "message"),
    [
        ((2, 4, 12), (2, 4, 5), r"visual: expected shape \(B, T, 11\)"),
        ((2, 4, 2, 4), (2, 4, 5), r"visual: expected shape \(B, T, 11\)"),
        ((2, 4, 11), (2, 4, 6), r"audio: expected shape \(2, 4, 5\)"),
        ((2, 4, 11), (2, 5, 5), "audio: expected shape"),
        ((2, 4, 11), (1, 4, 5), "audio: expected shape"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(build, visual, audio, message):
    with pytest.raises(ValueError, match=message):
        build()(torch.zeros(visual), torch.zeros(audio))


def test_a_network_without_categories_is_refused(build):
    with pytest.raises(ValueError, match="num_categories: expected at least 1"):
        build(num_categories=0)


@pytest.mark.gpu
def test_the_gpu_agrees_with_the_cpu(build):
    network, (visual, audio) = build().double().eval(), draw(dtype=torch.float64)
    with torch.no_grad():
        expected = values_of(network(visual, audio))
        found = values_of(network.cuda()(visual.cuda(), audio.cuda()))
    for name, value in expected.items():
        torch.testing.assert_close(found[name].cpu(), value, msg=name)

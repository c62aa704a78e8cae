"""What every network of the task keeps to, whatever is inside."""

from dataclasses import fields, is_dataclass
from functools import partial

import pytest
import torch

from models.localization.answers import GatedLocalization, Localization, SegmentLocalization
from models.localization.ave import AVEAttentionNet, AVEResidualNet
from models.localization.avel import AVELNet
from models.localization.avsdn import AVSDNNet
from models.localization.cacenet import CACENet
from models.localization.cmbs import CMBSFullNet, CMBSWeakNet
from models.localization.cmran import CMRANNet
from models.localization.psp import PSPNet
from models.localization.psp2021 import PSP2021FullNet, PSP2021WeakNet

GATED = {
    "psp": lambda **settings: PSPNet(tau=0.05, **settings),
    "avel": AVELNet,
    "avsdn": AVSDNNet,
    "cmran": CMRANNet,
    "cmbs_full": CMBSFullNet,
    "cmbs_weak": partial(CMBSWeakNet, background_class=False),
    "cacenet": CACENet,
}
"""Networks that judge relevance and category."""
SEGMENT_WISE = {
    "psp2021_full": lambda **settings: PSP2021FullNet(tau=0.05, **settings),
    "psp2021_weak": lambda **settings: PSP2021WeakNet(tau=0.05, **settings),
    "ave_attention": AVEAttentionNet,
    "ave_residual": AVEResidualNet,
}
"""Networks that judge the class of each segment."""
NETWORKS = GATED | SEGMENT_WISE
SMALL = {"num_categories": 3, "visual_channels": 8, "audio_features": 5, "num_positions": 6}


def builder_of(name):
    """Return a function that builds the network of that name, always with the same weights."""

    def build_network(**settings):
        torch.manual_seed(0)
        return NETWORKS[name](**(SMALL | settings))

    return build_network


@pytest.fixture(params=NETWORKS)
def build(request):
    """Return a function that builds one of the networks."""
    return builder_of(request.param)


@pytest.fixture(params=["psp", "avel", "avsdn", "cmran"])
def build_plain(request):
    """Return a function that builds one of those whose answers are those of their heads alone."""
    return builder_of(request.param)


@pytest.fixture(params=["psp", "avel", "avsdn"])
def build_pooling(request):
    """Return a function that builds one of those that let choose the pooling."""
    return builder_of(request.param)


@pytest.fixture(params=["psp", "avel", "avsdn", *SEGMENT_WISE])
def build_recurrent(request):
    """Return a function that builds one of those with LSTMs."""
    return builder_of(request.param)


def draw(num_clips=2, num_segments=4, *, channels=8, features=5, height=2, width=3, dtype=torch.float32):
    torch.manual_seed(1)
    visual = torch.rand(num_clips, num_segments, height, width, channels, dtype=dtype)
    return visual, torch.randn(num_clips, num_segments, features, dtype=dtype)


def logits_of(found):
    """Return the logits among the answers: of segments, then of the clip where there are such."""
    assert isinstance(found, GatedLocalization) != isinstance(found, SegmentLocalization)
    return (
        [found.event_logits, found.category_logits] if isinstance(found, GatedLocalization) else [found.segment_logits]
    )


def values_of(found):
    """Return every tensor of a localization by name, those of its steps too."""
    values = {}
    for entry in fields(found):
        value = getattr(found, entry.name)
        inner = values_of(value) if is_dataclass(value) else {"": value}
        values |= {f"{entry.name}.{name}" if name else entry.name: tensor for name, tensor in inner.items()}
    return values


@pytest.mark.parametrize(
    ("num_clips", "num_segments", "num_categories", "channels"), [(1, 1, 1, 512), (1, 10, 28, 1024), (2, 7, 141, 512)]
)
@torch.no_grad()
def test_shapes_follow_the_input_and_no_axis_is_lost(build, num_clips, num_segments, num_categories, channels):
    network = build(num_categories=num_categories, visual_channels=channels, audio_features=128, num_positions=49)
    found = network(*draw(num_clips, num_segments, channels=channels, features=128, height=7, width=7))
    assert isinstance(found, Localization)
    shapes = [tuple(logits.shape) for logits in logits_of(found)]
    if isinstance(found, GatedLocalization):
        assert shapes == [(num_clips, num_segments), (num_clips, num_categories)]
        assert found.clip_probabilities.shape == (num_clips, num_categories)
    else:
        assert shapes == [(num_clips, num_segments, num_categories + 1)]
        assert found.clip_probabilities.shape == (num_clips, num_categories + 1)
    assert found.fusion.shape == (num_clips, num_segments, 512 if isinstance(network, AVEAttentionNet) else 256)
    assert found.attention.shape == (num_clips, num_segments, 49)


@torch.no_grad()
def test_the_answers_are_those_of_the_heads_on_the_fusion(build_plain):
    network = build_plain()
    found = network(*draw())
    for answer, expected in zip(logits_of(found), network.heads(found.fusion), strict=True):
        torch.testing.assert_close(answer, expected)


@torch.no_grad()
def test_probabilities_and_attention_sum_to_one(build):
    found = build()(*draw())
    torch.testing.assert_close(found.clip_probabilities.sum(dim=1), torch.ones(2))
    torch.testing.assert_close(found.attention.sum(dim=2), torch.ones(2, 4))


@pytest.mark.parametrize("pooling", ["mean", "max"])
@torch.no_grad()
def test_the_category_is_judged_from_the_pooled_fusion(build_pooling, pooling):
    network = build_pooling(pooling=pooling).double().eval()
    found = network(*draw(dtype=torch.float64))
    pooled = found.fusion.mean(dim=1) if pooling == "mean" else found.fusion.amax(dim=1)
    torch.testing.assert_close(found.category_logits, network.heads.category(pooled))


def test_the_default_pooling_is_the_mean_and_others_are_refused(build_pooling):
    assert build_pooling().heads.pooling == "mean"
    with pytest.raises(ValueError, match="pooling: expected 'mean' or 'max'"):
        build_pooling(pooling="sum")


@torch.no_grad()
def test_the_order_of_the_segments_matters(build_recurrent):
    network, (visual, audio) = build_recurrent().double().eval(), draw(dtype=torch.float64)
    order = [2, 0, 3, 1]
    forth, shuffled = network(visual, audio), network(visual[:, order], audio[:, order])
    torch.testing.assert_close(shuffled.attention, forth.attention[:, order])
    assert not torch.isclose(logits_of(shuffled)[0], logits_of(forth)[0][:, order]).any()
    assert not torch.isclose(shuffled.clip_probabilities, forth.clip_probabilities).any()
    for old, new in zip(logits_of(forth)[1:], logits_of(shuffled)[1:], strict=True):
        assert not torch.isclose(old, new).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@torch.no_grad()
def test_every_output_keeps_the_precision_of_the_network(build, dtype):
    values = values_of(build().to(dtype)(*draw(dtype=dtype)))
    assert {value.dtype for value in values.values()} == {dtype}
    assert all(value.isfinite().all() for value in values.values())


@torch.no_grad()
def test_the_answers_keep_their_precision_where_autocast_rounds_the_rest(build):
    network = build().eval()
    with torch.autocast("cpu", torch.bfloat16):
        found = network(*draw())
    answers = ("event_logits", "category_logits", "clip_probabilities", "gate", "class_scores", "query", "key")
    assert {value.dtype for name in answers if (value := getattr(found, name, None)) is not None} == {torch.float32}


@torch.no_grad()
def test_a_clip_is_localised_the_same_alone_as_in_a_batch(build):
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


def test_gradients_reach_every_parameter(build):
    network = build().double()
    found = network(*draw(dtype=torch.float64))
    sum(logits.square().sum() for logits in logits_of(found)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
        assert parameter.grad.isfinite().all(), name


def test_the_weak_head_alone_trains_every_parameter(build):
    network = build().double()
    network(*draw(dtype=torch.float64)).clip_probabilities.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_silent_black_clips_give_finite_outputs_and_gradients(build):
    network = build()
    found = network(torch.zeros(2, 4, 2, 3, 8), torch.zeros(2, 4, 5))
    (found.clip_probabilities.square().sum() + logits_of(found)[0].sum()).backward()
    assert all(value.isfinite().all() for value in values_of(found).values())
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


@torch.no_grad()
def test_both_modalities_change_every_answer(build):
    network, (visual, audio) = build().double().eval(), draw(dtype=torch.float64)
    before = network(visual, audio)
    for changed in (network(visual.flip(0), audio), network(visual, audio.flip(0))):
        for old, new in zip(logits_of(before), logits_of(changed), strict=True):
            assert not torch.isclose(old, new).all()
        assert not torch.isclose(before.clip_probabilities, changed.clip_probabilities).all()


def test_the_seed_determines_the_start(build):
    first, second = build().state_dict(), build().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("visual", "audio", "message"),
    [
        ((2, 4, 8, 2, 3), (2, 4, 5), r"visual: expected shape \(B, T, H, W, 8\).*channels come last"),
        ((2, 4, 2, 3, 9), (2, 4, 5), "visual: expected shape"),
        ((4, 2, 3, 8), (4, 5), "expected shape"),
        ((2, 4, 3, 3, 8), (2, 4, 5), "expected maps of 6 positions, found 3 x 3"),
        ((2, 4, 2, 3, 8), (2, 4, 6), "audio: expected shape"),
        ((2, 4, 2, 3, 8), (2, 5, 5), "audio: expected shape"),
        ((2, 4, 2, 3, 8), (1, 4, 5), "audio: expected shape"),
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

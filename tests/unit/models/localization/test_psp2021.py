import pytest
import torch

from models.localization.psp2021 import PSP2021FullNet, PSP2021WeakNet


def build(network=PSP2021FullNet, **settings):
    torch.manual_seed(0)
    sizes = {"num_categories": 3, "visual_channels": 8, "audio_features": 5, "num_positions": 4}
    return network(**sizes, tau=0.1, **settings).double().eval()


@torch.no_grad()
def build_weak():
    """Return the weak network with a weighting that raises some segments: those like the first."""
    network = build(PSP2021WeakNet)
    network.weighting.weight.copy_(network(*draw()).unweighted_logits[0, :1])
    return network


def draw(num_segments=6):
    torch.manual_seed(1)
    return torch.rand(2, num_segments, 2, 2, 8).double(), torch.randn(2, num_segments, 5).double()


def rectified_layer(weight, features):
    return torch.relu(features @ weight.T)


@torch.no_grad()
def test_every_segment_of_the_full_network_has_its_own_class_and_the_clip_that_of_their_mean():
    network = build()
    found = network(*draw())
    logits = rectified_layer(network.hidden.weight, found.fusion) @ network.head.weight.T
    torch.testing.assert_close(found.segment_logits, logits)
    torch.testing.assert_close(found.clip_probabilities, torch.softmax(logits.mean(dim=1), dim=1))
    visual, audio = found.propagation.visual, found.propagation.audio
    expected = (visual * audio).sum(dim=2) / (visual.norm(dim=2) * audio.norm(dim=2))
    torch.testing.assert_close(found.similarity, expected)


@torch.no_grad()
def test_the_weak_network_weighs_its_segments_and_the_clip_is_their_mean():
    network = build_weak()
    found = network(*draw())
    logits = rectified_layer(network.hidden.weight, found.fusion) @ network.head.weight.T
    torch.testing.assert_close(found.unweighted_logits, logits)
    weights = torch.sigmoid(rectified_layer(network.weighting.weight, logits))
    assert weights.unique().numel() > 2
    torch.testing.assert_close(found.segment_weights, weights.squeeze(2))
    torch.testing.assert_close(found.segment_logits, weights * logits)
    torch.testing.assert_close(found.clip_probabilities, torch.softmax((weights * logits).mean(dim=1), dim=1))


@pytest.mark.parametrize(
    ("build_network", "answers"),
    [
        (build, ("segment_logits", "clip_probabilities", "similarity")),
        (build_weak, ("segment_logits", "clip_probabilities", "segment_weights", "unweighted_logits")),
    ],
)
def test_the_answers_keep_their_digits_under_autocast(build_network, answers):
    visual, audio = (tensor.float() for tensor in draw())
    network = build_network().float()
    with torch.autocast("cpu", torch.bfloat16):
        found = network(visual, audio)
    for answer in (getattr(found, name) for name in answers):
        assert answer.dtype == torch.float32
        assert not torch.equal(answer, answer.bfloat16().float())


@pytest.mark.parametrize("network", [PSP2021FullNet, PSP2021WeakNet])
def test_a_threshold_that_is_no_share_is_refused(network):
    with pytest.raises(ValueError, match="tau: expected a share between 0 and 1"):
        network(num_categories=3, tau=1.5)

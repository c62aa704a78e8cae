import pytest
import torch

from models.localization.ave import AVEAttentionNet, AVEResidualNet


def build(network):
    torch.manual_seed(0)
    return network(num_categories=3, visual_channels=8, audio_features=5, num_positions=4).double().eval()


def draw():
    torch.manual_seed(1)
    return torch.rand(2, 6, 2, 2, 8).double(), torch.randn(2, 6, 5).double()


@torch.no_grad()
def test_the_attention_network_judges_both_modalities_side_by_side():
    network = build(AVEAttentionNet)
    found = network(*draw())
    torch.testing.assert_close(found.fusion[:, :, :256], torch.relu(found.audio_sequence))
    torch.testing.assert_close(found.fusion[:, :, 256:], torch.relu(found.visual_sequence))
    hidden = torch.relu(found.fusion @ network.hidden.weight.T + network.hidden.bias)
    torch.testing.assert_close(found.hidden, hidden)
    torch.testing.assert_close(found.segment_logits, hidden @ network.head.weight.T + network.head.bias)


@torch.no_grad()
def test_the_residual_network_judges_their_fusion():
    network = build(AVEResidualNet)
    found = network(*draw())
    torch.testing.assert_close(found.fusion, network.fusion(found.visual_sequence, found.audio_sequence))
    assert (found.fusion < 0).any()
    torch.testing.assert_close(found.segment_logits, found.fusion @ network.head.weight.T + network.head.bias)


@pytest.mark.parametrize("network", [AVEAttentionNet, AVEResidualNet])
@torch.no_grad()
def test_a_clip_is_judged_by_the_largest_logit_of_each_class(network):
    found = build(network)(*draw())
    largest = torch.stack([segments.max(dim=0).values for segments in found.segment_logits])
    torch.testing.assert_close(found.clip_probabilities, torch.softmax(largest, dim=1))


@pytest.mark.parametrize("network", [AVEAttentionNet, AVEResidualNet])
def test_the_answers_keep_their_digits_under_autocast(network):
    visual, audio = (tensor.float() for tensor in draw())
    with torch.autocast("cpu", torch.bfloat16):
        found = build(network).float()(visual, audio)
    for answer in (found.segment_logits, found.clip_probabilities):
        assert answer.dtype == torch.float32
        assert not torch.equal(answer, answer.bfloat16().float())

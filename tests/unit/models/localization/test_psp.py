import pytest
import torch

from models.localization.psp import PSPNet

TAU = 0.05


def build(num_categories=3, **settings):
    torch.manual_seed(0)
    return PSPNet(num_categories=num_categories, tau=TAU, **settings)


def draw(num_clips, num_segments, channels):
    torch.manual_seed(1)
    visual = torch.rand(num_clips, num_segments, 7, 7, channels)
    return visual, torch.randn(num_clips, num_segments, 128)


@pytest.mark.parametrize(
    ("num_clips", "num_segments", "num_categories", "channels"), [(1, 1, 1, 512), (1, 10, 28, 1024), (2, 7, 141, 512)]
)
@torch.no_grad()
def test_shapes_follow_the_input_and_no_axis_is_lost(num_clips, num_segments, num_categories, channels):
    network = build(num_categories, visual_channels=channels)
    found = network(*draw(num_clips, num_segments, channels))
    assert found.event_logits.shape == found.similarity.shape == (num_clips, num_segments)
    assert found.category_logits.shape == found.clip_probabilities.shape == (num_clips, num_categories)
    assert found.fusion.shape == found.visual.shape == found.audio.shape == (num_clips, num_segments, 256)
    assert found.attention.shape == (num_clips, num_segments, 49)
    assert found.projected_audio.shape == found.projected_visual.shape == (num_clips, num_segments, 128)
    assert found.attended_visual.shape == (num_clips, num_segments, channels)
    assert found.visual_sequence.shape == found.audio_sequence.shape == (num_clips, num_segments, 256)
    assert found.propagation.pair_similarity.shape == (num_clips, num_segments, num_segments)


def test_silent_black_clips_give_finite_outputs_and_gradients():
    network = build()
    found = network(torch.zeros(2, 4, 7, 7, 512), torch.zeros(2, 4, 128))
    (found.clip_probabilities.square().sum() + found.similarity.sum() + found.event_logits.sum()).backward()
    assert found.similarity.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())

import torch

from models.localization.avel import AVELNet


def build():
    torch.manual_seed(0)
    network = AVELNet(num_categories=3, visual_channels=8, audio_features=5, num_positions=4)
    return network.double().eval()


def draw(num_segments=4):
    torch.manual_seed(1)
    return torch.rand(2, num_segments, 2, 2, 8).double(), torch.randn(2, num_segments, 5).double()


@torch.no_grad()
def test_the_steps_follow_one_from_the_other():
    network, (visual, audio) = build(), draw()
    found = network(visual, audio)
    attended = (found.attention.unsqueeze(-1) * visual.flatten(2, 3)).sum(dim=2)
    torch.testing.assert_close(found.attended_visual, attended)
    torch.testing.assert_close(found.visual_sequence, network.temporal.visual(attended)[0])
    torch.testing.assert_close(found.audio_sequence, network.temporal.audio(audio)[0])
    fused = network.fusion(found.visual_sequence, found.audio_sequence)
    torch.testing.assert_close(found.fusion, fused.clamp(min=0))
    assert (fused < 0).any()
    assert found.visual_sequence.shape == found.audio_sequence.shape == (2, 4, 256)

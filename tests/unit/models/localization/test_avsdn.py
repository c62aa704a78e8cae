import torch

from models.localization.avsdn import AVSDNNet


def build():
    torch.manual_seed(0)
    network = AVSDNNet(num_categories=3, visual_channels=8, audio_features=5, num_positions=4)
    return network.double().eval()


def draw(num_segments=4):
    torch.manual_seed(1)
    return torch.rand(2, num_segments, 2, 2, 8).double(), torch.randn(2, num_segments, 5).double()


@torch.no_grad()
def test_the_joint_lstm_starts_from_the_fused_last_states():
    network, (visual, audio) = build(), draw()
    found = network(visual, audio)
    assert found.initial_hidden.shape == found.initial_cell.shape == (2, 2, 128)
    last = [
        torch.stack([sequence[:, -1, :128], sequence[:, 0, 128:]], dim=1).relu()
        for sequence in (found.visual_sequence, found.audio_sequence)
    ]
    torch.testing.assert_close(found.initial_hidden, network.state_fusion(*last))
    cells = [
        lstm(features)[1][1].relu()
        for lstm, features in (
            (network.temporal.visual, found.attended_visual),
            (network.temporal.audio, audio),
        )
    ]
    start = [network.state_fusion(*last).transpose(0, 1).contiguous(), network.state_fusion(*cells)]
    torch.testing.assert_close(found.initial_cell, start[1].transpose(0, 1))
    joint, _ = network.joint(torch.cat([audio, found.attended_visual], dim=-1), tuple(start))
    torch.testing.assert_close(found.joint_sequence, joint)
    torch.testing.assert_close(found.fusion, joint.clamp(min=0))
    assert (joint < 0).any()


@torch.no_grad()
def test_the_first_segment_hears_of_the_last_in_both_readings():
    network, (visual, audio) = build(), draw()
    before = network(visual, audio)
    audio[:, -1] += 1
    after = network(visual, audio)
    assert not torch.isclose(before.initial_hidden[:, 0], after.initial_hidden[:, 0]).all()
    assert not torch.isclose(before.event_logits[:, 0], after.event_logits[:, 0]).any()

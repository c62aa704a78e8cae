import pytest
import torch

from models.parsing.psp import MMILPSPNet


def build(tau=0.2):
    torch.manual_seed(0)
    sizes = {"num_categories": 3, "visual_shape": (2, 4), "motion_features": 3, "audio_features": 5}
    return MMILPSPNet(**sizes, tau=tau).double().eval()


def draw(num_segments=4):
    torch.manual_seed(1)
    visual = torch.randn(2, num_segments, 11, dtype=torch.float64)
    return visual, torch.randn(2, num_segments, 5, dtype=torch.float64)


@torch.no_grad()
def test_the_segments_are_related_in_time_then_across_then_pooled():
    network, (visual, audio) = build(), draw()
    found = network(visual, audio)
    seen, heard = network.streams(visual, audio)
    torch.testing.assert_close(found.visual_inputs, seen)
    seen, heard = network.temporal(seen, heard)
    torch.testing.assert_close(found.visual_sequence, seen)
    torch.testing.assert_close(found.audio_sequence, heard)
    propagation = network.propagation(seen, heard)
    torch.testing.assert_close(found.propagation.visual_connections, propagation.visual_connections)
    torch.testing.assert_close(found.features[:, :, 0], propagation.audio)
    torch.testing.assert_close(found.features[:, :, 1], propagation.visual)
    pooled = network.pooling(found.features)
    for name, value in vars(pooled).items():
        torch.testing.assert_close(getattr(found, name), value)


@torch.no_grad()
def test_pairs_at_the_threshold_or_below_are_not_connected():
    for tau in (0.0, 0.25, 1.0):
        connections = build(tau)(*draw()).propagation
        kept = connections.visual_similarity > tau
        assert ((connections.visual_connections > 0) == kept).all()
        assert kept.any() == (tau < 1)


@torch.no_grad()
def test_the_order_of_the_segments_matters():
    network, (visual, audio), order = build(), draw(), [2, 0, 3, 1]
    forth, shuffled = network(visual, audio), network(visual[:, order], audio[:, order])
    assert not torch.isclose(shuffled.segment_probabilities, forth.segment_probabilities[:, order]).any()


def test_a_threshold_that_is_no_share_is_refused():
    with pytest.raises(ValueError, match="tau: expected a share between 0 and 1"):
        build(1.5)

"""Where every network drops features while it trains, and how many: measured, place by place."""

from collections import Counter

import pytest
import torch

from avel_testing.dropping import drops_of
from models.parsing.han import HANNet
from models.parsing.psp import MMILPSPNet

SIZES = {"num_categories": 3, "visual_shape": (8,), "audio_features": 9}
PROPAGATED = ("visual_value", "visual_key", "audio_value", "audio_key", "visual_output", "audio_output")
PLACES = {
    "psp": (
        lambda: MMILPSPNet(tau=0.05, **SIZES),
        {("propagation.dropout", f"propagation.{layer}"): 1 for layer in PROPAGATED},
    ),
    "han": (
        lambda: HANNet(**SIZES),
        {
            ("hybrid.relation.attention", None): 2,
            ("hybrid.relation.self_attention", None): 2,
            ("hybrid.relation.dropout", "hybrid.relation.attention"): 2,
            ("hybrid.relation.dropout", "hybrid.relation.self_attention"): 2,
            ("hybrid.dropout", "hybrid.inner"): 2,
            ("hybrid.dropout", "hybrid.outer"): 2,
        },
    ),
}
"""Networks, and how often a pass drops features at each place: the module, and the layer that it follows."""


@pytest.fixture(params=PLACES)
def network_and_places(request):
    torch.manual_seed(0)
    build, places = PLACES[request.param]
    return build(), places


def draw():
    torch.manual_seed(1)
    return torch.rand(12, 10, 8), torch.randn(12, 10, 9)


def test_a_tenth_is_dropped_at_the_places_of_the_network_and_nowhere_else(network_and_places):
    network, places = network_and_places
    drops = drops_of(network, *draw())
    found = Counter((drop.module, None if drop.module.endswith("attention") else drop.after) for drop in drops)
    assert found == places
    for drop in drops:
        assert drop.num_values > 1000, drop
        assert drop.is_likely(0.1), drop
        assert not drop.is_likely(0.2), drop
        assert not drop.is_likely(0.05), drop


def test_nothing_is_dropped_in_evaluation(network_and_places):
    network, _ = network_and_places
    assert all(drop.share == 0 for drop in drops_of(network.eval(), *draw()))

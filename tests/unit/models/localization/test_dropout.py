"""Where every network drops features while it trains, and how many: measured, place by place."""

import pytest
import torch

from avel_testing.dropping import drops_of
from models.localization.ave import AVEAttentionNet, AVEResidualNet
from models.localization.avel import AVELNet
from models.localization.avsdn import AVSDNNet
from models.localization.cacenet import CACENet
from models.localization.cmbs import CMBSFullNet, CMBSWeakNet
from models.localization.cmran import CMRANNet
from models.localization.psp import PSPNet
from models.localization.psp2021 import PSP2021FullNet, PSP2021WeakNet

SIZES = {"num_categories": 3, "visual_channels": 8, "audio_features": 9, "num_positions": 4}
VALUES = [
    ("propagation.dropout", f"propagation.{layer}")
    for layer in ("visual_value", "visual_key", "audio_value", "audio_key")
]
OUTPUTS = [("propagation.dropout", f"propagation.{layer}") for layer in ("visual_output", "audio_output")]
LAYERS = [f"{modality}_encoder.layers.{number}" for modality in ("visual", "audio") for number in (0, 1)]
LAYERS += ["visual_decoder.layer", "audio_decoder.layer"]
OF_LAYER = [
    ("relation.attention", None),
    ("relation.dropout", "relation.attention"),
    ("dropout", "inner"),
    ("dropout", "outer"),
]


def of_relations(inside=""):
    """Return the places in encoders and decoders: the weights of an attention, or after a layer."""
    layers = [f"{inside}{layer}" for layer in LAYERS]
    return [(f"{layer}.{module}", after and f"{layer}.{after}") for layer in layers for module, after in OF_LAYER]


def of_interaction(name):
    """Return the places in one attention between the modalities: its weights, and what it gives."""
    return (f"{name}.attention", None), (f"{name}.dropout", f"{name}.attention")


def of_suppression(inside, maps):
    """Return the places in CMBS and in what is made of it: `inside` what holds its parts, `maps` the attention."""
    places = tenth(of_relations(f"{inside}relations."))
    for modality in ("visual", "audio"):
        weights, features = of_interaction(f"{inside}interaction.{modality}")
        places |= {weights: 0.2, features: 0.1}
    return places | {(f"{maps}.position_dropout", f"{maps}.positions"): 0.2}


def of_map(attention):
    """Return the place in an attention where channels of the projected map are lost."""
    return f"{attention}.dropout", f"{attention}.visual_projection"


def tenth(places):
    return dict.fromkeys(places, 0.1)


PLACES = {
    "psp": (lambda: PSPNet(tau=0.05, **SIZES), tenth(VALUES + OUTPUTS)),
    "psp2021_full": (lambda: PSP2021FullNet(tau=0.05, **SIZES), tenth(VALUES + OUTPUTS)),
    "psp2021_weak": (lambda: PSP2021WeakNet(tau=0.05, **SIZES), tenth(VALUES)),
    "cmran": (
        lambda: CMRANNet(**SIZES),
        tenth([*of_relations(), *of_interaction("interaction")]) | {of_map("attention"): 0.2},
    ),
    "cmbs_full": (
        lambda: CMBSFullNet(**SIZES),
        of_suppression("suppression.", "attention") | {of_map("attention.guided"): 0.2},
    ),
    "cmbs_weak": (
        lambda: CMBSWeakNet(**SIZES),
        of_suppression("", "attention") | {of_map("attention.guided"): 0.1},
    ),
    "cacenet": (
        lambda: CACENet(**SIZES),
        of_suppression("suppression.", "attention.visual")
        | {
            of_map("attention.visual.guided"): 0.2,
            ("attention.visual.position_dropout", "attention.positions"): 0.2,
            ("attention.segment_dropout", "attention.segments"): 0.2,
        },
    ),
    "ave_attention": (lambda: AVEAttentionNet(**SIZES), {}),
    "ave_residual": (lambda: AVEResidualNet(**SIZES), {}),
    "avel": (lambda: AVELNet(**SIZES), {}),
    "avsdn": (lambda: AVSDNNet(**SIZES), {}),
}


@pytest.fixture(params=PLACES)
def network_and_places(request):
    """Return a network and the probability of each place, by its module and the layer before it."""
    torch.manual_seed(0)
    build, places = PLACES[request.param]
    return build(), places


def draw():
    torch.manual_seed(1)
    return torch.rand(12, 10, 2, 2, 8), torch.randn(12, 10, 9)


def test_features_are_dropped_at_the_places_of_the_network_and_nowhere_else(network_and_places):
    network, places = network_and_places
    found = {}
    for drop in drops_of(network, *draw()):
        is_attention = drop.module.endswith(".attention")
        found[drop.module, None if is_attention else drop.after] = drop
    assert found.keys() == places.keys()
    for place, probability in places.items():
        assert found[place].num_values > 1000, place
        assert found[place].is_likely(probability), (place, found[place].share)
        assert not found[place].is_likely(2 * probability), place
        assert not found[place].is_likely(probability / 2), place


def test_nothing_is_dropped_in_evaluation(network_and_places):
    network, _ = network_and_places
    assert all(drop.share == 0 for drop in drops_of(network.eval(), *draw()))


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        (CMRANNet, "attention.dropout"),
        (CMBSFullNet, "attention.guided.dropout"),
        (CMBSWeakNet, "attention.guided.dropout"),
        (CACENet, "attention.visual.guided.dropout"),
    ],
)
def test_all_positions_of_the_projected_map_lose_features(kind, place):
    network, (visual, audio) = kind(**SIZES), draw()
    (drop,) = (drop for drop in drops_of(network, visual, audio) if drop.module == place)
    assert drop.shape == (12, 10, 4, 512)

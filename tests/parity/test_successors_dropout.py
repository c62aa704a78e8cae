"""Where CMBS and CACE-Net drop, and how often, against the places that the set lists of the released networks."""

from collections import Counter
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from models.localization.cacenet import CACENet
from models.localization.cmbs import CMBSFullNet, CMBSWeakNet

NETWORKS = {"cmbs_full": CMBSFullNet, "cmbs_weak": CMBSWeakNet, "cacenet_full": CACENet}
NUM_CLIPS, NUM_SEGMENTS = 3, 10
ATTENTION = "attention weights after the softmax"
CALLED_AGAIN = {"cacenet_full": [[NUM_CLIPS * NUM_SEGMENTS, 49, 512], [NUM_CLIPS, NUM_SEGMENTS, 128]]}
"""Shapes that pass the dropout of the visual attention after the first, which the set lists alone: what positions
gathered in the second attention, and sounds in theirs."""


class Place(NamedTuple):
    """A place that drops: heads of an attention and features of a tensor are told apart by the kind."""

    kind: str
    probability: float
    heads_or_features: int
    num_entries: int


def elementwise(probability: float, shape: list[int]) -> Place:
    return Place("elementwise", probability, shape[-1], torch.Size(shape).numel())


def listed_places(golden: Any, name: str) -> Counter[Place]:
    """Return the places that the forward pass of a released network uses, but those without effect."""
    places = []
    for entry in golden.json(f"models/{name}")["dropout"]:
        probability = entry["p"]
        if not entry["used"]:
            continue
        if entry["kind"] == "elementwise":
            places.append(elementwise(probability, entry["input_shape_at_batch_3"]))
        elif entry["kind"] == ATTENTION:
            keys = NUM_SEGMENTS if entry["module"].endswith("self_attn") else 2 * NUM_SEGMENTS
            entries = NUM_CLIPS * entry["heads"] * NUM_SEGMENTS * keys
            places.append(Place(ATTENTION, probability, entry["heads"], entries))
        if entry["module"] == "module.spatial_channel_att.dropout":
            places += [elementwise(probability, shape) for shape in CALLED_AGAIN.get(name, [])]
    return Counter(places)


@pytest.fixture
def places(monkeypatch) -> list[tuple[Place, float]]:
    """Return a list that every dropout is written into, with the share of entries that it dropped."""
    found = []
    drop = torch.nn.functional.dropout

    def record(values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        there = values != 0
        dropped = drop(values, p, training, inplace)
        share = (dropped[there] == 0).double().mean().item()
        shape = list(values.shape)
        if shape[1:] in ([NUM_SEGMENTS, NUM_SEGMENTS], [NUM_SEGMENTS, 2 * NUM_SEGMENTS]):
            place = Place(ATTENTION, p, shape[0] // NUM_CLIPS, values.numel())
        else:
            place = elementwise(p, shape)
        found.append((place, share))
        return dropped

    monkeypatch.setattr(torch.nn.functional, "dropout", record)
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_every_place_drops_as_often_as_the_released_network(golden_more, places, name):
    torch.manual_seed(0)
    visual, audio = (tensor.float() for tensor in golden_more.inputs(f"models/{name}"))
    with torch.no_grad():
        NETWORKS[name](num_categories=28).train()(visual, audio)
    assert Counter(place for place, _ in places) == listed_places(golden_more, name)
    for place, share in places:
        # Half of the entries may be zeros of a rectifier, and were not counted.
        deviation = (place.probability * (1 - place.probability) / (place.num_entries / 4)) ** 0.5
        assert abs(share - place.probability) < 4 * deviation, place


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_is_dropped_in_evaluation(golden_more, places, name):
    visual, audio = (tensor.float() for tensor in golden_more.inputs(f"models/{name}"))
    with torch.no_grad():
        NETWORKS[name](num_categories=28).eval()(visual, audio)
    assert all(share == 0 for _, share in places)

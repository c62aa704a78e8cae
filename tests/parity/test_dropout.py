"""The places at which networks drop features, measured, against the tables recorded of the released networks."""

import os
import re
from collections import defaultdict
from typing import Any

import pytest
import torch
from torch import nn

from avel_testing.counterparts import counterpart_of
from avel_testing.dropping import Drop, drops_of

WITH_PLACES = ["psp2021_full", "psp2021_weak"]
"""Models whose table names the layers that each module of dropout follows."""
WITH_SHAPES = ["ave_att_full", "ave_att_weak", "ave_dmrn_full", "cmran_original_weak29"]
"""Models whose table has an entry for each place."""


@pytest.fixture(scope="module")
def inputs(golden_more) -> tuple[torch.Tensor, torch.Tensor]:
    arrays = golden_more.arrays("inputs")
    return torch.from_numpy(arrays["video_vgg"]).float(), torch.from_numpy(arrays["audio"])


@pytest.fixture
def measure(golden_more, inputs):
    """Return a function that gives our network for a model, what it drops, and the entries of the table in use."""

    def run(name: str) -> tuple[nn.Module, list[Drop], list[dict[str, Any]]]:
        spec = golden_more.json(f"models/{name}")
        torch.manual_seed(0)
        network = counterpart_of(name).build(spec).train()
        used = [
            entry | {"module": entry["module"].removeprefix(spec["prefix"])}
            for entry in spec["dropout"]
            if entry["used"] and entry["p"] > 0
        ]
        return network, drops_of(network, *inputs), used

    return run


def our_part(network: nn.Module, module: str) -> str:
    """Return the part of our network that stands for the released one which a module belongs to; "" is the whole."""
    part = module.rpartition(".")[0]
    inner = [ours for theirs, ours in network.released_names.items() if part and theirs.startswith(f"{part}.")]
    return os.path.commonpath([name.replace(".", "/") for name in inner]).replace("/", ".") if inner else ""


@pytest.mark.parametrize("name", WITH_PLACES)
def test_the_layers_whose_features_are_dropped_agree(measure, name):
    network, drops, (entry,) = measure(name)
    part = entry["module"].rpartition(".")[0]
    layers = [re.fullmatch(r"relu\((\w+)\)", place)[1] for place in entry["places"]]
    expected = {network.released_names[f"{part}.{layer}"] for layer in layers}
    assert sorted(drop.after for drop in drops) == sorted(expected)
    assert all(drop.is_likely(entry["p"]) for drop in drops)


@pytest.mark.parametrize("name", WITH_SHAPES)
def test_what_each_part_drops_agrees(measure, inputs, name):
    network, drops, used = measure(name)
    expected, found = defaultdict(list), defaultdict(list)
    for entry in used:
        is_weights = entry["kind"].startswith("attention weights")
        size = entry["heads"] if is_weights else entry["input_shape_at_batch_3"][-1]
        expected[our_part(network, entry["module"]), is_weights, size].append(entry["p"])
    parts = sorted({part for part, _, _ in expected}, key=len, reverse=True)
    for drop in drops:
        part = next(part for part in parts if drop.module.startswith(f"{part}." if part else ""))
        is_weights = isinstance(network.get_submodule(drop.module), nn.MultiheadAttention)
        found[part, is_weights, drop.shape[0] // len(inputs[0]) if is_weights else drop.shape[-1]].append(drop)
    assert {key: len(drops) for key, drops in found.items()} == {key: len(ps) for key, ps in expected.items()}
    for key, probabilities in expected.items():
        (probability,) = set(probabilities)
        assert all(drop.is_likely(probability) for drop in found[key]), key

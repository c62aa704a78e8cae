"""The places at which networks drop features, measured, against the tables recorded of the released networks."""

import os
import re
from collections import Counter, defaultdict
from math import prod
from typing import Any, NamedTuple

import torch
from torch import nn

from avel_testing.counterparts import counterpart_of
from avel_testing.dropping import Drop, drops_of

WEIGHTS = "attention weights after the softmax"


class Kind(NamedTuple):
    """What is dropped: weights of an attention's heads over keys, or values in rows of features.

    Attributes
    ----------
    part : str
        Of our network, in which it is.
    is_weights : bool
    num_values : int
    heads_or_features : int
    """

    part: str
    is_weights: bool
    num_values: int
    heads_or_features: int


def entries_of(model, audio: torch.Tensor) -> list[dict[str, Any]]:
    """Return the entries of a model's table that drop something; modules are named without prefix."""
    entries = [
        entry | {"module": entry["module"].removeprefix(model.spec["prefix"])}
        for entry in model.spec["dropout"]
        if entry["used"] and entry["p"] > 0 and not entry["kind"].startswith("between recurrent layers")
    ]
    if model.name == "cacenet_full":
        # Its table has the first call of this dropout alone; positions gather once more, and segments hear others.
        (gathered,) = (entry for entry in entries if entry["module"] == "spatial_channel_att.dropout")
        entries += [gathered, gathered | {"input_shape_at_batch_3": list(audio.shape)}]
    return entries


def measure(model) -> tuple[nn.Module, list[Drop], list[dict[str, Any]]]:
    """Return our network for a model, what it drops while it trains, and the entries of the model's table."""
    visual, audio = model.inputs(torch.float32)
    torch.manual_seed(0)
    network = counterpart_of(model.name).build(model.spec).train()
    return network, drops_of(network, visual, audio), entries_of(model, audio)


def our_part(network: nn.Module, module: str) -> str:
    """Return the part of our network that stands for the released one which a module belongs to."""
    part = module.rpartition(".")[0]
    if not part:  # the released networks drop channels of the projected map themselves; in ours, their attention does
        return network.released_names["v_fc"].rpartition(".")[0]
    inner = [ours for theirs, ours in network.released_names.items() if theirs.startswith(f"{part}.")]
    return os.path.commonpath([name.replace(".", "/") for name in inner]).replace("/", ".")


def kind_of_entry(network: nn.Module, entry: dict[str, Any], num_clips: int, num_segments: int) -> Kind:
    """Return what an entry of a table drops; attention is over the segments, or over those of both modalities."""
    part = our_part(network, entry["module"])
    if entry["kind"] == WEIGHTS:
        num_keys = num_segments * (1 if entry["module"].endswith("self_attn") else 2)
        return Kind(part, True, num_clips * entry["heads"] * num_segments * num_keys, entry["heads"])
    shape = entry["input_shape_at_batch_3"]
    return Kind(part, False, prod(shape), shape[-1])


def test_what_each_part_drops_agrees(parts_case):
    network, drops, entries = measure(parts_case)
    num_clips, num_segments = parts_case.inputs()[1].shape[:2]
    expected, found = defaultdict(list), defaultdict(list)
    for entry in entries:
        expected[kind_of_entry(network, entry, num_clips, num_segments)].append(entry["p"])
    parts = sorted({kind.part for kind in expected}, key=len, reverse=True)
    for drop in drops:
        part = next((part for part in parts if drop.module.startswith(f"{part}.")), "")
        is_weights = isinstance(network.get_submodule(drop.module), nn.MultiheadAttention)
        size = drop.shape[0] // num_clips if is_weights else drop.shape[-1]
        found[Kind(part, is_weights, prod(drop.shape), size)].append(drop)
    assert {kind: len(drops) for kind, drops in found.items()} == {kind: len(ps) for kind, ps in expected.items()}
    for kind, probabilities in expected.items():
        (probability,) = set(probabilities)
        assert all(drop.is_likely(probability) for drop in found[kind]), kind


def test_as_much_is_dropped_where_a_table_names_modules_alone(modules_case):
    network, drops, entries = measure(modules_case)
    visual, audio = modules_case.inputs()
    assert modules_case.parses
    expected = Counter(entry["kind"] == WEIGHTS for entry in entries for _ in (visual, audio))  # one layer serves both
    found = Counter(isinstance(network.get_submodule(drop.module), nn.MultiheadAttention) for drop in drops)
    assert found == expected
    (probability,) = {entry["p"] for entry in entries}
    assert all(drop.is_likely(probability) for drop in drops)


def test_the_layers_whose_features_are_dropped_agree(layers_case):
    network, drops, entries = measure(layers_case)
    expected = {}
    for entry in entries:
        part = entry["module"].rpartition(".")[0]
        layers = [re.fullmatch(r"relu\((\w+)\)", place)[1] for place in entry["places"]]
        expected |= {network.released_names[f"{part}.{layer}"]: entry["p"] for layer in layers}
    assert sorted(drop.after for drop in drops) == sorted(expected)
    assert all(drop.is_likely(expected[drop.after]) for drop in drops)

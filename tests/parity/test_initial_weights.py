"""The weights that every network starts from, tensor by tensor, against the rules observed in the released code.

A rule is a constant or a uniform distribution within a bound. All values of a few constructions must lie within it, and
a Kolmogorov-Smirnov test must find nothing against the distribution; both together tell the rules of a layer apart.
"""

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from avel_testing.counterparts import COUNTERPARTS, Counterpart
from models.localization.initialisation import init_xavier
from models.localization.released import translate_names

NUM_CONSTRUCTIONS = 3
MOST_VALUES = 20_000
"""Values of a tensor that the Kolmogorov-Smirnov test takes, spread over it; the bound is checked on all."""
UNLIKELY = 1e-7
"""A probability below which the values do not follow the rule; there are some thousand tensors."""
ROUNDING = 1e-6


@dataclass
class Start:
    """A model of the set, and how to construct our network for it: the same every time.

    Attributes
    ----------
    rules : dict of str to dict
        The set's entry for each of our parameters that it knows.
    construct : callable
        Returns the parameters of some constructions, each changed by the function given.
    """

    rules: dict[str, dict[str, Any]]
    construct: Callable[..., list[dict[str, torch.Tensor]]]


def start_of(spec: dict[str, Any], counterpart: Counterpart) -> Start:
    """Return how a model of the set starts."""
    entries = {entry["key"]: entry for entry in spec["params"]}

    def build() -> nn.Module:
        return counterpart.build(spec).requires_grad_(False)

    def construct(change: Callable[[nn.Module], None] = lambda network: None) -> list[dict[str, torch.Tensor]]:
        constructions = []
        for seed in range(NUM_CONSTRUCTIONS):
            torch.manual_seed(seed)
            network = build()
            change(network)
            constructions.append(dict(network.named_parameters()))
        return constructions

    names = translate_names(entries, build())
    return Start({ours: entries[theirs] for theirs, ours in names.items()}, construct)


@pytest.fixture(scope="module", params=COUNTERPARTS)
def counterpart(request) -> Counterpart:
    """Return our network for some models of the set."""
    return COUNTERPARTS[request.param]


@pytest.fixture(scope="module")
def starts(golden_more, counterpart) -> dict[str, Start]:
    """Return the models of the set that our network is for, without those that start as another one does."""
    (pattern,) = (pattern for pattern, entry in COUNTERPARTS.items() if entry is counterpart)
    models = golden_more.json("init")["models"]
    different = {}
    for name, spec in models.items():
        if re.fullmatch(pattern, name):
            rules = [(entry["key"], entry["shape"], entry["rule"], entry.get("copy_of")) for entry in spec["params"]]
            different.setdefault(repr(rules), name)
    return {name: start_of(models[name], counterpart) for name in different.values()}


def follows(values: torch.Tensor, rule: dict[str, Any]) -> bool:
    """Return whether the values of a tensor can have come from a rule."""
    if "constant" in rule:
        return bool((values == rule["constant"]).all())
    bound = rule["bound"]
    if values.abs().max() > bound * (1 + ROUNDING):
        return False
    sample = values.flatten()[:: max(1, values.numel() // MOST_VALUES)].double().numpy()
    return stats.kstest(sample, stats.uniform(-bound, 2 * bound).cdf, method="asymp").pvalue > UNLIKELY


def strangers(start: Start, constructions: list[dict[str, torch.Tensor]]) -> set[str]:
    """Return the parameters that do not follow their rule in some constructions taken together."""
    return {
        name
        for name, rule in start.rules.items()
        if not follows(torch.stack([parameters[name] for parameters in constructions]), rule)
    }


def linear_weights(start: Start) -> set[str]:
    """Return our linear weights: matrices but those of LSTMs and the stacked projections of an attention."""
    return {
        name
        for name, rule in start.rules.items()
        if len(rule["shape"]) == 2 and rule["rule"] != "uniform_1_over_sqrt_hidden" and name.endswith(".weight")
    }


def draw_layers_anew(network: nn.Module) -> None:
    """Give every layer of an encoder weights of its own, by the same rules."""
    for name, parameter in network.named_parameters():
        if ".layers." in name:
            parameter.copy_(parameter.flatten()[torch.randperm(parameter.numel())].view_as(parameter))


def halve_lstms(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.LSTM):
            for parameter in module.parameters():
                parameter.mul_(0.5)


def of_rule(start: Start, rule: str) -> set[str]:
    return {name for name, entry in start.rules.items() if entry["rule"] == rule}


def test_every_network_of_the_set_has_its_start_tested(golden_more):
    for name in golden_more.json("init")["models"]:
        matching = [pattern for pattern in COUNTERPARTS if re.fullmatch(pattern, name)]
        assert len(matching) == 1, name


def test_every_parameter_starts_by_its_rule(starts):
    assert starts
    for name, start in starts.items():
        constructions = start.construct()
        assert constructions[0].keys() == start.rules.keys(), name
        assert strangers(start, constructions) == set(), name


def families(start: Start) -> dict[str, list[str]]:
    """Return the parameters that start as copies of one another, under the released name of their original."""
    found = defaultdict(list)
    for ours, rule in start.rules.items():
        if "constant" not in rule:
            found[rule.get("copy_of", rule["key"])].append(ours)
    return found


def strangers_in_families(start: Start, parameters: dict[str, torch.Tensor]) -> set[str]:
    """Return the originals whose copies are not all alike."""
    return {
        original
        for original, (first, *others) in families(start).items()
        if not all(torch.equal(parameters[first], parameters[other]) for other in others)
    }


def test_copies_start_equal_and_all_else_differs(starts):
    for name, start in starts.items():
        parameters = start.construct()[0]
        assert strangers_in_families(start, parameters) == set(), name
        firsts = {parameters[members[0]].numpy().tobytes() for members in families(start).values()}
        assert len(firsts) == len(families(start)), name


def test_layers_that_start_each_by_itself_are_told_apart(starts):
    for name, start in starts.items():
        copied = {original for original, members in families(start).items() if len(members) > 1}
        assert bool(copied) == any("copy_of" in rule for rule in start.rules.values()), name
        assert strangers_in_families(start, start.construct(draw_layers_anew)[0]) == copied, name


def test_lstms_that_start_within_half_their_bound_are_told_apart(starts):
    for name, start in starts.items():
        expected = of_rule(start, "uniform_1_over_sqrt_hidden")
        has_lstm = any(re.search(r"_l\d+(_reverse)?$", parameter) for parameter in start.rules)
        assert bool(expected) == has_lstm, name
        assert strangers(start, start.construct(halve_lstms)) == expected, name


def test_a_start_that_is_xavier_everywhere_is_told_apart(starts):
    for name, start in starts.items():
        expected = linear_weights(start) - of_rule(start, "xavier_uniform")
        assert strangers(start, start.construct(init_xavier)) == expected, name


def test_a_start_that_is_as_pytorch_has_it_is_told_apart(starts, counterpart, monkeypatch):
    listed = counterpart.ours.xavier_layers
    monkeypatch.setattr(counterpart.ours, "xavier_layers", ())
    for name, start in starts.items():
        expected = linear_weights(start) & of_rule(start, "xavier_uniform")
        assert bool(expected) == bool(listed), name
        assert strangers(start, start.construct()) == expected, name


@pytest.mark.parametrize("size", [400, 4_000, 100_000])
def test_the_bound_of_the_neighbouring_rule_is_rejected(size):
    # Square layers have the neighbours that are closest: 1/sqrt(n) and sqrt(3/n).
    rng = np.random.default_rng(0)
    narrow, wide = {"bound": 1.0}, {"bound": 3**0.5}
    for rule, other in ((narrow, wide), (wide, narrow)):
        values = torch.from_numpy(rng.uniform(-rule["bound"], rule["bound"], size))
        assert follows(values, rule)
        assert not follows(values, other)

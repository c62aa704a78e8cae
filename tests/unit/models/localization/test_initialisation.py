import pytest
import torch
from torch import nn

from models.localization.initialisation import init_as_released, init_xavier


class Network(nn.Module):
    """Linear layers inside and outside of the listed parts."""

    xavier_layers = ("inner.second", "head")

    def __init__(self):
        super().__init__()
        self.outer = nn.Linear(3, 4)
        self.inner = nn.ModuleDict({"first": nn.Linear(4, 2), "second": nn.Sequential(nn.Linear(2, 5), nn.LSTM(5, 2))})
        self.head = nn.Linear(4, 2, bias=False)


def drawn(shapes):
    """Return Xavier-uniform weights of these shapes, drawn one after the other from the same seed."""
    torch.manual_seed(5)
    weights = {name: torch.empty(shape) for name, shape in shapes.items()}
    for weight in weights.values():
        nn.init.xavier_uniform_(weight)
    return weights


def assert_changed(init, expected):
    network = Network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(5)
    init(network)
    for name, value in network.state_dict().items():
        assert torch.equal(value, expected.get(name, before[name])), name
        assert (name in expected) != torch.equal(value, before[name]), name


def test_only_linear_weights_inside_the_listed_parts_are_drawn():
    assert_changed(init_as_released, drawn({"inner.second.0.weight": (5, 2), "head.weight": (2, 4)}))


def test_the_old_rule_draws_every_linear_weight_in_order():
    shapes = {"outer.weight": (4, 3), "inner.first.weight": (2, 4), "inner.second.0.weight": (5, 2)}
    assert_changed(init_xavier, drawn(shapes | {"head.weight": (2, 4)}))


def test_a_network_without_a_list_is_refused():
    with pytest.raises(ValueError, match="expected a class with xavier_layers, found Linear"):
        init_as_released(nn.Linear(1, 1))


def test_a_listed_part_that_does_not_exist_is_refused():
    class Misspelt(Network):
        xavier_layers = ("heads",)

    with pytest.raises(AttributeError, match="heads"):
        init_as_released(Misspelt())

import pytest
import torch
from torch import nn

from models.random_weights import fill_he_normal


def fill(seed):
    network = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 500))
    fill_he_normal(network, seed)
    return network.state_dict()


def test_the_seed_alone_determines_every_bit():
    torch.manual_seed(1)
    first = fill(5)
    torch.manual_seed(2)
    second = fill(5)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["0.weight"], fill(6)["0.weight"])


def test_the_global_generator_is_left_alone():
    network = nn.Linear(3, 4)
    state = torch.get_rng_state()
    fill_he_normal(network, 5)
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_have_the_he_variance_and_biases_are_zero():
    state = fill(5)
    assert state["3.weight"].std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.02)
    assert state["0.weight"].std().item() == pytest.approx((2 / 27) ** 0.5, rel=0.05)
    assert not state["0.bias"].any()
    assert not state["3.bias"].any()


def test_the_first_numbers_stay_what_they_are():
    # Frozen, so that features made with random weights can be made again.
    network = nn.Linear(2, 2)
    fill_he_normal(network, 19)
    expected = torch.tensor([[-0.6003888845443726, -0.977089524269104], [0.8712946772575378, -2.985534906387329]])
    assert torch.equal(network.weight, expected)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed: expected at least 0, found -1"):
        fill(-1)

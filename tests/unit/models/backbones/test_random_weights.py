import pytest
import torch
from torch import nn

from models.backbones.random_weights import fill_he_normal


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


def test_a_convolution_in_time_has_the_he_variance_too():
    network = nn.Conv3d(8, 64, (3, 1, 1))
    fill_he_normal(network, 5)
    assert network.weight.std().item() == pytest.approx((2 / 24) ** 0.5, rel=0.05)
    assert not network.bias.any()


@pytest.mark.parametrize("normalisation", [nn.BatchNorm2d(4), nn.BatchNorm3d(4)], ids=["2d", "3d"])
def test_batch_normalisation_becomes_the_identity(normalisation):
    for tensor in (normalisation.weight.data, normalisation.bias.data, normalisation.running_mean):
        tensor.fill_(3)
    normalisation.running_var.fill_(7)
    fill_he_normal(normalisation.eval(), 5)
    maps = torch.randn(2, 4, *(5,) * (2 if isinstance(normalisation, nn.BatchNorm2d) else 3))
    torch.testing.assert_close(normalisation(maps), maps, rtol=1e-5, atol=1e-6)


def test_residual_branches_are_damped_by_their_number():
    network = nn.Sequential(*(nn.BatchNorm2d(1) for _ in range(5)))
    fill_he_normal(network, 5, residual_ends=list(network)[1:])
    assert [layer.weight.item() for layer in network] == [1, 0.5, 0.5, 0.5, 0.5]


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed: expected at least 0, found -1"):
        fill(-1)

"""R(2+1)D-18 against torchvision's, and what its random weights do."""

import pytest
import torch
import torchvision
from torch import nn

from models.backbones.r2plus1d import R2Plus1D18, state_from_torchvision


@pytest.fixture(scope="module")
def network() -> R2Plus1D18:
    network = R2Plus1D18().eval()
    network.init_random(19)
    return network


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize("num_frames", [8, 3])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=str)
def test_agrees_with_torchvision_under_its_own_names(network, dtype, tolerance, num_frames, randomise_normalisation):
    ours = R2Plus1D18().eval()
    ours.load_state_dict(network.state_dict())
    randomise_normalisation(ours.to(dtype))
    with torch.device("meta"):
        theirs = torchvision.models.video.r2plus1d_18()
    theirs.fc = nn.Identity()
    theirs.load_state_dict({name: value.clone() for name, value in ours.state_dict().items()}, assign=True)
    snippets = torch.randn(2, 3, num_frames, 16, 24, dtype=dtype)
    vectors, expected = ours(snippets), theirs.to(dtype).eval()(snippets)
    assert vectors.shape == expected.shape == (2, 512)
    assert (vectors - expected).abs().max() <= tolerance * expected.abs().max()


def test_published_weights_load_without_their_classifier(network):
    with torch.device("meta"):
        published = torchvision.models.video.r2plus1d_18().state_dict()
    expected = {name: value.shape for name, value in published.items() if not name.startswith("fc.")}
    assert {name: value.shape for name, value in network.state_dict().items()} == expected
    assert state_from_torchvision(published).keys() == expected.keys()


@torch.inference_mode()
@pytest.mark.slow
def test_random_features_keep_their_scale_through_depth(network):
    vectors = network(torch.randn(1, 3, 8, 112, 112))
    assert vectors.shape == (1, 512)
    assert (vectors >= 0).all()
    assert 0.1 < vectors.square().mean().sqrt() < 20


@torch.inference_mode()
def test_the_order_of_the_frames_matters(network):
    snippet = torch.randn(1, 3, 8, 32, 32)
    assert not torch.allclose(network(snippet), network(snippet.flip(2)), rtol=1e-3)


def test_random_weights_are_those_of_the_seed(network):
    again = R2Plus1D18()
    again.init_random(19)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("shape", [(1, 8, 3, 112, 112), (3, 8, 112, 112)])
def test_what_is_no_snippet_is_refused(network, shape):
    with pytest.raises(
        ValueError, match=r"snippets: expected shape \(N, 3, K, H, W\), .*; channels come before frames"
    ):
        network(torch.zeros(shape))

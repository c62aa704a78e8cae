"""ResNet against torchvision's, and what its random weights do."""

import pytest
import torch
import torchvision
from torch import nn

from models.backbones.resnet import Bottleneck, ResNet, state_from_torchvision


def reference(depth: int, state: dict[str, torch.Tensor], dtype: torch.dtype) -> nn.Module:
    """Return torchvision's network with our parameters, up to the layer of ours."""
    with torch.device("meta"):
        network = getattr(torchvision.models, f"resnet{depth}")()
    network.fc = nn.Identity()
    if not any(name.startswith("layer4") for name in state):
        network.layer4, network.avgpool = nn.Identity(), nn.Identity()
    network.load_state_dict({name: value.clone() for name, value in state.items()}, assign=True)
    return network.to(dtype).eval()


@pytest.fixture(scope="module", params=[(101, "layer3"), (152, "pooled")], ids=str)
def network(request: pytest.FixtureRequest) -> ResNet:
    depth, output = request.param
    network = ResNet(depth, output=output).eval()
    network.init_random(19)
    network.depth = depth
    return network


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=str)
def test_agrees_with_torchvision_under_its_own_names(network, dtype, tolerance, randomise_normalisation):
    ours = ResNet(network.depth, output="pooled" if network.layer4 else "layer3").eval()
    ours.load_state_dict(network.state_dict())
    randomise_normalisation(ours.to(dtype))
    theirs = reference(network.depth, ours.state_dict(), dtype)
    pictures = torch.randn(2, 3, 64, 32, dtype=dtype)
    maps = ours(pictures)
    expected = theirs(pictures).reshape(maps.shape)  # torchvision flattens what it takes for a vector
    assert (maps - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.slow
def test_published_weights_load_without_what_lies_behind_the_layer(network):
    with torch.device("meta"):
        published = getattr(torchvision.models, f"resnet{network.depth}")().state_dict()
    left_out = "fc" if network.layer4 else ("fc", "layer4")
    expected = {name: value.shape for name, value in published.items() if not name.startswith(left_out)}
    assert {name: value.shape for name, value in network.state_dict().items()} == expected
    output = "pooled" if network.layer4 else "layer3"
    assert state_from_torchvision(published, output=output).keys() == expected.keys()


@torch.inference_mode()
@pytest.mark.slow
def test_random_features_keep_their_scale_through_depth(network):
    pictures = torch.randn(1, 3, 224, 224)
    features = network(pictures)
    assert features.shape == ((1, 2048) if network.layer4 else (1, 1024, 14, 14))
    assert (features >= 0).all()
    assert 0.1 < features.square().mean().sqrt() < 20
    assert features.max() < 200  # float16 ends at 65504


@pytest.mark.slow
def test_random_weights_are_those_of_the_seed_whatever_the_output_is():
    longer, shorter = (ResNet(101, output=output) for output in ("pooled", "layer3"))
    longer.init_random(19)
    shorter.init_random(19)
    state = longer.state_dict()
    # Branches are damped by their number, which is another one.
    convolutions = {name: value for name, value in shorter.state_dict().items() if value.ndim == 4}
    assert all(torch.equal(value, state[name]) for name, value in convolutions.items())


@pytest.mark.parametrize("shape", [(1, 224, 224, 3), (3, 224, 224), (1, 3, 31, 224)])
def test_what_is_no_picture_is_refused(network, shape):
    with pytest.raises(ValueError, match="pictures: expected"):
        network(torch.zeros(shape))


def test_another_depth_is_refused():
    with pytest.raises(ValueError, match="depth: expected one of 101, 152, found 50"):
        ResNet(50, output="pooled")


@torch.inference_mode()
def test_a_bottleneck_leaves_its_input_alone():
    block, maps = Bottleneck(256, 64, stride=1).eval(), torch.randn(1, 256, 4, 4)
    before = maps.clone()
    block(maps)
    assert torch.equal(maps, before)

import numpy as np
import pytest
import torch
import torchvision

from models.backbones.vgg19 import VGG19, keras_layers, state_from_keras, state_from_torchvision


@pytest.fixture(scope="module")
def network():
    network = VGG19().eval()
    network.init_random(19)
    return network


@torch.inference_mode()
def test_agrees_with_torchvision_under_its_own_names(network):
    with torch.device("meta"):
        reference = torchvision.models.vgg19().features
    reference.load_state_dict(
        {name.removeprefix("features."): value for name, value in network.state_dict().items()}, assign=True
    )
    pictures = torch.randn(2, 3, 96, 64)
    torch.testing.assert_close(network(pictures), reference.eval()(pictures), rtol=1e-5, atol=1e-5)


def test_torchvision_weights_load_without_their_classifier(network):
    published = network.state_dict() | {"classifier.0.weight": torch.zeros(1), "classifier.6.bias": torch.zeros(1)}
    with torch.device("meta"):
        names = torchvision.models.vgg19().state_dict().keys()
    assert {name for name in names if name.startswith("features.")} == network.state_dict().keys()
    network.load_state_dict(state_from_torchvision(published))


@torch.inference_mode()
def test_maps_are_seven_by_seven_and_keep_their_scale_through_depth(network):
    pictures = torch.randn(1, 3, 224, 224)
    maps = network(pictures)
    assert maps.shape == (1, 512, 7, 7)
    assert (maps >= 0).all()
    assert 0.1 < maps.square().mean().sqrt() < 10


def test_keras_layers_are_the_convolutions_in_order(network):
    layers = keras_layers()
    assert list(layers)[:3] == ["block1_conv1", "block1_conv2", "block2_conv1"]
    assert list(layers)[-1] == "block5_conv4"
    convolutions = [name for name, module in network.named_modules() if isinstance(module, torch.nn.Conv2d)]
    assert list(layers.values()) == convolutions


def test_keras_arrays_come_back_as_the_weights_they_were_made_from(network):
    state = network.state_dict()
    arrays = {
        keras: (state[f"{ours}.weight"].numpy().transpose(2, 3, 1, 0), state[f"{ours}.bias"].numpy())
        for keras, ours in keras_layers().items()
    }
    arrays["fc1"] = (np.zeros((1, 1)), np.zeros(1))
    returned = state_from_keras(arrays)
    assert returned.keys() == state.keys()
    assert all(torch.equal(returned[name], state[name]) for name in state)
    network.load_state_dict(returned)


def test_keras_arrays_that_lack_a_layer_or_an_axis_are_refused():
    with pytest.raises(ValueError, match="expected layer block1_conv1, found none"):
        state_from_keras({})
    with pytest.raises(ValueError, match="block1_conv1: expected a kernel"):
        state_from_keras({"block1_conv1": (np.zeros((3, 3)), np.zeros(3))})


@pytest.mark.parametrize("shape", [(1, 224, 224, 3), (3, 224, 224), (1, 3, 31, 224)])
def test_what_is_no_picture_is_refused(network, shape):
    with pytest.raises(ValueError, match="pictures: expected"):
        network(torch.zeros(shape))


def test_random_weights_are_those_of_the_seed(network):
    again = VGG19()
    again.init_random(19)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in network.state_dict().items())

"""ResNets from a file to maps of the third stage and to pooled vectors."""

import pytest
import torch
from torch.nn import functional

from models.backbones.resnet import ResNet
from pipeline.backbones.registry import BACKBONES
from pipeline.core.errors import WeightsError
from pipeline.features.visual.extractor import build_network
from pipeline.features.visual.preprocessing import preprocess_torchvision
from pipeline.features.weights import Weights

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("backbone", ["resnet101", "resnet152"])
def test_a_segment_has_the_third_stage_averaged_over_two_by_two(backbone, make_extractor, extract, clip):
    extractor = make_extractor(backbone=backbone)
    prepared, features = extract(extractor, clip)
    assert (prepared.inputs.shape, features.shape) == ((2, 3, 224, 224), (2, 7, 7, 1024))
    network = ResNet(int(backbone.removeprefix("resnet")), output="layer3").eval()
    network.init_random(19)
    with torch.inference_mode():
        maps = network(preprocess_torchvision(torch.from_numpy(prepared.inputs[:1]).float()))
    assert maps.shape == (1, 1024, 14, 14)
    expected = functional.adaptive_avg_pool2d(maps, 7)[0].movedim(0, -1)  # channels last
    torch.testing.assert_close(features[0], expected, rtol=1e-3, atol=1e-3)
    corner = maps[0, :, :2, 2:4].mean((1, 2))
    torch.testing.assert_close(features[0, 0, 1], corner, rtol=1e-3, atol=1e-3)


def test_pooled_vectors_of_the_frames_of_a_segment_are_stacked(make_extractor, extract, clip):
    extractor = make_extractor(backbone="resnet152_pooled", frames_per_segment=2, combine="stack")
    prepared, features = extract(extractor, clip)
    assert (prepared.rows.tolist(), features.shape) == ([[0, 1], [2, 3]], (2, 2, 2048))
    torch.testing.assert_close(
        features[1, 0], extractor.network(torch.from_numpy(prepared.inputs[2:3]))[0], rtol=1e-3, atol=1e-3
    )


def test_pooled_vectors_are_of_a_central_crop(make_extractor):
    decoder = make_extractor(backbone="resnet152_pooled").decoder
    assert (decoder.image_size, decoder.resize) == (224, "crop")


@pytest.mark.parametrize(("backbone", "output"), [("resnet101", "layer3"), ("resnet152_pooled", "pooled")])
def test_published_weights_are_taken_by_their_own_names(backbone, output):
    network = ResNet(int(backbone[6:9]), output="pooled")
    network.init_random(3)
    published = {**network.state_dict(), "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}
    # Files from before PyTorch 0.4.1 do not count batches.
    published = {name: tensor for name, tensor in published.items() if not name.endswith("num_batches_tracked")}
    built = build_network(BACKBONES[backbone], Weights(published, "torch", "0" * 64), 0)
    assert all(torch.equal(tensor, published[name]) for name, tensor in built.state_dict().items() if name in published)
    assert ("layer4.0.conv1.weight" in built.state_dict()) == (output == "pooled")


def test_weights_of_another_depth_are_refused():
    published = ResNet(101, output="pooled").state_dict()
    with pytest.raises(
        WeightsError, match=r"parameter layer2\.4\.conv1\.weight of ResNet: expected \(128, 512, 1, 1\)"
    ):
        build_network(BACKBONES["resnet152"], Weights(published, "torch", "0" * 64), 0)


def test_float16_on_a_cpu_agrees_with_float32(make_extractor, extract, clip):
    exact, rounded = (
        extract(make_extractor(backbone="resnet101", precision=precision), clip)[1][0].flatten()
        for precision in ("float32", "float16")
    )
    assert not torch.equal(exact, rounded)
    assert functional.cosine_similarity(exact, rounded, dim=0) > 0.9999

"""What is said of the backbones in different places, held together."""

from typing import get_args

import pytest
import torchvision.models as published
from torchvision.models.video import R2Plus1D_18_Weights

from models.backbones.feature_network import FeatureNetwork
from pipeline.backbones.registry import BACKBONES
from pipeline.core.fingerprints import import_closure
from pipeline.core.references import resolve
from pipeline.features.recipes import RESIZE_DESCRIPTIONS
from pipeline.features.visual.frames import RESIZES
from pipeline.features.visual.preprocessing import KINETICS_MEAN_RGB, KINETICS_STD_RGB
from pipeline.params.schema import VisualParams


def test_params_know_every_backbone_and_no_other():
    assert set(get_args(VisualParams.model_fields["backbone"].annotation)) == BACKBONES.keys()


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_names_modules_that_exist_and_a_feature_network(name):
    backbone = BACKBONES[name]
    declared_in, network = backbone.modules
    assert declared_in.startswith("pipeline.backbones.")
    assert network.startswith("models.backbones.")
    assert import_closure(declared_in, network)
    assert issubclass(resolve(backbone.network), FeatureNetwork)
    assert backbone.batch_sizes.keys() == {"cpu", "cuda"}


@pytest.mark.parametrize("name", BACKBONES)
def test_the_backbone_of_a_backbone_fit_together(name):
    backbone = BACKBONES[name]
    assert backbone.resize in RESIZES.keys() & RESIZE_DESCRIPTIONS.keys()
    assert "random" in backbone.preprocessing
    assert {source.layout for source in backbone.sources.values()} <= set(backbone.layouts)


@pytest.mark.parametrize(
    ("name", "weights", "theirs"),
    [
        ("vgg19", "torchvision", published.VGG19_Weights.IMAGENET1K_V1),
        ("resnet101", "torchvision", published.ResNet101_Weights.IMAGENET1K_V1),
        ("resnet101", "torchvision_v2", published.ResNet101_Weights.IMAGENET1K_V2),
        ("resnet152", "torchvision", published.ResNet152_Weights.IMAGENET1K_V1),
        ("resnet152_pooled", "torchvision", published.ResNet152_Weights.IMAGENET1K_V1),
        ("resnet152_pooled", "torchvision_v2", published.ResNet152_Weights.IMAGENET1K_V2),
        ("r2plus1d_18", "torchvision", R2Plus1D_18_Weights.KINETICS400_V1),
    ],
)
def test_published_weights_are_where_torchvision_says(name, weights, theirs):
    source = BACKBONES[name].sources[weights]
    assert source.url == theirs.url
    assert source.digest == f"sha256:{theirs.url.rsplit('-')[-1].removesuffix('.pth')}"


def test_the_numbers_of_kinetics_are_torchvisions():
    transforms = R2Plus1D_18_Weights.KINETICS400_V1.transforms()
    assert (tuple(transforms.mean), tuple(transforms.std)) == (KINETICS_MEAN_RGB, KINETICS_STD_RGB)

"""What is said of the backbones in different places, held together."""

from pathlib import Path
from typing import get_args

import pytest
import torchvision.models as published
from torchvision.models.video import R2Plus1D_18_Weights

from pipeline.backbones.registry import BACKBONES
from pipeline.features.recipes import VISUAL_FACTS
from pipeline.features.visual.frames import RESIZES
from pipeline.features.visual.preprocessing import KINETICS_MEAN_RGB, KINETICS_STD_RGB
from pipeline.params.schema import VisualParams

ROOT = Path(__file__).resolve().parents[4]


def test_params_recipes_and_networks_know_the_same_backbones():
    names = set(get_args(VisualParams.model_fields["backbone"].annotation))
    assert names == BACKBONES.keys() == VISUAL_FACTS.keys()


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_names_files_that_exist_its_own_among_them(name):
    modules = BACKBONES[name].modules
    assert all((ROOT / module).is_file() for module in modules)
    assert len([module for module in modules if module.startswith("models/")]) == 1
    assert len([module for module in modules if module.startswith("pipeline/backbones/")]) == 1
    assert BACKBONES[name].batch_sizes.keys() == {"cpu", "cuda"}


@pytest.mark.parametrize("name", VISUAL_FACTS)
def test_the_facts_of_a_backbone_fit_together(name):
    facts = VISUAL_FACTS[name]
    assert facts.resize in RESIZES
    assert "random" in facts.preprocessing
    assert {source.layout for source in facts.sources.values()} == set(facts.layouts)


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
    source = VISUAL_FACTS[name].sources[weights]
    assert source.url == theirs.url
    assert source.digest == f"sha256:{theirs.url.rsplit('-')[-1].removesuffix('.pth')}"


def test_the_numbers_of_kinetics_are_torchvisions():
    transforms = R2Plus1D_18_Weights.KINETICS400_V1.transforms()
    assert (tuple(transforms.mean), tuple(transforms.std)) == (KINETICS_MEAN_RGB, KINETICS_STD_RGB)

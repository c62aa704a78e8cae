import pytest
import torch

from pipeline.backbones.registry import BACKBONES
from pipeline.features.visual.preprocessing import (
    PREPROCESSING,
    preprocess_caffe,
    preprocess_kinetics,
    preprocess_torchvision,
)


def pixel(*red_green_blue: float) -> torch.Tensor:
    return torch.tensor(red_green_blue).view(1, 3, 1, 1)


def test_caffe_swaps_to_bgr_and_subtracts_the_mean_without_scaling():
    processed = preprocess_caffe(pixel(200, 100, 50)).flatten().tolist()
    assert processed == pytest.approx([50 - 103.939, 100 - 116.779, 200 - 123.68], abs=1e-4)


def test_torchvision_scales_and_standardises_rgb():
    processed = preprocess_torchvision(pixel(255, 0, 51)).flatten().tolist()
    assert processed == pytest.approx([(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225], abs=1e-6)


def test_kinetics_has_numbers_of_its_own():
    processed = preprocess_kinetics(pixel(255, 0, 51)).flatten().tolist()
    expected = [(1 - 0.43216) / 0.22803, -0.394666 / 0.22145, (0.2 - 0.37645) / 0.216989]
    assert processed == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("preprocess", PREPROCESSING.values(), ids=PREPROCESSING)
def test_frames_of_snippets_are_processed_as_single_ones(preprocess):
    snippets = torch.rand(2, 4, 3, 5, 6) * 255
    assert torch.equal(preprocess(snippets).flatten(0, 1), preprocess(snippets.flatten(0, 1)))


def test_every_recipe_names_one_that_exists():
    assert {name for facts in BACKBONES.values() for name in facts.preprocessing.values()} == PREPROCESSING.keys()

"""Preprocessing: pixel values as the networks were trained on them.

Axes: ... any, C channel (RGB), H W pixels.
"""

import functools

import torch
from torch import Tensor

CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
IMAGENET_MEAN_RGB = (0.485, 0.456, 0.406)
IMAGENET_STD_RGB = (0.229, 0.224, 0.225)
KINETICS_MEAN_RGB = (0.43216, 0.394666, 0.37645)
KINETICS_STD_RGB = (0.22803, 0.22145, 0.216989)


def preprocess_caffe(images: Tensor) -> Tensor:
    """Map RGB images (..., 3, H, W), 0 to 255, to what Caffe's VGG19 expects: BGR minus the mean, not scaled."""
    return images.flip(-3) - _channels(CAFFE_MEAN_BGR, images.device)


def preprocess_torchvision(images: Tensor) -> Tensor:
    """Map RGB images (..., 3, H, W), 0 to 255, to what torchvision's weights expect: scaled, mean 0, deviation 1."""
    return (images / 255 - _channels(IMAGENET_MEAN_RGB, images.device)) / _channels(IMAGENET_STD_RGB, images.device)


def preprocess_kinetics(images: Tensor) -> Tensor:
    """Map RGB frames (..., 3, H, W), 0 to 255, to what torchvision's video weights expect: Kinetics' numbers."""
    return (images / 255 - _channels(KINETICS_MEAN_RGB, images.device)) / _channels(KINETICS_STD_RGB, images.device)


@functools.cache
def _channels(values: tuple[float, float, float], device: torch.device) -> Tensor:
    """Return a value per channel; it is cached, since each copy to a GPU would wait for it."""
    return torch.tensor(values, device=device).view(3, 1, 1)


PREPROCESSING = {"caffe": preprocess_caffe, "torchvision": preprocess_torchvision, "kinetics": preprocess_kinetics}
"""By the name in a recipe."""

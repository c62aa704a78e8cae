"""VGG-19 without its classifier: from pictures to the 7 x 7 maps after the last pooling (``block5_pool``).

Simonyan and Zisserman (ICLR 2015), configuration E. Parameters are named as torchvision names them; Keras's names
are mapped. The two sets of weights expect different pixel values; preprocessing is not done here.

Axes: N picture, H W its pixels, C channel.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from models.backbones.feature_network import FeatureNetwork
from models.backbones.random_weights import fill_he_normal
from models.shapes import require_shape

_BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and number of convolutions of each block; a block ends with 2 x 2 max pooling."""


class VGG19(FeatureNetwork):
    """The convolutional part of VGG-19."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        num_channels = 3
        for block_channels, num_convolutions in _BLOCKS:
            for _ in range(num_convolutions):
                layers += [nn.Conv2d(num_channels, block_channels, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
                num_channels = block_channels
            layers.append(nn.MaxPool2d(kernel_size=2))
        self.features = nn.Sequential(*layers)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Turn pictures (N, 3, H, W) into maps (N, 512, H/32, W/32): 7 x 7 from 224 x 224.

        Raises
        ------
        ValueError
            If there are not three channels, or a side is shorter than 32 pixels.
        """
        require_shape("pictures", pictures, ("N", 3, "H", "W"))
        if min(pictures.shape[2:]) < 32:
            raise ValueError(f"pictures: expected sides of at least 32 pixels, found {tuple(pictures.shape[2:])}")
        maps: torch.Tensor = self.features(pictures)
        return maps

    def represent(self, inputs: torch.Tensor) -> torch.Tensor:
        """Turn pictures (N, 3, H, W) into maps (N, H/32, W/32, 512)."""
        maps: torch.Tensor = self(inputs)
        return maps.permute(0, 2, 3, 1)

    def state_from(self, layout: str, content: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """Return the state dict that a file of Keras or torchvision holds."""
        return state_from_keras(content) if layout == "keras" else state_from_torchvision(content)

    def init_random(self, seed: int) -> None:
        """Give the network seeded random weights, see :func:`models.backbones.random_weights.fill_he_normal`."""
        fill_he_normal(self, seed)


def keras_layers() -> dict[str, str]:
    """Return where each Keras layer lives in :class:`VGG19`, in order.

    >>> keras_layers()["block1_conv2"]
    'features.2'
    """
    layers = {}
    index = 0
    for block, (_, num_convolutions) in enumerate(_BLOCKS, start=1):
        for convolution in range(1, num_convolutions + 1):
            layers[f"block{block}_conv{convolution}"] = f"features.{index}"
            index += 2  # the convolution and its rectifier
        index += 1  # the pooling
    return layers


def state_from_keras(arrays: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, torch.Tensor]:
    """Turn Keras's arrays into a state dict for :class:`VGG19`.

    Parameters
    ----------
    arrays : mapping of str to (kernel, bias)
        By Keras layer name: kernels of shape (height, width, in, out), biases of shape (out,). Other layers are
        left aside.

    Raises
    ------
    ValueError
        If a layer is missing or a kernel does not have four axes.
    """
    state = {}
    for keras_name, ours in keras_layers().items():
        if keras_name not in arrays:
            raise ValueError(f"keras weights: expected layer {keras_name}, found {', '.join(sorted(arrays)) or 'none'}")
        kernel, bias = arrays[keras_name]
        if kernel.ndim != 4:
            raise ValueError(f"{keras_name}: expected a kernel (height, width, in, out), found shape {kernel.shape}")
        state[f"{ours}.weight"] = torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
        state[f"{ours}.bias"] = torch.from_numpy(np.ascontiguousarray(bias))
    return state


def state_from_torchvision(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return torchvision's VGG-19 state dict without the classifier, for :class:`VGG19`."""
    return {name: tensor for name, tensor in state.items() if not name.startswith("classifier.")}

"""ResNet-101 and ResNet-152 without their classifier: from pictures to maps of the third stage, or one pooled vector.

He et al., Deep Residual Learning for Image Recognition (CVPR 2016), the bottleneck form; the stride of a stage sits
in its first 3 x 3 convolution, where torchvision and most published weights have it, and not in the 1 x 1 before.
Parameters are named as torchvision names them.

Axes: N picture, H W its pixels, C channel.

::

    pictures 224 ── conv1, bn1, relu, pool ── layer1 ── layer2 ── layer3 ─┬─ layer4 ── mean ── 2048
                                        56        56        28        14  │      7
                                                                          └─ 1024 x 14 x 14
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

from models.backbones.feature_network import FeatureNetwork
from models.backbones.random_weights import fill_he_normal
from models.shapes import require_shape

Output = Literal["layer3", "pooled"]

_NUM_BLOCKS = {101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Bottlenecks of each stage, by depth."""

_EXPANSION = 4
"""A bottleneck gives four times the channels that it has inside."""


class Bottleneck(nn.Module):
    """1 x 1 convolution down to `width` channels, 3 x 3, 1 x 1 up to 4 · `width`; the input is added.

    Parameters
    ----------
    num_channels : int
        Of the input.
    width : int
    stride : int
        Of the 3 x 3 convolution. The input is projected where its size differs from the output's.
    """

    def __init__(self, num_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_channels, width, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, _EXPANSION * width, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(_EXPANSION * width)
        self.downsample: nn.Module | None = None
        if stride != 1 or num_channels != _EXPANSION * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(num_channels, _EXPANSION * width, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(_EXPANSION * width),
            )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Turn maps (N, C, H, W) into (N, 4 · width, H / stride, W / stride)."""
        residual = torch.relu_(self.bn1(self.conv1(maps)))
        residual = torch.relu_(self.bn2(self.conv2(residual)))
        residual = self.bn3(self.conv3(residual))
        residual += maps if self.downsample is None else self.downsample(maps)
        return torch.relu_(residual)


class ResNet(FeatureNetwork):
    """The convolutional part of ResNet-101 or ResNet-152.

    Parameters
    ----------
    depth : int
        101 or 152.
    output : {"layer3", "pooled"}
        ``layer3``: the maps of the third stage; the fourth does not exist then. ``pooled``: the mean over all
        positions of the fourth stage.

    Raises
    ------
    ValueError
        If the depth is another.
    """

    def __init__(self, depth: int, *, output: Output) -> None:
        super().__init__()
        if depth not in _NUM_BLOCKS:
            raise ValueError(f"depth: expected one of {', '.join(map(str, _NUM_BLOCKS))}, found {depth}")
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        num_blocks = _NUM_BLOCKS[depth]
        self.layer1 = _stage(64, 64, num_blocks[0], stride=1)
        self.layer2 = _stage(256, 128, num_blocks[1], stride=2)
        self.layer3 = _stage(512, 256, num_blocks[2], stride=2)
        self.layer4 = _stage(1024, 512, num_blocks[3], stride=2) if output == "pooled" else None

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Turn pictures (N, 3, H, W) into maps (N, 1024, H/16, W/16), or vectors (N, 2048) if pooled.

        Raises
        ------
        ValueError
            If there are not three channels, or a side is shorter than 32 pixels.
        """
        require_shape("pictures", pictures, ("N", 3, "H", "W"))
        if min(pictures.shape[2:]) < 32:
            raise ValueError(f"pictures: expected sides of at least 32 pixels, found {tuple(pictures.shape[2:])}")
        maps: torch.Tensor = self.maxpool(torch.relu_(self.bn1(self.conv1(pictures))))
        maps = self.layer3(self.layer2(self.layer1(maps)))
        return maps if self.layer4 is None else self.layer4(maps).mean(dim=(2, 3))

    def represent(self, inputs: torch.Tensor) -> torch.Tensor:
        """Turn pictures (N, 3, H, W) into vectors (N, 2048) if pooled, else into maps (N, H/32, W/32, 1024).

        The maps of the third stage, 14 x 14 from a picture of 224, become 7 x 7 by averages over 2 x 2.
        """
        features: torch.Tensor = self(inputs)
        if self.layer4 is not None:
            return features
        return functional.avg_pool2d(features.float(), kernel_size=2).permute(0, 2, 3, 1)

    def state_from(self, layout: str, content: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """Return the state dict that a file of torchvision holds."""
        return state_from_torchvision(content, output="layer3" if self.layer4 is None else "pooled")

    def init_random(self, seed: int) -> None:
        """Give the network seeded random weights, see :func:`models.backbones.random_weights.fill_he_normal`."""
        ends = [module.bn3 for module in self.modules() if isinstance(module, Bottleneck)]
        fill_he_normal(self, seed, residual_ends=ends)


def _stage(num_channels: int, width: int, num_blocks: int, *, stride: int) -> nn.Sequential:
    """Return one stage of bottlenecks: the first changes size and channels, the others keep them."""
    following = [Bottleneck(_EXPANSION * width, width, stride=1) for _ in range(num_blocks - 1)]
    return nn.Sequential(Bottleneck(num_channels, width, stride), *following)


def state_from_torchvision(state: Mapping[str, torch.Tensor], *, output: Output) -> dict[str, torch.Tensor]:
    """Return torchvision's state dict without what a :class:`ResNet` of this `output` does not have."""
    left_out = ("fc.", "layer4.") if output == "layer3" else ("fc.",)
    return {name: tensor for name, tensor in state.items() if not name.startswith(left_out)}

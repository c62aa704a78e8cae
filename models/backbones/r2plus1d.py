"""R(2+1)D-18 without its classifier: from snippets of video to one vector each.

Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition (CVPR 2018): every 3 x 3 x 3
convolution is one over space, rectified, and one over time. Parameters are named as torchvision names them.

Axes: N snippet, K frame, H W pixels, C channel.

::

    snippets 8 x 112 x 112 ── stem ── layer1 ── layer2 ── layer3 ── layer4 ── mean ── 512
                        K        8         8         4         2         1
                        H       56        56        28        14         7
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from models.backbones.feature_network import FeatureNetwork
from models.backbones.random_weights import fill_he_normal
from models.shapes import require_shape


class FactorizedConvolution(nn.Sequential):
    """A convolution over space (1 x 3 x 3), rectified, then one over time (3 x 1 x 1), both with the same stride.

    Parameters
    ----------
    num_channels, num_outputs : int
    num_between : int
        Channels between the two.
    stride : int
    """

    def __init__(self, num_channels: int, num_outputs: int, num_between: int, stride: int) -> None:
        super().__init__(
            nn.Conv3d(num_channels, num_between, (1, 3, 3), stride=(1, stride, stride), padding=(0, 1, 1), bias=False),
            nn.BatchNorm3d(num_between),
            nn.ReLU(inplace=True),
            nn.Conv3d(num_between, num_outputs, (3, 1, 1), stride=(stride, 1, 1), padding=(1, 0, 0), bias=False),
        )


class Block(nn.Module):
    """Two factorised convolutions; the input is added, projected where its size differs from the output's.

    Parameters
    ----------
    num_channels : int
        Of the input.
    width : int
        Channels of the output.
    stride : int
        Of the first convolution, in space and in time.
    """

    def __init__(self, num_channels: int, width: int, stride: int) -> None:
        super().__init__()
        num_between = _channels_between(num_channels, width)
        first = FactorizedConvolution(num_channels, width, num_between, stride)
        second = FactorizedConvolution(width, width, num_between, stride=1)
        self.conv1 = nn.Sequential(first, nn.BatchNorm3d(width), nn.ReLU(inplace=True))
        self.conv2 = nn.Sequential(second, nn.BatchNorm3d(width))
        self.downsample: nn.Module | None = None
        if stride != 1 or num_channels != width:
            self.downsample = nn.Sequential(
                nn.Conv3d(num_channels, width, kernel_size=1, stride=stride, bias=False), nn.BatchNorm3d(width)
            )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Turn maps (N, C, K, H, W) into (N, width, K / stride, H / stride, W / stride)."""
        residual: torch.Tensor = self.conv2(self.conv1(maps))
        residual += maps if self.downsample is None else self.downsample(maps)
        return torch.relu_(residual)


class R2Plus1D18(FeatureNetwork):
    """The convolutional part of R(2+1)D-18."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(3, 45, kernel_size=(1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False),
            nn.BatchNorm3d(45),
            nn.ReLU(inplace=True),
            nn.Conv3d(45, 64, kernel_size=(3, 1, 1), padding=(1, 0, 0), bias=False),
            nn.BatchNorm3d(64),
            nn.ReLU(inplace=True),
        )
        self.layer1 = nn.Sequential(Block(64, 64, stride=1), Block(64, 64, stride=1))
        self.layer2 = nn.Sequential(Block(64, 128, stride=2), Block(128, 128, stride=1))
        self.layer3 = nn.Sequential(Block(128, 256, stride=2), Block(256, 256, stride=1))
        self.layer4 = nn.Sequential(Block(256, 512, stride=2), Block(512, 512, stride=1))

    def forward(self, snippets: torch.Tensor) -> torch.Tensor:
        """Turn snippets (N, 3, K, H, W) into vectors (N, 512).

        Raises
        ------
        ValueError
            If there are not three channels; channels come before frames.
        """
        require_shape(
            "snippets",
            snippets,
            ("N", 3, "K", "H", "W"),
            hint="channels come before frames; swap them with snippets.transpose(1, 2)",
        )
        maps = self.layer2(self.layer1(self.stem(snippets)))
        maps = self.layer4(self.layer3(maps))
        vectors: torch.Tensor = maps.mean(dim=(2, 3, 4))
        return vectors

    def represent(self, inputs: torch.Tensor) -> torch.Tensor:
        """Turn snippets as they are decoded, (N, K, 3, H, W), into vectors (N, 512)."""
        vectors: torch.Tensor = self(inputs.transpose(1, 2))
        return vectors

    def state_from(self, layout: str, content: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """Return the state dict that a file of torchvision holds."""
        return state_from_torchvision(content)

    def init_random(self, seed: int) -> None:
        """Give the network seeded random weights, see :func:`models.backbones.random_weights.fill_he_normal`."""
        blocks = [module for module in self.modules() if isinstance(module, Block)]
        ends = [layer for block in blocks for layer in block.conv2 if isinstance(layer, nn.BatchNorm3d)]
        fill_he_normal(self, seed, residual_ends=ends)


def _channels_between(num_channels: int, width: int) -> int:
    """Return the channels between two convolutions that have as many weights as one of 3 x 3 x 3 (section 3.5).

    As in torchvision, a block's second convolution has as many as its first.

    >>> _channels_between(64, 64), _channels_between(64, 128)
    (144, 230)
    """
    return 27 * num_channels * width // (9 * num_channels + 3 * width)


def state_from_torchvision(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return torchvision's R(2+1)D-18 state dict without the classifier, for :class:`R2Plus1D18`."""
    return {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}

"""Seeded random weights for a feature network that is used untrained."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

BatchNorm = nn.BatchNorm2d | nn.BatchNorm3d


@torch.no_grad()
def fill_he_normal(network: nn.Module, seed: int, *, residual_ends: Sequence[BatchNorm] = ()) -> None:
    """Overwrite the weights of a network of rectified layers so that activations keep their scale through depth.

    Weights of convolutions and linear layers are normal with variance 2 / (inputs of one output), He et al.
    (ICCV 2015); biases are 0. The numbers come from NumPy's generator, layer by layer, so that they depend on the
    seed alone: not on the global generators, the device or the instruction set, as PyTorch's may.

    Batch normalisation becomes the identity, since no data was seen that it could normalise by. In a residual network a
    branch then has twice the mean square of what it is added to, and the fifty additions of ResNet-152 would multiply
    it by up to 3^50. So the last normalisation of each of the L branches gets the weight 1 / sqrt(L): all additions
    together multiply it by at most (1 + 2 / L)^L < e^2, and activations stay far inside float16 at any depth.

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place.
    seed : int
        At least 0.
    residual_ends : sequence of batch normalisations, optional
        The last one of every residual branch of `network`.

    Raises
    ------
    ValueError
        If the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"seed: expected at least 0, found {seed}")
    generator = np.random.default_rng(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
            weight = module.weight
            standard_deviation = math.sqrt(2 / weight[0].numel())
            drawn = generator.standard_normal(tuple(weight.shape), dtype=np.float32)
            weight.copy_(torch.from_numpy(drawn).mul_(standard_deviation))
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, BatchNorm):
            module.reset_parameters()
    for normalisation in residual_ends:
        normalisation.weight.fill_(1 / math.sqrt(len(residual_ends)))

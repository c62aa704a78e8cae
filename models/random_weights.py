"""Seeded random weights for a feature network that is used untrained."""

import math

import numpy as np
import torch
from torch import nn


@torch.no_grad()
def fill_he_normal(network: nn.Module, seed: int) -> None:
    """Overwrite the weights of a network of rectified layers so that activations keep their scale through depth.

    Weights of convolutions and linear layers are normal with variance 2 / (inputs of one output), He et al.
    (ICCV 2015); biases are 0. The numbers come from NumPy's generator, layer by layer, so that they depend on the
    seed alone: not on the global generators, the device or the instruction set, as PyTorch's may.

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place.
    seed : int
        At least 0.

    Raises
    ------
    ValueError
        If the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"seed: expected at least 0, found {seed}")
    generator = np.random.default_rng(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            weight = module.weight
            standard_deviation = math.sqrt(2 / weight[0].numel())
            drawn = generator.standard_normal(tuple(weight.shape), dtype=np.float32)
            weight.copy_(torch.from_numpy(drawn).mul_(standard_deviation))
            if module.bias is not None:
                module.bias.zero_()

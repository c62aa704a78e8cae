"""What a network drops in a forward pass: seen from outside, at every place."""

from dataclasses import dataclass
from functools import partial
from math import sqrt
from unittest.mock import patch

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Drop:
    """One call of dropout.

    Attributes
    ----------
    module : str
        The innermost module that made it.
    after : str
        The layer, no dropout itself, that ended last before.
    shape : tuple of int
        Of what it was given.
    share : float
        Share of the values given, zeros apart, that came out zero.
    num_values : int
        How many they are.
    """

    module: str
    after: str
    shape: tuple[int, ...]
    share: float
    num_values: int

    def is_likely(self, probability: float) -> bool:
        """Return whether the share is within five standard deviations of a probability."""
        return abs(self.share - probability) <= 5 * sqrt(probability * (1 - probability) / self.num_values)


@torch.no_grad()
def drops_of(network: nn.Module, *inputs: torch.Tensor) -> list[Drop]:
    """Return what the network drops in a forward pass, in the mode that it is in."""
    running: list[str] = []
    ended: list[str] = [""]
    drops: list[Drop] = []
    dropout = functional.dropout

    def enter(name: str, module: nn.Module, inputs: object) -> None:
        running.append(name)

    def leave(name: str, module: nn.Module, inputs: object, outputs: object) -> None:
        running.pop()
        if not isinstance(module, nn.Dropout):
            ended.append(name)

    def watch(values: torch.Tensor, *settings: object, **named: object) -> torch.Tensor:
        left = dropout(values, *settings, **named)
        given = values != 0
        share = (left[given] == 0).double().mean().item()
        drops.append(Drop(running[-1], ended[-1], tuple(values.shape), share, int(given.sum())))
        return left

    handles = []
    for name, module in network.named_modules():
        handles.append(module.register_forward_pre_hook(partial(enter, name)))
        handles.append(module.register_forward_hook(partial(leave, name)))
    with patch.object(functional, "dropout", watch):
        network(*inputs)
    for handle in handles:
        handle.remove()
    return drops

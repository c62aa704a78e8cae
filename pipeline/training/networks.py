"""The network of a method, built from the method's name and settings."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from pipeline.core.references import resolve
from pipeline.methods.registry import METHODS
from pipeline.methods.settings import Supervision


@dataclass(frozen=True)
class InputShape:
    """The shape of a network's input, and the number of categories it tells apart (background is not one of them)."""

    num_categories: int
    visual_channels: int
    num_positions: int
    audio_features: int


def network_of(method: str, supervision: Supervision, shape: InputShape, settings: Mapping[str, Any]) -> nn.Module:
    """Return a method's network with fresh weights from torch's global generator, distributed as released.

    Parameters
    ----------
    method : str
        A key of :data:`pipeline.methods.registry.METHODS`.
    supervision : {"full", "weak"}
        One that the method has.
    shape : InputShape
    settings : mapping of str to object
        What the method's ``network_settings`` returned.
    """
    network: nn.Module = resolve(METHODS[method].networks[supervision])(**asdict(shape), **settings)
    return network

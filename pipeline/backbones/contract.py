"""What a visual backbone is, for recipes and for the extractor.

A backbone is a file in this folder, a network in :mod:`models.backbones`, a line in :mod:`pipeline.backbones.registry`
and a test. The network stands here by name, so that what only needs the facts does not import torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.backbones.sources import Layout, Source
from pipeline.core.references import module_of

IMAGENET: Mapping[Layout, str] = {"torch": "torchvision", "random": "torchvision"}
"""The preprocessing of networks that torchvision trained on ImageNet."""


@dataclass(frozen=True)
class Backbone:
    """A visual backbone.

    Parameters
    ----------
    declared_in : str
        The module that says this, its ``__name__``.
    subject : str
        What its features are called.
    network : str
        Reference to the class, a :class:`models.backbones.feature_network.FeatureNetwork`, see
        :mod:`pipeline.core.references`.
    layer : str
        Where in the network the features are taken.
    feature_shape : tuple of int
        Of one sample: a map (H, W, C), channels last, or a vector (C,).
    image_size : int
        Side of the square pictures, in pixels.
    resize : str
        A key of :data:`pipeline.features.recipes.RESIZE_DESCRIPTIONS`.
    preprocessing : mapping of str to str
        For each layout that its weights may have, what becomes of pixel values, see
        :mod:`pipeline.features.visual.preprocessing`; a layout that is not named is refused.
    sources : dict
        Published weights by name.
    batch_sizes : mapping of str to int
        Inputs of a network call that suit a type of device.
    network_settings : mapping, optional
        What the class is called with.
    channels_last : bool, optional
        How the network and its inputs are laid out in memory.
    is_of_snippets : bool, optional
        The network sees all frames of a segment at once.
    """

    declared_in: str
    subject: str
    network: str
    layer: str
    feature_shape: tuple[int, ...]
    image_size: int
    resize: str
    preprocessing: Mapping[Layout, str]
    sources: dict[str, Source]
    batch_sizes: Mapping[str, int]
    network_settings: Mapping[str, Any] = field(default_factory=dict)
    channels_last: bool = True
    is_of_snippets: bool = False

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """What a weights file may hold."""
        return tuple(layout for layout in self.preprocessing if layout != "random")

    @property
    def modules(self) -> tuple[str, str]:
        """The modules whose code is the backbone: the one that says what it is, and that of its network."""
        return self.declared_in, module_of(self.network)

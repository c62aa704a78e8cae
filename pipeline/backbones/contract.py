"""The description of a visual backbone, which recipes and the extractor read.

A backbone is a file in this folder, a network in :mod:`models.backbones`, a line in :mod:`pipeline.backbones.registry`
and a test. A backbone gives its network by name, so that code which only needs the facts does not import torch.
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
        ``__name__`` of the module that declares the backbone.
    subject : str
        Name of its features in texts for people.
    network : str
        Reference to the class, a :class:`models.backbones.feature_network.FeatureNetwork`, see
        :mod:`pipeline.core.references`.
    layer : str
        Layer of the network that gives the features.
    feature_shape : tuple of int
        Shape of one sample: a map (H, W, C), channels last, or a vector (C,).
    image_size : int
        Side of the square pictures, in pixels.
    resize : str
        A key of :data:`pipeline.features.recipes.RESIZE_DESCRIPTIONS`.
    preprocessing : mapping of str to str
        Preprocessing of the pixel values for each layout that its weights may have, see
        :mod:`pipeline.features.visual.preprocessing`; a layout that is not named is refused.
    sources : dict
        Published weights by name.
    batch_sizes : mapping of str to int
        Inputs of a network call that suit a type of device.
    network_settings : mapping, optional
        Keyword arguments of the class.
    channels_last : bool, optional
        Whether the network and its inputs lie in memory with channels last.
    is_of_snippets : bool, optional
        Whether the network sees all frames of a segment at once.
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
        """The layouts that a weights file may have."""
        return tuple(layout for layout in self.preprocessing if layout != "random")

    @property
    def modules(self) -> tuple[str, str]:
        """The modules whose code is the backbone: the one that declares it, and that of its network."""
        return self.declared_in, module_of(self.network)

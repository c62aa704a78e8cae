"""What the visual extractor needs to know of a network: one file that says this adds a backbone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.features.decoding import Decoder
from pipeline.features.recipes import VISUAL_FACTS
from pipeline.features.visual.frames import FrameDecoder
from pipeline.features.weights import Weights
from pipeline.params.schema import DatasetParams, VisualParams


@dataclass(frozen=True)
class Backbone:
    """A visual network as the extractor uses it; its plain facts are in :data:`pipeline.features.recipes.VISUAL_FACTS`.

    Parameters
    ----------
    build : callable
        Makes the network, with published weights as their file has them or drawn from the seed: ``build(weights,
        seed)``. Raises WeightsError if the weights are of another network.
    features : callable
        ``features(network, images)``: from preprocessed inputs (N, ...) to features (N, ...), channels last.
    decoder : callable
        ``decoder(visual, dataset)``: what makes inputs of a file.
    modules : tuple of str
        The files whose code computes the values, beside those that every visual feature depends on.
    batch_sizes : mapping of str to int
        Inputs of a network call that suit a type of device.
    memory_format : torch.memory_format, optional
        How the network and its inputs are laid out.
    """

    build: Callable[[Weights, int], nn.Module]
    features: Callable[[nn.Module, Tensor], Tensor]
    decoder: Callable[[VisualParams, DatasetParams], Decoder]
    modules: tuple[str, ...]
    batch_sizes: Mapping[str, int]
    memory_format: torch.memory_format = torch.channels_last


def frame_decoder(visual: VisualParams, dataset: DatasetParams) -> FrameDecoder:
    """Return the decoder of single frames, resized as the backbone wants them."""
    facts = VISUAL_FACTS[visual.backbone]
    return FrameDecoder(
        num_segments=dataset.num_segments,
        segment_seconds=dataset.segment_seconds,
        frames_per_segment=visual.frames_per_segment,
        sampling=visual.sampling,
        image_size=facts.image_size,
        resize=facts.resize,
    )

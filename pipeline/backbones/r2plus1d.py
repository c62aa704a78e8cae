"""R(2+1)D-18: one vector, (512,), of all frames of a segment.

Of eight frames a second it is what LLP's scripts store (Tian et al., Unified Multisensory Perception, ECCV 2020).
"""

import torch
from torch import Tensor, nn

from models.backbones.r2plus1d import R2Plus1D18, state_from_torchvision
from pipeline.backbones.contract import Backbone, frame_decoder
from pipeline.features.visual.snippets import SnippetDecoder
from pipeline.features.weights import Weights, load_into
from pipeline.params.schema import DatasetParams, VisualParams


def _build(weights: Weights, seed: int) -> nn.Module:
    network = R2Plus1D18()
    if weights.layout == "random":
        network.init_random(seed)
    else:
        load_into(network, state_from_torchvision(weights.content))
    return network


def _features(network: nn.Module, snippets: Tensor) -> Tensor:
    """Frames come before channels in a decoded snippet (N, K, 3, H, W), after them in the network's."""
    vectors: Tensor = network(snippets.transpose(1, 2))
    return vectors


def _decoder(visual: VisualParams, dataset: DatasetParams) -> SnippetDecoder:
    return SnippetDecoder(frame_decoder(visual, dataset))


R2PLUS1D_18 = Backbone(
    build=_build,
    features=_features,
    decoder=_decoder,
    modules=(
        "models/backbones/r2plus1d.py",
        "pipeline/backbones/r2plus1d.py",
        "pipeline/features/visual/frames.py",
        "pipeline/features/visual/snippets.py",
    ),
    batch_sizes={"cpu": 4, "cuda": 64},
    memory_format=torch.contiguous_format,
)

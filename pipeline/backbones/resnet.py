"""ResNet-101 and ResNet-152: maps of the third stage, (7, 7, 1024), or the pooled vector, (2048,).

The maps, 14 × 14 from a picture of 224, become 7 × 7 by averages over 2 × 2: the authors' AVEL100k loader takes maps
of the third stage of that size. The pooled vector of eight frames a second is what LLP's scripts store (Tian et al.,
Unified Multisensory Perception, ECCV 2020).
"""

from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from models.backbones.resnet import Output, ResNet, state_from_torchvision
from pipeline.backbones.contract import Backbone, frame_decoder
from pipeline.features.weights import Weights, load_into


def _build(weights: Weights, seed: int, *, depth: int, output: Output) -> nn.Module:
    network = ResNet(depth, output=output)
    if weights.layout == "random":
        network.init_random(seed)
    else:
        load_into(network, state_from_torchvision(weights.content, output=output))
    return network


def _averaged_maps(network: nn.Module, images: Tensor) -> Tensor:
    maps = functional.avg_pool2d(network(images).float(), kernel_size=2)
    return maps.permute(0, 2, 3, 1)


def _vectors(network: nn.Module, images: Tensor) -> Tensor:
    vectors: Tensor = network(images)
    return vectors


_MODULES = ("models/backbones/resnet.py", "pipeline/backbones/resnet.py", "pipeline/features/visual/frames.py")
_BATCH_SIZES = {"cpu": 4, "cuda": 128}

RESNET101_LAYER3 = Backbone(
    build=partial(_build, depth=101, output="layer3"),
    features=_averaged_maps,
    decoder=frame_decoder,
    modules=_MODULES,
    batch_sizes=_BATCH_SIZES,
)
RESNET152_LAYER3 = Backbone(
    build=partial(_build, depth=152, output="layer3"),
    features=_averaged_maps,
    decoder=frame_decoder,
    modules=_MODULES,
    batch_sizes=_BATCH_SIZES,
)
RESNET152_POOLED = Backbone(
    build=partial(_build, depth=152, output="pooled"),
    features=_vectors,
    decoder=frame_decoder,
    modules=_MODULES,
    batch_sizes=_BATCH_SIZES,
)

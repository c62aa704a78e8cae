"""ResNet-101 and ResNet-152: maps of the third stage, (7, 7, 1024), or the pooled vector, (2048,).

The maps, 14 × 14 from a picture of 224, become 7 × 7 by averages over 2 × 2: the authors' AVEL100k loader takes maps
of the third stage of that size. The pooled vector of eight frames a second is what LLP's scripts store (Tian et al.,
Unified Multisensory Perception, ECCV 2020).
"""

from typing import Any

from pipeline.backbones.contract import IMAGENET, Backbone
from pipeline.backbones.sources import IMAGENET_LICENCE, Source

# `torchvision` is IMAGENET1K_V1 of torchvision 0.26, models/resnet.py, which reproduces the paper;
# `torchvision_v2` is IMAGENET1K_V2, trained longer by a newer recipe: other features.
_SOURCES_101 = {
    "torchvision": Source(
        "resnet101-63fe2227.pth",
        "https://download.pytorch.org/models/resnet101-63fe2227.pth",
        "sha256:63fe2227",
        "torch",
        IMAGENET_LICENCE,
    ),
    "torchvision_v2": Source(
        "resnet101-cd907fc2.pth",
        "https://download.pytorch.org/models/resnet101-cd907fc2.pth",
        "sha256:cd907fc2",
        "torch",
        IMAGENET_LICENCE,
    ),
}

_SOURCES_152 = {
    "torchvision": Source(
        "resnet152-394f9c45.pth",
        "https://download.pytorch.org/models/resnet152-394f9c45.pth",
        "sha256:394f9c45",
        "torch",
        IMAGENET_LICENCE,
    ),
    "torchvision_v2": Source(
        "resnet152-f82ba261.pth",
        "https://download.pytorch.org/models/resnet152-f82ba261.pth",
        "sha256:f82ba261",
        "torch",
        IMAGENET_LICENCE,
    ),
}

_COMMON: dict[str, Any] = {
    "declared_in": __name__,
    "network": "models.backbones.resnet:ResNet",
    "image_size": 224,
    "preprocessing": IMAGENET,
    "batch_sizes": {"cpu": 4, "cuda": 128},
}
_MAPS: dict[str, Any] = {
    "subject": "ResNet layer3 maps",
    "layer": "layer3, 2 x 2 averages",
    "feature_shape": (7, 7, 1024),
    "resize": "stretch",
}

RESNET101_LAYER3 = Backbone(
    sources=_SOURCES_101, network_settings={"depth": 101, "output": "layer3"}, **_MAPS, **_COMMON
)
RESNET152_LAYER3 = Backbone(
    sources=_SOURCES_152, network_settings={"depth": 152, "output": "layer3"}, **_MAPS, **_COMMON
)
RESNET152_POOLED = Backbone(
    subject="pooled ResNet vectors",
    layer="avgpool",
    feature_shape=(2048,),
    resize="crop",
    sources=_SOURCES_152,
    network_settings={"depth": 152, "output": "pooled"},
    **_COMMON,
)

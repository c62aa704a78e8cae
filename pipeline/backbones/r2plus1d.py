"""R(2+1)D-18: one vector, (512,), of all frames of a segment.

The vector of eight frames a second is what LLP's scripts store (Tian et al., Unified Multisensory Perception, ECCV
2020).
"""

from pipeline.backbones.contract import Backbone
from pipeline.backbones.sources import Source

# KINETICS400_V1 of torchvision 0.26, models/video/resnet.py.
_SOURCES = {
    "torchvision": Source(
        "r2plus1d_18-91a641e6.pth",
        "https://download.pytorch.org/models/r2plus1d_18-91a641e6.pth",
        "sha256:91a641e6",
        "torch",
        "BSD-3-Clause (torchvision); trained on Kinetics-400, whose videos are their uploaders'",
    ),
}

R2PLUS1D_18 = Backbone(
    declared_in=__name__,
    subject="pooled R(2+1)D vectors",
    network="models.backbones.r2plus1d:R2Plus1D18",
    layer="avgpool",
    feature_shape=(512,),
    image_size=112,
    resize="stretch_antialiased",
    preprocessing={"torch": "kinetics", "random": "kinetics"},
    sources=_SOURCES,
    batch_sizes={"cpu": 4, "cuda": 64},
    channels_last=False,
    is_of_snippets=True,
)

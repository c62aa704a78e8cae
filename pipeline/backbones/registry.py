"""Every visual backbone by the name that `visual.backbone` gives it."""

from pipeline.backbones.contract import Backbone
from pipeline.backbones.r2plus1d import R2PLUS1D_18
from pipeline.backbones.resnet import RESNET101_LAYER3, RESNET152_LAYER3, RESNET152_POOLED
from pipeline.backbones.vgg19 import VGG19_BLOCK5

BACKBONES: dict[str, Backbone] = {
    "vgg19": VGG19_BLOCK5,
    "resnet101": RESNET101_LAYER3,
    "resnet152": RESNET152_LAYER3,
    "resnet152_pooled": RESNET152_POOLED,
    "r2plus1d_18": R2PLUS1D_18,
}

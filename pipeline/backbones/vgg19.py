"""VGG19: ``block5_pool`` maps, (7, 7, 512), by the recipe of the AVE release.

Source: Tian et al., Audio-Visual Event Localization in Unconstrained Videos, ECCV 2018, and its released scripts.
"""

from pipeline.backbones.contract import IMAGENET, Backbone
from pipeline.backbones.sources import IMAGENET_LICENCE, Source

_SOURCES = {
    # The hash stands in keras, applications/vgg19.py.
    "keras": Source(
        "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"
        "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:253f8cb515780f3b799900260a226db6",
        "keras",
        "CC BY 4.0, Visual Geometry Group, University of Oxford (converted from the Caffe model)",
    ),
    "torchvision": Source(
        "vgg19-dcbb9e9d.pth",
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        "sha256:dcbb9e9d",
        "torch",
        IMAGENET_LICENCE,
    ),
}

VGG19_BLOCK5 = Backbone(
    declared_in=__name__,
    subject="VGG19 block5_pool maps",
    network="models.backbones.vgg19:VGG19",
    layer="block5_pool",
    feature_shape=(7, 7, 512),
    image_size=224,
    resize="stretch",
    preprocessing={"keras": "caffe", **IMAGENET},
    sources=_SOURCES,
    batch_sizes={"cpu": 8, "cuda": 128},
)

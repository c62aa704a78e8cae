"""Published network weights by name: where they are, what they hash to, what layout they have; without torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.core.errors import WeightsError, explain

Layout = Literal["keras", "torch", "numpy", "random"]

NETWORK_LAYOUTS: tuple[Layout, ...] = ("keras", "torch")
PCA_LAYOUTS: tuple[Layout, ...] = ("torch", "numpy")
_LAYOUT_OF_SUFFIX: dict[str, Layout] = {
    ".h5": "keras",
    ".pth": "torch",
    ".pt": "torch",
    ".safetensors": "torch",
    ".npz": "numpy",
}


@dataclass(frozen=True)
class Source:
    """A published weights file.

    Parameters
    ----------
    file : str
        Its name under ``data/weights``.
    url : str
    digest : str
        ``<algorithm>:<hexadecimal>``; the hexadecimal may be the first digits only, as its publisher gives it.
    layout : str
        ``keras`` (HDF5) or ``torch`` (a state dict).
    licence : str
        What its publisher says.
    """

    file: str
    url: str
    digest: str
    layout: Layout
    licence: str


IMAGENET_LICENCE = "BSD-3-Clause (torchvision); trained on ImageNet, whose terms are non-commercial research"

VGG19_SOURCES = {
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

# `torchvision` is IMAGENET1K_V1 of torchvision 0.26, models/backbones/resnet.py, which reproduces the paper;
# `torchvision_v2` is IMAGENET1K_V2, trained longer by a newer recipe: other features.
RESNET101_SOURCES = {
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

RESNET152_SOURCES = {
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

# KINETICS400_V1 of torchvision 0.26, models/video/resnet.py.
R2PLUS1D_18_SOURCES = {
    "torchvision": Source(
        "r2plus1d_18-91a641e6.pth",
        "https://download.pytorch.org/models/r2plus1d_18-91a641e6.pth",
        "sha256:91a641e6",
        "torch",
        "BSD-3-Clause (torchvision); trained on Kinetics-400, whose videos are their uploaders'",
    ),
}

VGGISH_SOURCES = {
    "torchvggish": Source(
        "vggish-10086976.pth",
        "https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth",
        "sha256:10086976",
        "torch",
        "Apache-2.0 (torchvggish, AudioSet models)",
    ),
}

VGGISH_PCA_SOURCES = {
    "torchvggish": Source(
        "vggish_pca_params-970ea276.pth",
        "https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish_pca_params-970ea276.pth",
        "sha256:970ea276",
        "torch",
        "Apache-2.0 (torchvggish, AudioSet models)",
    ),
}


def weights_layout(weights: str, sources: dict[str, Source], layouts: tuple[Layout, ...] = NETWORK_LAYOUTS) -> Layout:
    """Return the layout that a `weights` parameter stands for, without opening any file.

    Raises
    ------
    WeightsError
        If it is neither a known name nor a file name that ends as one of the `layouts` does: .h5 (keras), .pth, .pt
        and .safetensors (torch), .npz (numpy).
    """
    if weights == "random":
        return "random"
    if weights in sources:
        return sources[weights].layout
    layout = _LAYOUT_OF_SUFFIX.get(Path(weights).suffix)
    if layout in layouts:
        return layout
    *endings, last = (suffix for suffix, layout in _LAYOUT_OF_SUFFIX.items() if layout in layouts)
    raise WeightsError(
        explain(
            f"weights {weights!r}",
            expected=f"random, {', '.join(sources)}, or a file ending in {', '.join(endings)} or {last}",
            found="neither",
            remedy="correct visual.weights, audio.weights or audio.pca_weights",
        )
    )

"""Published network weights by name, with their address, hash and layout; without torch."""

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
        Licence, as its publisher states it.
    """

    file: str
    url: str
    digest: str
    layout: Layout
    licence: str


IMAGENET_LICENCE = "BSD-3-Clause (torchvision); trained on ImageNet, whose terms are non-commercial research"


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
    endings = [suffix for suffix, layout in _LAYOUT_OF_SUFFIX.items() if layout in layouts]
    of_file = f", or a file ending in {', '.join(endings[:-1])} or {endings[-1]}" if endings else ""
    raise WeightsError(
        explain(
            f"weights {weights!r}",
            expected=f"{', '.join(['random', *sources])}{of_file}",
            found="neither",
            remedy="correct visual.weights, visual.motion.weights, audio.weights or audio.pca_weights",
        )
    )

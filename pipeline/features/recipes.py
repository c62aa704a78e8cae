"""Recipes: every parameter that changes a value of a feature, as it is written into shards and checkpoints.

Training compares the recipe that the params stand for with the one the shards carry, without knowing how either
feature is computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.core.errors import WeightsError, explain
from pipeline.features.weight_sources import (
    PCA_LAYOUTS,
    R2PLUS1D_18_SOURCES,
    RESNET101_SOURCES,
    RESNET152_SOURCES,
    VGG19_SOURCES,
    VGGISH_PCA_SOURCES,
    VGGISH_SOURCES,
    Layout,
    Source,
    weights_layout,
)
from pipeline.params.schema import AudioParams, DatasetParams, Params, VisualParams

RESIZE_DESCRIPTIONS = {
    "stretch": "OpenCV INTER_LINEAR: bilinear, half-pixel centres, no antialias",
    "stretch_antialiased": "both sides stretched, bilinear with antialias as Pillow's",
    "crop": "shorter side to 8/7 of the image size, bilinear with antialias as Pillow's; the centre of it",
}
"""How a frame becomes a square, in words; :mod:`pipeline.features.visual.frames` does it."""

Modality = Literal["visual", "audio"]

SNIPPET = "one snippet per segment, a missing frame is the nearest one of its segment"


@dataclass(frozen=True)
class VisualFacts:
    """What is fixed about a visual backbone; the networks themselves are in :mod:`pipeline.backbones`.

    Parameters
    ----------
    layer : str
        Where in the network the features are taken.
    feature_shape : tuple of int
        Of one sample: a map (H, W, C), channels last, or a vector (C,).
    image_size : int
        Side of the square pictures, in pixels.
    resize : str
        A key of :data:`RESIZE_DESCRIPTIONS`.
    preprocessing : mapping of str to str
        For each layout that its weights may have, what becomes of pixel values, see
        :mod:`pipeline.features.visual.preprocessing`; a layout that is not named is refused.
    sources : dict
        Published weights by name.
    is_of_snippets : bool, optional
        The network sees all frames of a segment at once.
    """

    layer: str
    feature_shape: tuple[int, ...]
    image_size: int
    resize: str
    preprocessing: Mapping[Layout, str]
    sources: dict[str, Source]
    is_of_snippets: bool = False

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """What a weights file may hold."""
        return tuple(layout for layout in self.preprocessing if layout != "random")


IMAGENET: Mapping[Layout, str] = {"torch": "torchvision", "random": "torchvision"}
VISUAL_FACTS = {
    "vgg19": VisualFacts(
        layer="block5_pool",
        feature_shape=(7, 7, 512),
        image_size=224,
        resize="stretch",
        preprocessing={"keras": "caffe", **IMAGENET},
        sources=VGG19_SOURCES,
    ),
    "resnet101": VisualFacts(
        layer="layer3, 2 x 2 averages",
        feature_shape=(7, 7, 1024),
        image_size=224,
        resize="stretch",
        preprocessing=IMAGENET,
        sources=RESNET101_SOURCES,
    ),
    "resnet152": VisualFacts(
        layer="layer3, 2 x 2 averages",
        feature_shape=(7, 7, 1024),
        image_size=224,
        resize="stretch",
        preprocessing=IMAGENET,
        sources=RESNET152_SOURCES,
    ),
    "resnet152_pooled": VisualFacts(
        layer="avgpool",
        feature_shape=(2048,),
        image_size=224,
        resize="crop",
        preprocessing=IMAGENET,
        sources=RESNET152_SOURCES,
    ),
    "r2plus1d_18": VisualFacts(
        layer="avgpool",
        feature_shape=(512,),
        image_size=112,
        resize="stretch_antialiased",
        preprocessing={"torch": "kinetics", "random": "kinetics"},
        sources=R2PLUS1D_18_SOURCES,
        is_of_snippets=True,
    ),
}
"""By the name of the backbone in ``params.yaml``; where the facts are from stands in docs/features.md."""


def visual_feature_shape(visual: VisualParams) -> tuple[int, ...]:
    """Return the shape of one segment's visual features: that of one sample, after the K samples where stacked."""
    shape = VISUAL_FACTS[visual.backbone].feature_shape
    return (visual.frames_per_segment, *shape) if visual.combine == "stack" else shape


def feature_recipe(params: Params, modality: Modality) -> dict[str, Any]:
    """Return the recipe of one modality's features as `params` ask for them: extracted, or released by the authors.

    Raises
    ------
    WeightsError
        If the network of an extracted feature has no such weights.
    """
    if params.features.source == "released":
        return released_recipe(params, modality)
    if modality == "visual":
        return visual_recipe(params.visual, params.dataset)
    return audio_recipe(params.audio, params.dataset)


def released_recipe(params: Params, modality: Modality) -> dict[str, Any]:
    """Return what is known of features that a data set's authors published, and what is done to them here."""
    return {
        "source": "released",
        "release": params.dataset.name,
        "storage": getattr(params, modality).storage,
        "num_segments": params.dataset.num_segments,
        "segment_seconds": params.dataset.segment_seconds,
    }


def visual_recipe(visual: VisualParams, dataset: DatasetParams) -> dict[str, Any]:
    """Return every parameter that changes a value of the visual features.

    Raises
    ------
    WeightsError
        If the backbone has no such weights.
    """
    facts = VISUAL_FACTS[visual.backbone]
    layout = weights_layout(visual.weights, facts.sources, facts.layouts)
    return {
        "backbone": visual.backbone,
        "layer": facts.layer,
        "weights": _weights_name("visual", visual, facts.sources),
        "preprocessing": facts.preprocessing[layout],
        "image_size": facts.image_size,
        "resize": RESIZE_DESCRIPTIONS[facts.resize],
        "sampling": visual.sampling,
        "frames_per_segment": visual.frames_per_segment,
        "combine": SNIPPET if facts.is_of_snippets else visual.combine,
        "precision": visual.precision,
        "storage": visual.storage,
        "num_segments": dataset.num_segments,
        "segment_seconds": dataset.segment_seconds,
    }


def audio_recipe(audio: AudioParams, dataset: DatasetParams) -> dict[str, Any]:
    """Return every parameter that changes a value of the audio features.

    The parameters of the principal components are part of it only where they are used.
    """
    if weights_layout(audio.weights, VGGISH_SOURCES) == "keras":
        raise WeightsError(
            explain("audio.weights", expected="a PyTorch state dict", found=audio.weights, remedy="name a .pth file")
        )
    return {
        "backbone": "vggish",
        "weights": _weights_name("audio", audio, VGGISH_SOURCES),
        "alignment": audio.alignment,
        "resampler": f"soxr HQ, {'each segment alone' if audio.alignment == 'segment' else 'whole waveform'}",
        **_postprocess_recipe(audio),
        "storage": audio.storage,
        "num_segments": dataset.num_segments,
        "segment_seconds": dataset.segment_seconds,
    }


def _postprocess_recipe(audio: AudioParams) -> dict[str, str]:
    if audio.postprocess == "none":
        return {"postprocess": "none (after the final ReLU)"}
    weights_layout(audio.pca_weights, VGGISH_PCA_SOURCES, PCA_LAYOUTS)
    name = _name_by_content(
        audio.pca_weights, VGGISH_PCA_SOURCES, audio.weights_seed, audio.pca_sha256, "audio.pca_sha256"
    )
    return {"postprocess": "PCA and 8 bits, levels 0 to 255 (after the final ReLU)", "pca_weights": name}


def _weights_name(section: str, params: VisualParams | AudioParams, sources: Mapping[str, Source]) -> str:
    return _name_by_content(
        params.weights, sources, params.weights_seed, params.weights_sha256, f"{section}.weights_sha256"
    )


def _name_by_content(
    weights: str, sources: Mapping[str, Source], seed: int, sha256: str | None, sha256_key: str
) -> str:
    """Name weights by what they are: a published name, a seed, or the hash of a local file (its path may change)."""
    if weights == "random":
        return f"random:{seed}"
    if weights in sources:
        return weights
    if sha256 is None:
        raise WeightsError(
            explain(
                sha256_key,
                expected=f"the hash of the local file {weights}",
                found="null",
                remedy=f"write what `sha256sum {weights}` prints",
            )
        )
    return f"sha256:{sha256}"

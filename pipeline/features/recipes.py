"""Recipes: every parameter that changes a value of a feature, as it is written into shards and checkpoints.

Training compares the recipe that the params stand for with the one the shards carry, without knowing how either
feature is computed.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pipeline.backbones.registry import BACKBONES
from pipeline.backbones.sources import PCA_LAYOUTS, Source, weights_layout
from pipeline.backbones.vggish import VGGISH_PCA_SOURCES, VGGISH_SOURCES
from pipeline.core.errors import WeightsError, explain
from pipeline.params.schema import AudioParams, DatasetParams, MotionParams, Params, VisualParams

RESIZE_DESCRIPTIONS = {
    "stretch": "OpenCV INTER_LINEAR: bilinear, half-pixel centres, no antialias",
    "stretch_antialiased": "both sides stretched, bilinear with antialias as Pillow's",
    "crop": "shorter side to 8/7 of the image size, bilinear with antialias as Pillow's; the centre of it",
}
"""How a frame becomes a square, in words; :mod:`pipeline.features.visual.frames` does it."""

Modality = Literal["visual", "audio"]

SNIPPET = "one snippet per segment, a missing frame is the nearest one of its segment"


class VisualLayout(NamedTuple):
    """What one segment's visual features consist of.

    Parameters
    ----------
    appearance_shape : tuple of int
        Of the features of single frames: that of one sample, behind K where samples are stacked.
    motion_features : int
        Length of the vector of the motion stream; 0 without one. With one, the segment is stored as a single vector:
        the appearance features, flattened in C order, and then those of motion.
    """

    appearance_shape: tuple[int, ...]
    motion_features: int

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of a segment as it is stored."""
        if not self.motion_features:
            return self.appearance_shape
        return (math.prod(self.appearance_shape) + self.motion_features,)


LLP_LAYOUT = VisualLayout((8, 2048), 512)
"""Of LLP's released features: ResNet-152 of eight frames per segment, and R(2+1)D-18."""


def visual_layout(visual: VisualParams) -> VisualLayout:
    """Return what a segment's extracted visual features consist of.

    >>> LLP_LAYOUT.feature_shape
    (16896,)
    """
    shape = BACKBONES[visual.backbone].feature_shape
    motion_features = 0 if visual.motion is None else math.prod(BACKBONES[visual.motion.backbone].feature_shape)
    return VisualLayout((visual.frames_per_segment, *shape) if visual.combine == "stack" else shape, motion_features)


def visual_feature_shape(visual: VisualParams) -> tuple[int, ...]:
    """Return the shape of one segment's visual features as they are stored, see :class:`VisualLayout`."""
    return visual_layout(visual).feature_shape


def motion_params(visual: VisualParams) -> VisualParams:
    """Return the params that make the motion stream of `visual` alone; there must be one."""
    assert visual.motion is not None
    return visual.model_copy(update={**dict(visual.motion), "combine": "mean", "motion": None})


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
    """Return the recipe of features that a data set's authors published: their origin, and how they are stored."""
    return {
        "source": "released",
        "release": params.dataset.name,
        "short_clips": params.dataset.short_clips,
        "storage": getattr(params, modality).storage,
        "num_segments": params.dataset.num_segments,
        "segment_seconds": params.dataset.segment_seconds,
    }


def visual_recipe(visual: VisualParams, dataset: DatasetParams) -> dict[str, Any]:
    """Return every parameter that changes a value of the visual features.

    The parameters of the motion stream are part of it only where there is one.

    Raises
    ------
    WeightsError
        If a backbone has no such weights.
    """
    recipe = {
        **_network_recipe("visual", visual),
        "sampling": visual.sampling,
        "frames_per_segment": visual.frames_per_segment,
        "combine": SNIPPET if BACKBONES[visual.backbone].is_of_snippets else visual.combine,
        "precision": visual.precision,
        "storage": visual.storage,
        "num_segments": dataset.num_segments,
        "segment_seconds": dataset.segment_seconds,
    }
    if visual.motion is not None:
        recipe["motion"] = {**_network_recipe("visual.motion", visual.motion), "combine": SNIPPET}
    return recipe


def _network_recipe(section: str, params: VisualParams | MotionParams) -> dict[str, Any]:
    """Return what of a stream's recipe is its network's: weights, and how a frame becomes an input."""
    backbone = BACKBONES[params.backbone]
    layout = weights_layout(params.weights, backbone.sources, backbone.layouts)
    return {
        "backbone": params.backbone,
        "layer": backbone.layer,
        "weights": _weights_name(section, params, backbone.sources),
        "preprocessing": backbone.preprocessing[layout],
        "image_size": backbone.image_size,
        "resize": RESIZE_DESCRIPTIONS[backbone.resize],
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


def _weights_name(
    section: str, params: VisualParams | MotionParams | AudioParams, sources: Mapping[str, Source]
) -> str:
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

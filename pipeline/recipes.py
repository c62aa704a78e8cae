"""Recipes: every parameter that changes a value of a feature, as it is written into shards and checkpoints.

Training compares the recipe that the params stand for with the one the shards carry, without knowing how either
feature is computed.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.errors import WeightsError, explain
from pipeline.params import AudioParams, DatasetParams, VisualParams
from pipeline.weights import VGG19_SOURCES, VGGISH_SOURCES, Source, weights_layout

IMAGE_SIZE = 224


def visual_recipe(visual: VisualParams, dataset: DatasetParams) -> dict[str, Any]:
    """Return every parameter that changes a value of the visual features."""
    layout = weights_layout(visual.weights, VGG19_SOURCES)
    weights = _weights_name("visual", visual, VGG19_SOURCES)
    return {
        "backbone": visual.backbone,
        "layer": "block5_pool",
        "weights": weights,
        "preprocessing": "caffe" if layout == "keras" else "torchvision",
        "image_size": IMAGE_SIZE,
        "resize": "bilinear, half-pixel centres, no antialias, rounded to uint8",
        "sampling": visual.sampling,
        "frames_per_segment": visual.frames_per_segment,
        "precision": visual.precision,
        "storage": visual.storage,
        "num_segments": dataset.num_segments,
        "segment_seconds": dataset.segment_seconds,
    }


def audio_recipe(audio: AudioParams, dataset: DatasetParams) -> dict[str, Any]:
    """Return every parameter that changes a value of the audio features."""
    if weights_layout(audio.weights, VGGISH_SOURCES) == "keras":
        raise WeightsError(
            explain("audio.weights", expected="a PyTorch state dict", found=audio.weights, remedy="name a .pth file")
        )
    return {
        "backbone": "vggish",
        "weights": _weights_name("audio", audio, VGGISH_SOURCES),
        "alignment": "segment",
        "resampler": "soxr HQ, each segment alone",
        "postprocess": "none (after the final ReLU)",
        "storage": audio.storage,
        "num_segments": dataset.num_segments,
        "segment_seconds": dataset.segment_seconds,
    }


def _weights_name(section: str, params: VisualParams | AudioParams, sources: Mapping[str, Source]) -> str:
    """Name weights by what they are: a published name, a seed, or the hash of a local file (its path may change)."""
    if params.weights == "random":
        return f"random:{params.weights_seed}"
    if params.weights in sources:
        return params.weights
    if params.weights_sha256 is None:
        raise WeightsError(
            explain(
                f"{section}.weights_sha256",
                expected=f"the hash of the local file {params.weights}",
                found="null",
                remedy=f"write what `sha256sum {params.weights}` prints",
            )
        )
    return f"sha256:{params.weights_sha256}"

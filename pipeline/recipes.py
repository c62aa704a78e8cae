"""Recipes: every parameter that changes a value of a feature, as it is written into shards and checkpoints.

Training compares the recipe that the params stand for with the one the shards carry, without knowing how either
feature is computed.
"""

from typing import Any

from pipeline.errors import WeightsError, explain
from pipeline.params import AudioParams, DatasetParams, VisualParams
from pipeline.weights import VGG19_SOURCES, VGGISH_SOURCES, Layout, weights_layout

IMAGE_SIZE = 224


def visual_recipe(visual: VisualParams, dataset: DatasetParams) -> dict[str, Any]:
    """Return every parameter that changes a value of the visual features."""
    layout = weights_layout(visual.weights, VGG19_SOURCES)
    return {
        "backbone": visual.backbone,
        "layer": "block5_pool",
        "weights": f"random:{visual.weights_seed}" if layout == "random" else visual.weights,
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
    layout = _layout(audio)
    return {
        "backbone": "vggish",
        "weights": f"random:{audio.weights_seed}" if layout == "random" else audio.weights,
        "alignment": "segment",
        "resampler": "soxr HQ, each segment alone",
        "postprocess": "none (after the final ReLU)",
        "storage": audio.storage,
        "num_segments": dataset.num_segments,
        "segment_seconds": dataset.segment_seconds,
    }


def _layout(audio: AudioParams) -> Layout:
    layout = weights_layout(audio.weights, VGGISH_SOURCES)
    if layout == "keras":
        raise WeightsError(
            explain("audio.weights", expected="a PyTorch state dict", found=audio.weights, remedy="name a .pth file")
        )
    return layout

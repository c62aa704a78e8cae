"""Visual features: what a backbone (:mod:`pipeline.backbones`) makes of the frames of each segment.

Frames are chosen per segment (:mod:`pipeline.media.segments`), resized and preprocessed as the backbone's weights
expect, and computed once each; `visual.combine` says what becomes of the features of a segment's frames.
"""

from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor

from pipeline.backbones.registry import BACKBONES
from pipeline.core.files import source_fingerprint
from pipeline.core.precision import PRECISIONS, exact_float32
from pipeline.features.contract import Combination
from pipeline.features.recipes import VISUAL_FACTS, visual_feature_shape, visual_recipe
from pipeline.features.visual.preprocessing import PREPROCESSING
from pipeline.features.weights import load_weights
from pipeline.params.schema import DatasetParams, VisualParams

MODULES = (
    "models/backbones/random_weights.py",
    "pipeline/backbones/contract.py",
    "pipeline/features/visual/preprocessing.py",
    "pipeline/media/container.py",
    "pipeline/core/precision.py",
    "pipeline/media/segments.py",
    "pipeline/features/visual/extractor.py",
)
"""The files whose code every visual feature depends on."""


class VisualExtractor:
    """Frames of a video to maps or vectors; a :class:`pipeline.features.contract.Extractor`."""

    modality = "visual"

    def __init__(self, visual: VisualParams, dataset: DatasetParams, device: torch.device) -> None:
        backbone, facts = BACKBONES[visual.backbone], VISUAL_FACTS[visual.backbone]
        self.device = device
        self.batch_size = backbone.batch_sizes[device.type]
        self.recipe = visual_recipe(visual, dataset)
        self.storage = np.dtype(visual.storage)
        self.combine: Combination = visual.combine
        self.feature_shape = visual_feature_shape(visual)
        self.decoder = backbone.decoder(visual, dataset)
        self.code = source_fingerprint(*backbone.modules, *MODULES)
        weights = load_weights(
            visual.weights,
            facts.sources,
            sha256=visual.weights_sha256,
            seed=visual.weights_seed,
            layouts=facts.layouts,
        )
        self.weights_sha256 = weights.sha256
        self._preprocess = PREPROCESSING[facts.preprocessing[weights.layout]]
        self._dtype = PRECISIONS[visual.precision]
        self._features, self._memory_format = backbone.features, backbone.memory_format
        network = backbone.build(weights, visual.weights_seed).eval().to(device, self._dtype)
        self._network = network.to(memory_format=self._memory_format)  # type: ignore[call-overload]

    @torch.inference_mode()
    def network(self, inputs: Tensor) -> Tensor:
        """Map images (N, 3, H, W) or snippets (N, K, 3, H, W), uint8, to features (N, ...), float32, channels last."""
        images = self._preprocess(inputs.float()).to(self._dtype).contiguous(memory_format=self._memory_format)
        with exact_float32() if self._dtype == torch.float32 else nullcontext():
            features = self._features(self._network, images)
        return features.float().contiguous()

"""Visual features: maps or vectors that a backbone (:mod:`pipeline.backbones`) makes of each segment's frames.

Frames are chosen per segment (:mod:`pipeline.media.segments`), resized and preprocessed as the backbone's weights
expect, and computed once each; `visual.combine` says how the features of a segment's frames are combined. Where
`visual.motion` is set, the same frames also go through a network of snippets, and a segment is one vector of both
(:class:`pipeline.features.recipes.VisualLayout`).
"""

from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor

from models.backbones.feature_network import FeatureNetwork
from pipeline.backbones.contract import Backbone
from pipeline.backbones.registry import BACKBONES
from pipeline.core.errors import WeightsError
from pipeline.core.fingerprints import source_fingerprint
from pipeline.core.precision import PRECISIONS, exact_float32
from pipeline.core.references import resolve
from pipeline.features.contract import AnyExtractor, Combination, Extractor
from pipeline.features.decoding import Decoder, Prepared
from pipeline.features.recipes import motion_params, visual_feature_shape, visual_recipe
from pipeline.features.visual.frames import FrameDecoder
from pipeline.features.visual.preprocessing import PREPROCESSING
from pipeline.features.visual.snippets import SnippetDecoder
from pipeline.features.visual.two_streams import TwoStreamDecoder
from pipeline.features.weights import Weights, load_into, load_weights
from pipeline.params.schema import DatasetParams, VisualParams


def visual_extractor(visual: VisualParams, dataset: DatasetParams, device: torch.device) -> AnyExtractor:
    """Return the extractor that the params describe: of one stream, or of appearance and motion."""
    kind = VisualExtractor if visual.motion is None else TwoStreamExtractor
    return kind(visual, dataset, device)


class VisualExtractor:
    """Turns the frames of a video into maps or vectors; a :class:`pipeline.features.contract.Extractor`."""

    modality = "visual"

    def __init__(self, visual: VisualParams, dataset: DatasetParams, device: torch.device) -> None:
        assert visual.motion is None
        backbone = BACKBONES[visual.backbone]
        self.device = device
        self.batch_size = backbone.batch_sizes[device.type]
        self.recipe = visual_recipe(visual, dataset)
        self.storage = np.dtype(visual.storage)
        self.combine: Combination = visual.combine
        self.feature_shape = visual_feature_shape(visual)
        self.decoder = visual_decoder(visual, dataset)
        self.code = source_fingerprint(__name__, *backbone.modules)
        weights = load_weights(
            visual.weights,
            backbone.sources,
            sha256=visual.weights_sha256,
            seed=visual.weights_seed,
            layouts=backbone.layouts,
        )
        self.weights_sha256 = weights.sha256
        self._preprocess = PREPROCESSING[backbone.preprocessing[weights.layout]]
        self._dtype = PRECISIONS[visual.precision]
        self._memory_format = torch.channels_last if backbone.channels_last else torch.contiguous_format
        network = build_network(backbone, weights, visual.weights_seed).eval().to(device, self._dtype)
        self._network = network.to(memory_format=self._memory_format)  # type: ignore[call-overload]

    @torch.inference_mode()
    def network(self, inputs: Tensor) -> Tensor:
        """Map images (N, 3, H, W) or snippets (N, K, 3, H, W), uint8, to features (N, ...), float32, channels last."""
        images = self._preprocess(inputs.float()).to(self._dtype).contiguous(memory_format=self._memory_format)
        with exact_float32() if self._dtype == torch.float32 else nullcontext():
            features: Tensor = self._network.represent(images)
        return features.float().contiguous()


class TwoStreamExtractor:
    """Turns the frames of a video, decoded once, into vectors of appearance and motion.

    A :class:`pipeline.features.contract.JointExtractor`. Its streams, appearance and motion in this order, are the
    extractors of either backbone alone, so that the values are those that either alone would give, batch for batch.
    """

    modality = "visual"

    def __init__(self, visual: VisualParams, dataset: DatasetParams, device: torch.device) -> None:
        assert visual.motion is not None
        appearance = VisualExtractor(visual.model_copy(update={"motion": None}), dataset, device)
        motion = VisualExtractor(motion_params(visual), dataset, device)
        self.streams: tuple[Extractor, ...] = (appearance, motion)
        self.device = device
        self.recipe = visual_recipe(visual, dataset)
        self.storage = np.dtype(visual.storage)
        self.feature_shape = visual_feature_shape(visual)
        self.decoder = visual_decoder(visual, dataset)
        modules = [*BACKBONES[visual.backbone].modules, *BACKBONES[visual.motion.backbone].modules]
        self.code = source_fingerprint(__name__, *modules)
        self.weights_sha256 = f"{appearance.weights_sha256}, motion {motion.weights_sha256}"

    def split(self, prepared: Prepared) -> tuple[Prepared, ...]:
        """Return the inputs of appearance and of motion, see :meth:`.TwoStreamDecoder.split`."""
        assert isinstance(self.decoder, TwoStreamDecoder)
        return self.decoder.split(prepared)


def visual_decoder(visual: VisualParams, dataset: DatasetParams) -> Decoder:
    """Return the decoder that makes the inputs: single frames, resized as the backbone expects them, snippets, or both.

    See :class:`.FrameDecoder`, :class:`.SnippetDecoder` and :class:`.TwoStreamDecoder`.
    """
    backbone = BACKBONES[visual.backbone]
    frames = FrameDecoder(
        num_segments=dataset.num_segments,
        segment_seconds=dataset.segment_seconds,
        frames_per_segment=visual.frames_per_segment,
        sampling=visual.sampling,
        image_size=backbone.image_size,
        resize=backbone.resize,
    )
    if visual.motion is not None:
        motion = BACKBONES[visual.motion.backbone]
        return TwoStreamDecoder(**vars(frames), motion_image_size=motion.image_size, motion_resize=motion.resize)
    return SnippetDecoder(frames) if backbone.is_of_snippets else frames


def build_network(backbone: Backbone, weights: Weights, seed: int) -> FeatureNetwork:
    """Return the network of a backbone with published weights, or with random ones drawn from the seed.

    Raises
    ------
    WeightsError
        If the weights are of another network.
    """
    network: FeatureNetwork = resolve(backbone.network)(**backbone.network_settings)
    if weights.layout == "random":
        network.init_random(seed)
        return network
    try:
        load_into(network, network.state_from(weights.layout, weights.content))
    except ValueError as error:
        raise WeightsError(f"{error}; name a file of weights that make {backbone.subject}") from error
    return network

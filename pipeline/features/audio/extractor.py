"""Audio features: VGGish vectors, (T, 128), by the recipe of the AVE release or one of its variants.

In the release the waveform is cut at whole segments; each becomes one log-mel patch of 96 frames × 64 bands (the first
0.96 s) and one vector after the final ReLU. Variants: patches of the continuous waveform
(:mod:`pipeline.features.audio.patches`), and vectors that are rotated onto principal components and rounded to 8 bits
(:class:`models.backbones.vggish.Postprocessor`).

Source: Hershey et al., CNN Architectures for Large-Scale Audio Classification, ICASSP 2017; the AVE release.
"""

import numpy as np
import torch
from torch import Tensor

from models.backbones.vggish import Postprocessor, VGGish
from pipeline.backbones.sources import PCA_LAYOUTS
from pipeline.backbones.vggish import VGGISH_PCA_SOURCES, VGGISH_SOURCES
from pipeline.core.errors import WeightsError
from pipeline.core.fingerprints import source_fingerprint
from pipeline.core.precision import exact_float32
from pipeline.features.audio.patches import PatchDecoder
from pipeline.features.contract import Combination
from pipeline.features.decoding import Decoder
from pipeline.features.recipes import audio_recipe
from pipeline.features.weights import Weights, load_into, load_weights
from pipeline.params.schema import AudioParams, DatasetParams


class AudioExtractor:
    """Turns the waveform of a video into vectors (T, 128); a :class:`pipeline.features.contract.Extractor`."""

    modality = "audio"
    combine: Combination = "mean"
    feature_shape: tuple[int, ...] = (128,)

    def __init__(self, audio: AudioParams, dataset: DatasetParams, device: torch.device) -> None:
        self.device = device
        self.batch_size = 256 if device.type == "cuda" else 32
        self.recipe = audio_recipe(audio, dataset)
        self.storage = np.dtype(audio.storage)
        self.decoder = audio_decoder(audio, dataset)
        self.code = source_fingerprint(__name__)
        weights = load_weights(audio.weights, VGGISH_SOURCES, sha256=audio.weights_sha256, seed=audio.weights_seed)
        self.weights_sha256 = weights.sha256
        network = VGGish()
        if weights.layout == "random":
            network.init_random(audio.weights_seed)
        else:
            load_into(network, weights.content)
        self._network = network.eval().to(device)
        self._postprocessor: Postprocessor | None = None
        if audio.postprocess == "pca":
            pca = load_weights(
                audio.pca_weights,
                VGGISH_PCA_SOURCES,
                sha256=audio.pca_sha256,
                seed=audio.weights_seed,
                layouts=PCA_LAYOUTS,
            )
            self.weights_sha256 += f", pca {pca.sha256}"
            self._postprocessor = _postprocessor_with(pca, audio.weights_seed).double().to(device)

    @torch.inference_mode()
    def network(self, inputs: Tensor) -> Tensor:
        """Map patches (N, 96, 64), float32, to vectors (N, 128), float32: embeddings, or levels 0 to 255."""
        with exact_float32():
            embeddings: Tensor = self._network(inputs)
        if self._postprocessor is None:
            return embeddings
        levels: Tensor = self._postprocessor(embeddings.double())  # a level is where rounding errors would show
        return levels.float()


def _postprocessor_with(weights: Weights, seed: int) -> Postprocessor:
    if weights.layout == "random":
        return Postprocessor.random(seed)
    try:
        return Postprocessor.from_state(weights.content)
    except ValueError as error:
        raise WeightsError(f"{error}; correct audio.pca_weights") from error


def audio_decoder(audio: AudioParams, dataset: DatasetParams) -> Decoder:
    """Return the decoder that makes VGGish's inputs: log-mel patches, one per segment."""
    return PatchDecoder(
        num_segments=dataset.num_segments, segment_seconds=dataset.segment_seconds, alignment=audio.alignment
    )

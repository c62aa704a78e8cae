"""Audio features: VGGish vectors, (T, 128), by the recipe of the AVE release.

The waveform is cut at whole segments; each becomes one log-mel patch of 96 frames × 64 bands (the first 0.96 s) and
one vector after the final ReLU, without PCA and quantisation. Running VGGish over the continuous waveform instead
drifts by 0.4 s until the tenth segment.

Source: Hershey et al., CNN Architectures for Large-Scale Audio Classification, ICASSP 2017; the AVE release.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.vggish import VGGish
from pipeline.audio_frontend import segment_patch
from pipeline.errors import MediaError
from pipeline.features import Prepared
from pipeline.files import source_fingerprint
from pipeline.media import Waveform, read_waveform
from pipeline.params import AudioParams, DatasetParams
from pipeline.recipes import audio_recipe
from pipeline.segments import MIN_AVAILABLE_SHARE, NO_FRAME, sample_range
from pipeline.weights import VGGISH_SOURCES, load_into, load_weights


class AudioExtractor:
    """Waveform of a video to vectors (T, 128); an :class:`pipeline.extraction.Extractor`."""

    modality = "audio"

    def __init__(self, audio: AudioParams, dataset: DatasetParams, device: torch.device) -> None:
        self._dataset, self._device = dataset, device
        self.recipe = audio_recipe(audio, dataset)
        self.storage = np.dtype(audio.storage)
        self.code = source_fingerprint(
            "models/vggish.py",
            "models/random_weights.py",
            "pipeline/audio.py",
            "pipeline/audio_frontend.py",
            "pipeline/media.py",
            "pipeline/segments.py",
        )
        weights = load_weights(audio.weights, VGGISH_SOURCES, sha256=audio.weights_sha256, seed=audio.weights_seed)
        self.weights_sha256 = weights.sha256
        network = VGGish()
        if weights.layout == "random":
            network.init_random(audio.weights_seed)
        else:
            load_into(network, weights.content)
        self._network = network.eval().to(device)

    def prepare(self, path: Path) -> Prepared:
        """Decode the audio and cut it into patches; inputs are (U, 96, 64), float32."""
        num_segments, segment_seconds = self._dataset.num_segments, self._dataset.segment_seconds
        waveform = read_waveform(path, num_seconds=num_segments * segment_seconds)
        rows = np.full((num_segments, 1), NO_FRAME)
        patches: list[np.ndarray] = []
        for segment in range(num_segments):
            start, stop = sample_range(segment, waveform.sample_rate_hz, segment_seconds)
            if waveform.present[start:stop].mean() >= MIN_AVAILABLE_SHARE:
                rows[segment] = len(patches)
                patches.append(segment_patch(waveform.samples[:, start:stop], waveform.sample_rate_hz))
        if not patches:
            raise MediaError("too_short", f"{path.name}: no segment has half of its samples")
        inputs = torch.from_numpy(np.stack(patches).astype(np.float32))
        seconds = float(waveform.present.sum()) / waveform.sample_rate_hz
        channels = f"{len(waveform.samples)} channel{'s' * (len(waveform.samples) > 1)}"
        detail = f"{waveform.sample_rate_hz} Hz, {channels}"
        return Prepared(inputs, rows, _reason(waveform, rows), seconds, detail)

    @torch.inference_mode()
    def network(self, inputs: Tensor) -> Tensor:
        """Map patches (n, 96, 64), float32, to vectors (n, 128), float32, on the CPU."""
        return self._network(inputs.to(self._device)).cpu()


def _reason(waveform: Waveform, rows: np.ndarray) -> str:
    """Say why segments are missing."""
    if waveform.is_truncated:
        return "truncated"
    if waveform.num_damaged:
        return "damaged"
    missing = np.flatnonzero(rows[:, 0] == NO_FRAME)
    if len(missing) == 0:
        return "ok"
    if missing[0] == 0 and not waveform.present[0]:
        return "late_start"
    return "short" if missing[-1] == len(rows) - 1 else "gap"

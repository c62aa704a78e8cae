"""Visual features: VGG19 ``block5_pool`` maps, (T, 7, 7, 512), by the recipe of the AVE release.

Frames are chosen per segment (:mod:`pipeline.segments`), resized to 224 × 224 as OpenCV's INTER_LINEAR does, without
keeping the aspect ratio, preprocessed as the weights expect, and the maps of a segment's frames are averaged.

Source: Tian et al., Audio-Visual Event Localization in Unconstrained Videos, ECCV 2018, and its released scripts.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.vgg19 import VGG19, state_from_keras, state_from_torchvision
from pipeline.errors import MediaError, WeightsError
from pipeline.features import Prepared
from pipeline.files import source_fingerprint
from pipeline.media import REASONS, Timeline, read_frames, read_timeline
from pipeline.params import DatasetParams, VisualParams
from pipeline.recipes import IMAGE_SIZE, visual_recipe
from pipeline.segments import NO_FRAME, frame_indices_by_number, frame_indices_by_time, segment_valid
from pipeline.weights import VGG19_SOURCES, Weights, load_into, load_weights

CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
IMAGENET_MEAN_RGB = (0.485, 0.456, 0.406)
IMAGENET_STD_RGB = (0.229, 0.224, 0.225)


def resize_bilinear(image: np.ndarray, size: int = IMAGE_SIZE) -> Tensor:
    """Resize as OpenCV's INTER_LINEAR does on uint8, within one grey level.

    Parameters
    ----------
    image : np.ndarray
        Shape (H, W, 3), uint8.
    size : int
        Of both sides, in pixels; the aspect ratio is not kept.

    Returns
    -------
    torch.Tensor
        Shape (3, size, size), uint8.
    """
    # NumPy, not torch: this runs in decoding threads, each of which would bring up threads of its own in torch and
    # take the cores from the network.
    top, bottom, down = _neighbours(image.shape[0], size)
    left, right, across = _neighbours(image.shape[1], size)
    rows = np.concatenate([image[top], image[bottom]])
    rows = rows[:, left] * (1 - across[:, None]) + rows[:, right] * across[:, None]
    resized = rows[:size] * (1 - down[:, None, None]) + rows[size:] * down[:, None, None]
    return torch.from_numpy(np.rint(resized).astype(np.uint8).transpose(2, 0, 1).copy())


def _neighbours(length: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each of `size` new pixels, its two old neighbours and the float32 share of the second."""
    centre = np.clip((np.arange(size) + 0.5) * (length / size) - 0.5, 0, length - 1)
    first = np.floor(centre).astype(np.intp)
    return first, np.minimum(first + 1, length - 1), (centre - first).astype(np.float32)


def preprocess_caffe(images: Tensor) -> Tensor:
    """Map RGB images (N, 3, H, W), 0 to 255, to what Caffe's VGG19 expects: BGR minus the mean, not scaled."""
    mean = torch.tensor(CAFFE_MEAN_BGR, device=images.device).view(3, 1, 1)
    return images.flip(1) - mean


def preprocess_torchvision(images: Tensor) -> Tensor:
    """Map RGB images (N, 3, H, W), 0 to 255, to what torchvision's weights expect: scaled, mean 0, deviation 1."""
    mean = torch.tensor(IMAGENET_MEAN_RGB, device=images.device).view(3, 1, 1)
    std = torch.tensor(IMAGENET_STD_RGB, device=images.device).view(3, 1, 1)
    return (images / 255 - mean) / std


class VisualExtractor:
    """Frames of a video to maps (T, 7, 7, 512); an :class:`pipeline.extraction.Extractor`."""

    modality = "visual"

    def __init__(self, visual: VisualParams, dataset: DatasetParams, device: torch.device) -> None:
        self._visual, self._dataset, self._device = visual, dataset, device
        self.recipe = visual_recipe(visual, dataset)
        self.storage = np.dtype(visual.storage)
        self.code = source_fingerprint(
            "models/vgg19.py",
            "models/random_weights.py",
            "pipeline/visual.py",
            "pipeline/media.py",
            "pipeline/segments.py",
        )
        weights = load_weights(visual.weights, VGG19_SOURCES, sha256=visual.weights_sha256, seed=visual.weights_seed)
        self.weights_sha256 = weights.sha256
        self._preprocess = preprocess_caffe if weights.layout == "keras" else preprocess_torchvision
        self._dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[visual.precision]
        network = _network_with(weights, visual.weights_seed)
        self._network = network.eval().to(device, self._dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def prepare(self, path: Path) -> Prepared:
        """Decode the frames that the recipe chooses; inputs are (U, 3, 224, 224), uint8."""
        timeline = read_timeline(path)
        indices = self._choose(path, timeline)
        wanted = np.unique(indices[indices != NO_FRAME]).tolist()
        if not wanted:
            raise MediaError("too_short", f"{path.name}: no frame is shown during the clip")
        images_by_number = read_frames(path, timeline, wanted, resize_bilinear)
        if not images_by_number:
            raise MediaError("undecodable", f"{path.name}: {REASONS['undecodable']}")
        numbers = sorted(images_by_number)
        position_of = {number: position for position, number in enumerate(numbers)}
        rows = np.array([[position_of.get(int(number), NO_FRAME) for number in segment] for segment in indices])
        images = torch.stack([images_by_number[number] for number in numbers])
        reason = _reason(timeline, indices, rows)
        found = len(timeline.timestamps_seconds)
        detail = f"{found} of {timeline.num_declared} frames" if timeline.is_truncated else f"{found} frames"
        return Prepared(images, rows, reason, timeline.duration_seconds, detail)

    def _choose(self, path: Path, timeline: Timeline) -> np.ndarray:
        num_segments, num_samples = self._dataset.num_segments, self._visual.frames_per_segment
        if self._visual.sampling == "time":
            return frame_indices_by_time(
                timeline.timestamps_seconds, num_segments, num_samples, self._dataset.segment_seconds
            )
        if timeline.num_declared < num_segments:
            raise MediaError("too_short", f"{path.name}: {timeline.num_declared} frames for {num_segments} segments")
        indices = frame_indices_by_number(timeline.num_declared, num_segments, num_samples)
        indices[indices >= len(timeline.timestamps_seconds)] = NO_FRAME
        return indices

    @torch.inference_mode()
    def network(self, inputs: Tensor) -> Tensor:
        """Map images (n, 3, 224, 224), uint8, to maps (n, 7, 7, 512), float32, on the CPU."""
        images = self._preprocess(inputs.to(self._device).float())
        maps = self._network(images.to(self._dtype).contiguous(memory_format=torch.channels_last))
        return maps.permute(0, 2, 3, 1).float().contiguous().cpu()


def _network_with(weights: Weights, seed: int) -> VGG19:
    network = VGG19()
    if weights.layout == "random":
        network.init_random(seed)
        return network
    try:
        convert = state_from_keras if weights.layout == "keras" else state_from_torchvision
        load_into(network, convert(weights.content))
    except ValueError as error:
        raise WeightsError(f"{error}; name a file of VGG19 weights") from error
    return network


def _reason(timeline: Timeline, indices: np.ndarray, rows: np.ndarray) -> str:
    """Say why samples are missing: (T, K) wanted frames against (T, K) decoded ones."""
    if (rows != NO_FRAME).all():
        return "ok"
    if timeline.is_truncated:
        return "truncated"
    if ((indices != NO_FRAME) & (rows == NO_FRAME)).any():
        return "damaged"
    valid = segment_valid(rows)
    if valid.all():
        return "ok"
    return "late_start" if not valid[0] and rows[0, 0] == NO_FRAME else "short"

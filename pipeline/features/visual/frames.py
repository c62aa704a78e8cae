"""From a video file to pictures: the frames that a recipe chooses, each once, resized as the network wants them.

This module uses NumPy and Pillow alone: it runs in worker processes, which have no use for torch and its threads.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from pipeline.core.errors import MediaError
from pipeline.features.decoding import Prepared
from pipeline.media.container import REASONS, Timeline, read_frames, read_timeline
from pipeline.media.segments import NO_FRAME, frame_indices_by_number, frame_indices_by_time, segment_valid

CROPPED_SHARE = 0.875
"""Of the shorter side of a picture, what the central crop leaves: 224 of 256 pixels."""


@dataclass(frozen=True)
class FrameDecoder:
    """Chooses, decodes and resizes frames; a :class:`pipeline.features.decoding.Decoder`.

    Parameters
    ----------
    num_segments : int
        T.
    segment_seconds : float
    frames_per_segment : int
        K.
    sampling : str
        ``frames`` (the AVE rule, by number) or ``time``, see :mod:`pipeline.media.segments`.
    image_size : int
        Side of the square that frames become, in pixels.
    resize : str, optional
        How a frame becomes this square: ``stretch`` (:func:`resize_bilinear`), ``stretch_antialiased``
        (:func:`resize_antialiased`) or ``crop`` (:func:`crop_antialiased`).
    """

    num_segments: int
    segment_seconds: float
    frames_per_segment: int
    sampling: Literal["frames", "time"]
    image_size: int
    resize: str = "stretch"

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of what :meth:`convert` makes of a frame."""
        return 3, self.image_size, self.image_size

    def convert(self, image: np.ndarray) -> np.ndarray:
        """Make a decoded frame (H, W, 3), uint8, RGB, an input of the network."""
        return RESIZES[self.resize](image, self.image_size)

    def __call__(self, path: Path) -> Prepared:
        """Decode the chosen frames; inputs are (U, :attr:`frame_shape`), uint8, RGB."""
        timeline = read_timeline(path)
        by_time = frame_indices_by_time(
            timeline.timestamps_seconds, self.num_segments, self.frames_per_segment, self.segment_seconds
        )
        by_number = self._by_number(timeline)
        indices = by_time if self.sampling == "time" else by_number
        if indices is None:
            raise MediaError(
                "too_short", f"{path.name}: {timeline.num_declared} frames for {self.num_segments} segments"
            )
        wanted = np.unique(indices[indices != NO_FRAME]).tolist()
        if not wanted:
            raise MediaError("too_short", f"{path.name}: no frame is shown during the clip")
        images_by_number = read_frames(path, timeline, wanted, self.convert)
        if not images_by_number:
            raise MediaError("undecodable", f"{path.name}: {REASONS['undecodable']}")
        numbers = sorted(images_by_number)
        position_of = {number: position for position, number in enumerate(numbers)}
        rows = np.array([[position_of.get(int(number), NO_FRAME) for number in segment] for segment in indices])
        images = np.stack([images_by_number[number] for number in numbers])
        found = len(timeline.timestamps_seconds)
        detail = f"{found} of {timeline.num_declared} frames" if timeline.is_truncated else f"{found} frames"
        return Prepared(
            images,
            rows,
            _reason(timeline, indices, rows),
            timeline.duration_seconds,
            detail,
            _largest_offset(timeline, by_number, by_time),
        )

    def _by_number(self, timeline: Timeline) -> np.ndarray | None:
        if timeline.num_declared < self.num_segments:
            return None
        indices = frame_indices_by_number(timeline.num_declared, self.num_segments, self.frames_per_segment)
        indices[indices >= len(timeline.timestamps_seconds)] = NO_FRAME
        return indices


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


def _largest_offset(timeline: Timeline, by_number: np.ndarray | None, by_time: np.ndarray) -> float | None:
    """Return how far apart the two choices of a sample are shown, in seconds, at the most; None without a pair."""
    if by_number is None or not (both := (by_number != NO_FRAME) & (by_time != NO_FRAME)).any():
        return None
    timestamps = timeline.timestamps_seconds
    return float(np.abs(timestamps[by_number[both]] - timestamps[by_time[both]]).max())


def resize_bilinear(image: np.ndarray, size: int) -> np.ndarray:
    """Resize with OpenCV's INTER_LINEAR (half-pixel centres, no antialias), as the AVE features were made.

    Parameters
    ----------
    image : np.ndarray
        Shape (H, W, 3), uint8.
    size : int
        Of both sides, in pixels; the aspect ratio is not kept.

    Returns
    -------
    np.ndarray
        Shape (3, size, size), uint8.
    """
    cv2.setNumThreads(0)  # one video per process already uses the cores
    resized = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(resized.transpose(2, 0, 1))


def resize_antialiased(image: np.ndarray, size: int) -> np.ndarray:
    """Resize with Pillow's BILINEAR, with its antialias, as LLP's R(2+1)D features were made.

    Parameters
    ----------
    image : np.ndarray
        Shape (H, W, 3), uint8.
    size : int
        Of both sides, in pixels; the aspect ratio is not kept.

    Returns
    -------
    np.ndarray
        Shape (3, size, size), uint8.
    """
    return _resize_box(image, size, (0, 0, image.shape[1], image.shape[0]))


def crop_antialiased(image: np.ndarray, size: int) -> np.ndarray:
    """Resize the shorter side to 8/7 of `size` with Pillow's BILINEAR and take the centre; the aspect ratio is kept.

    For 224 pixels the result is that of torchvision's ``Resize(256)`` and ``CenterCrop(224)``, by which LLP's ResNet
    features were made, within one grey level. What is cut away is not computed.

    Parameters
    ----------
    image : np.ndarray
        Shape (H, W, 3), uint8.
    size : int
        Of both sides, in pixels.

    Returns
    -------
    np.ndarray
        Shape (3, size, size), uint8.
    """
    height, width = image.shape[:2]
    shorter = int(size / CROPPED_SHARE)
    new_height, new_width = (int(shorter * side / min(height, width)) for side in (height, width))
    top, left = round((new_height - size) / 2), round((new_width - size) / 2)
    down, across = height / new_height, width / new_width
    return _resize_box(image, size, (left * across, top * down, (left + size) * across, (top + size) * down))


def _resize_box(image: np.ndarray, size: int, box: tuple[float, float, float, float]) -> np.ndarray:
    """Resize what is inside `box` (left, top, right, bottom), in pixels of `image`."""
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR, box)
    return np.ascontiguousarray(np.asarray(resized).transpose(2, 0, 1))


RESIZES = {"stretch": resize_bilinear, "stretch_antialiased": resize_antialiased, "crop": crop_antialiased}

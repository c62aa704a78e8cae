"""A small picture per segment, and the sound of the whole clip as a curve and a spectrogram, for the page."""

import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from PIL import Image

from pipeline.features.audio.log_mel import (
    HOP_SAMPLES,
    LOG_OFFSET,
    WINDOW_SAMPLES,
    log_mel,
    resample_to_16k,
    to_mono,
)
from pipeline.media.container import Timeline, read_frames, read_timeline
from pipeline.media.segments import NO_FRAME, frame_indices_by_time
from pipeline.media.waveform import read_waveform

MAX_HEIGHT = 640  # of a picture that is a sliver
THUMBNAIL_WIDTH = 144
"""In pixels; the height follows from the video, which is shown whole, as the network sees it."""

WEBP_QUALITY = 50

FRAMES_PER_COLUMN = 2  # of 10 ms
NUM_WAVEFORM_COLUMNS = 240


@dataclass(frozen=True)
class Thumbnail:
    """A picture as WebP, with its size in pixels."""

    content: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Sound:
    """What is heard in a clip.

    Parameters
    ----------
    extremes : np.ndarray, shape (columns, 2), float
        Lowest and highest sample in each of equally long stretches of time, -1 to 1.
    spectrogram : bytes
        The network's log-mel spectrogram as WebP, time from left to right, low frequencies at the bottom.
    """

    extremes: np.ndarray
    spectrogram: bytes


def read_thumbnails(path: Path, *, num_segments: int, segment_seconds: float) -> list[Thumbnail | None]:
    """Return a picture per segment, None where no frame is shown in it.

    Raises
    ------
    MediaError
        If the file has no video that can be decoded.
    """
    pictures = read_pictures(path, num_segments=num_segments, segment_seconds=segment_seconds, width=THUMBNAIL_WIDTH)
    return [None if picture is None else _thumbnail(picture) for picture in pictures]


def read_pictures(path: Path, *, num_segments: int, segment_seconds: float, width: int) -> list[np.ndarray | None]:
    """Return a picture (H, width, 3), uint8, per segment, None where no frame is shown in it.

    Raises
    ------
    MediaError
        If the file has no video that can be decoded.
    """
    timeline = read_timeline(path)
    numbers = choose_frames(timeline, num_segments=num_segments, segment_seconds=segment_seconds)
    wanted = [number for number in numbers if number is not None]
    pictures = read_frames(path, timeline, wanted, lambda frame: _shrink(frame, width))
    return [None if number is None else pictures.get(number) for number in numbers]


def choose_frames(timeline: Timeline, *, num_segments: int, segment_seconds: float) -> list[int | None]:
    """Return per segment the number of the frame shown at its middle, else at its start, else None."""
    start, middle = frame_indices_by_time(timeline.timestamps_seconds, num_segments, 2, segment_seconds).T
    return [None if number == NO_FRAME else int(number) for number in np.where(middle == NO_FRAME, start, middle)]


def read_sound(path: Path, *, num_seconds: float) -> Sound:
    """Return the clip's waveform and spectrogram.

    The spectrogram is the network's own front end, over the whole clip. Dark is digital silence, bright the clip's
    loudest point or a spectrum magnitude of 1, whichever is louder: a silent clip is dark all over.

    Raises
    ------
    MediaError
        If the file has no audio that can be decoded.
    """
    waveform = read_waveform(path, num_seconds=num_seconds)
    mono = to_mono(waveform.samples)
    return Sound(_extremes(mono), _draw(spectrogram_of(mono, waveform.sample_rate_hz)))


def spectrogram_of(mono: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Return the network's log-mel spectrogram of a whole signal, (frames of 10 ms, 64), as many frames as hops."""
    # Padded, no time is cut off.
    return log_mel(np.pad(resample_to_16k(mono, sample_rate_hz), (0, WINDOW_SAMPLES - HOP_SAMPLES)))


def colour_limits(spectrogram: np.ndarray) -> tuple[float, float]:
    """Return what is dark and what is bright: digital silence, and the loudest point or a spectrum magnitude of 1."""
    return math.log(LOG_OFFSET), max(float(spectrogram.max()), 0.0)


def _shrink(frame: np.ndarray, width: int) -> np.ndarray:
    image = Image.fromarray(frame)
    height = min(max(1, round(image.height * width / image.width)), MAX_HEIGHT)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def _thumbnail(picture: np.ndarray) -> Thumbnail:
    height, width = picture.shape[:2]
    return Thumbnail(_encode_webp(Image.fromarray(picture)), width, height)


def _extremes(mono: np.ndarray) -> np.ndarray:
    starts = np.linspace(0, len(mono), NUM_WAVEFORM_COLUMNS, endpoint=False).astype(int)
    return np.stack([np.minimum.reduceat(mono, starts), np.maximum.reduceat(mono, starts)], axis=1)


def _draw(frames: np.ndarray) -> bytes:
    num_columns = len(frames) // FRAMES_PER_COLUMN
    columns = frames[: num_columns * FRAMES_PER_COLUMN].reshape(num_columns, FRAMES_PER_COLUMN, -1).mean(axis=1)
    dark, bright = colour_limits(columns)
    share = (columns - dark) / (bright - dark)
    return _encode_webp(Image.fromarray(colormaps["magma"](share.T[::-1], bytes=True)[..., :3]))


def _encode_webp(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=WEBP_QUALITY)
    return buffer.getvalue()

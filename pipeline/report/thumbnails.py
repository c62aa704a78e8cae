"""A small picture per segment, and a spectrogram of the whole clip, as bytes for the page."""

import io
import math
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from PIL import Image

from pipeline.audio_frontend import (
    HOP_SAMPLES,
    LOG_OFFSET,
    WINDOW_SAMPLES,
    log_mel,
    resample_to_16k,
    to_mono,
)
from pipeline.media import Timeline, read_frames, read_timeline, read_waveform
from pipeline.segments import NO_FRAME, frame_indices_by_time

THUMBNAIL_WIDTH = 160
JPEG_QUALITY = 70

FRAMES_PER_COLUMN = 2  # of 10 ms
NUM_LEVELS = 64


def read_thumbnails(path: Path, *, num_segments: int, segment_seconds: float) -> list[bytes | None]:
    """Return a picture per segment as JPEG, None where no frame is shown in it.

    Raises
    ------
    MediaError
        If the file has no video that can be decoded.
    """
    timeline = read_timeline(path)
    numbers = choose_frames(timeline, num_segments=num_segments, segment_seconds=segment_seconds)
    frames = read_frames(path, timeline, [number for number in numbers if number is not None])
    pictures = {number: _encode_jpeg(frame) for number, frame in frames.items()}
    return [None if number is None else pictures.get(number) for number in numbers]


def choose_frames(timeline: Timeline, *, num_segments: int, segment_seconds: float) -> list[int | None]:
    """Return per segment the number of the frame shown at its middle, else at its start, else None."""
    start, middle = frame_indices_by_time(timeline.timestamps_seconds, num_segments, 2, segment_seconds).T
    return [None if number == NO_FRAME else int(number) for number in np.where(middle == NO_FRAME, start, middle)]


def read_spectrogram(path: Path, *, num_seconds: float) -> bytes:
    """Return the log-mel spectrogram of the clip as PNG, time from left to right, low frequencies at the bottom.

    It is the network's own front end, over the whole clip. Dark is digital silence, bright the clip's loudest
    point or a spectrum magnitude of 1, whichever is louder: a silent clip is dark all over.

    Raises
    ------
    MediaError
        If the file has no audio that can be decoded.
    """
    waveform = read_waveform(path, num_seconds=num_seconds)
    mono = resample_to_16k(to_mono(waveform.samples), waveform.sample_rate_hz)
    frames = log_mel(np.pad(mono, (0, WINDOW_SAMPLES - HOP_SAMPLES)))  # as many frames as hops: no time is cut off
    num_columns = len(frames) // FRAMES_PER_COLUMN
    columns = frames[: num_columns * FRAMES_PER_COLUMN].reshape(num_columns, FRAMES_PER_COLUMN, -1).mean(axis=1)
    floor = math.log(LOG_OFFSET)
    share = (columns - floor) / (max(float(columns.max()), 0.0) - floor)
    return _encode_png(share.T[::-1])


def _encode_jpeg(frame: np.ndarray) -> bytes:
    image = Image.fromarray(frame)
    height = max(1, round(image.height * THUMBNAIL_WIDTH / image.width))
    buffer = io.BytesIO()
    image.resize((THUMBNAIL_WIDTH, height), Image.Resampling.BOX).save(
        buffer, "JPEG", quality=JPEG_QUALITY, optimize=True
    )
    return buffer.getvalue()


def _encode_png(share: np.ndarray) -> bytes:
    """Encode values from 0 to 1, shape (rows, columns), with a palette of few colours: a third of the bytes."""
    image = Image.fromarray(np.round(share * (NUM_LEVELS - 1)).astype(np.uint8), mode="P")
    colours = colormaps["magma"](np.linspace(0, 1, NUM_LEVELS), bytes=True)[:, :3]
    image.putpalette(colours.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()

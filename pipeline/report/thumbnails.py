"""A small picture per segment, and a spectrogram of the whole clip, as bytes for the page."""

import io
from pathlib import Path

import librosa
import numpy as np
from matplotlib import colormaps
from PIL import Image

from pipeline.media import Timeline, read_frames, read_timeline, read_waveform
from pipeline.segments import NO_FRAME, frame_indices_by_time

THUMBNAIL_WIDTH = 160
JPEG_QUALITY = 70

SAMPLE_RATE_HZ = 16000
FFT_SIZE = 1024
NUM_COLUMNS_PER_SECOND = 50
NUM_MEL_BANDS = 64
DYNAMIC_RANGE_DB = 70.0
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
    return [
        None if number == NO_FRAME else int(number)
        for number in np.where(middle == NO_FRAME, start, middle)
    ]


def read_spectrogram(path: Path, *, num_seconds: float) -> bytes:
    """Return the log-mel spectrogram of the clip as PNG, time from left to right, low frequencies at the bottom.

    Each picture spans 70 dB below the clip's loudest point, or below 0 dB where that is louder: silence is dark.

    Raises
    ------
    MediaError
        If the file has no audio that can be decoded.
    """
    waveform = read_waveform(path, num_seconds=num_seconds)
    mono = waveform.samples.mean(axis=0)
    if waveform.sample_rate_hz != SAMPLE_RATE_HZ:
        mono = librosa.resample(mono, orig_sr=waveform.sample_rate_hz, target_sr=SAMPLE_RATE_HZ)
    power = librosa.feature.melspectrogram(
        y=mono,
        sr=SAMPLE_RATE_HZ,
        n_fft=FFT_SIZE,
        hop_length=SAMPLE_RATE_HZ // NUM_COLUMNS_PER_SECOND,
        n_mels=NUM_MEL_BANDS,
    )
    decibels = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=None)
    top = max(float(decibels.max()), 0.0)
    share = np.clip((decibels - top) / DYNAMIC_RANGE_DB + 1, 0, 1)
    return _encode_png(share[::-1])


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

"""Encoding of pictures and sound as an mp4 file, the same bytes each time."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from pipeline.core.files import atomic_write

_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def encode_clip(
    path: Path,
    frames: Iterable[np.ndarray] | None,
    waveform: np.ndarray | None,
    *,
    frame_rate: Fraction = Fraction(25),
    pixel_format: str = "yuv420p",
    sample_rate_hz: int = 44100,
    video_delay_seconds: float = 0.0,
    audio_delay_seconds: float = 0.0,
    quality: int = 25,
) -> None:
    """Write an mp4 file with H.264 pictures and AAC sound, atomically, its index first.

    Parameters
    ----------
    path : Path
        Where to write.
    frames : iterable of ndarray (H, W, 3), uint8, or None
        Pictures; None for a file without a video stream. Odd sizes need `pixel_format` yuv444p.
    waveform : ndarray (1 | 2 | 6, num_samples), float, or None
        Sound from -1 to 1; None for a file without an audio stream.
    frame_rate : Fraction
        Frames per second.
    pixel_format : str
        As FFmpeg names it, such as ``yuv420p``, ``yuv444p``, ``yuv420p10le``.
    sample_rate_hz : int
        Samples per second.
    video_delay_seconds, audio_delay_seconds : float
        When the stream starts.
    quality : int
        x264's constant rate factor: lower is better and larger.
    """
    with atomic_write(path) as temporary, av.open(str(temporary), "w", format="mp4", options=_MUXER) as container:
        pictures = _encode_frames(container, frames, frame_rate, pixel_format, video_delay_seconds, quality)
        sound = _encode_waveform(container, waveform, sample_rate_hz, audio_delay_seconds)
        _interleave(container, pictures, sound)


_MUXER = {"movflags": "+faststart", "fflags": "+bitexact"}


def _encode_frames(
    container: Any,
    frames: Iterable[np.ndarray] | None,
    frame_rate: Fraction,
    pixel_format: str,
    delay_seconds: float,
    quality: int,
) -> Iterator[tuple[float, list[Any]]]:
    """Yield times in seconds with the packets that the encoder has given by then; first the time 0 with none."""
    if frames is None:
        return
    frames = iter(frames)
    first = next(frames)
    stream = container.add_stream("libx264", rate=frame_rate)
    stream.height, stream.width = first.shape[:2]
    stream.pix_fmt = pixel_format
    stream.time_base = 1 / frame_rate
    stream.thread_count = 1
    stream.options = {"preset": "superfast", "crf": str(quality), "g": "50", "threads": "1"}
    yield 0.0, []
    converter = VideoReformatter()
    delay = round(delay_seconds * frame_rate)
    for index, picture in enumerate(chain([first], frames)):
        frame = converter.reformat(av.VideoFrame.from_ndarray(picture, format="rgb24"), format=pixel_format, threads=1)
        frame.pts, frame.time_base = index + delay, 1 / frame_rate
        yield float((index + delay) / frame_rate), stream.encode(frame)
    yield float("inf"), stream.encode(None)


def _encode_waveform(
    container: Any, waveform: np.ndarray | None, sample_rate_hz: int, delay_seconds: float
) -> Iterator[tuple[float, list[Any]]]:
    """Yield as :func:`_encode_frames` does."""
    if waveform is None:
        return
    stream = container.add_stream("aac", rate=sample_rate_hz, layout=_LAYOUTS[waveform.shape[0]])
    stream.bit_rate = 48000 * waveform.shape[0]
    stream.options = {"aac_coder": "fast"}
    yield 0.0, []
    delay = round(delay_seconds * sample_rate_hz)
    for start in range(0, waveform.shape[1], 1024):
        block = np.ascontiguousarray(waveform[:, start : start + 1024], np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=_LAYOUTS[waveform.shape[0]])
        frame.sample_rate, frame.pts = sample_rate_hz, start + delay
        frame.time_base = Fraction(1, sample_rate_hz)
        yield (start + delay) / sample_rate_hz, stream.encode(frame)
    yield float("inf"), stream.encode(None)


def _interleave(container: Any, *streams: Iterator[tuple[float, list[Any]]]) -> None:
    """Write the packets of all streams by time; every stream is added before the first packet."""
    waiting = [(stream, item) for stream in streams if (item := next(stream, None)) is not None]
    while waiting:
        stream, (_, packets) = waiting.pop(0)
        container.mux(packets)
        if (item := next(stream, None)) is not None:
            waiting.append((stream, item))
        waiting.sort(key=lambda pair: pair[1][0])

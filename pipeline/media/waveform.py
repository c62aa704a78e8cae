"""Sound with PyAV, laid on the clip's time axis.

A stream that starts late, has a hole or ends early leaves a gap instead of shifting what follows. Times are seconds
from the container's first timestamp.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
import av.error
import numpy as np
from av.container import InputContainer

from pipeline.core.errors import MediaError
from pipeline.media.container import (
    REASONS,
    TRUNCATED_BELOW,
    decode,
    end_seconds,
    has_hole,
    open_container,
    require_codec,
    start_seconds,
)

JITTER_SECONDS = 0.02  # audio timestamps this close to the running end count as contiguous


@dataclass(frozen=True)
class Waveform:
    """Audio on the clip's time axis.

    Parameters
    ----------
    samples : np.ndarray
        Shape (channels, N), float32, -1 to 1; zero where the file has none.
    present : np.ndarray
        Shape (N,), bool: whether the file has this sample.
    sample_rate_hz : int
    is_truncated : bool
        The file ends before its container says it should.
    num_damaged : int
        Packets that could not be decoded, at least; holes of the file count as one.
    """

    samples: np.ndarray
    present: np.ndarray
    sample_rate_hz: int
    is_truncated: bool
    num_damaged: int


class _LaidOut(NamedTuple):
    """What decoding a stream left on the time axis.

    Parameters
    ----------
    samples, present : np.ndarray
        As of :class:`Waveform`.
    sample_rate_hz : int
        Of the first frame; others are resampled to it.
    end_seconds : float
        Where the last sample ends.
    num_damaged : int
        Packets that could not be decoded, or in part.
    """

    samples: np.ndarray
    present: np.ndarray
    sample_rate_hz: int
    end_seconds: float
    num_damaged: int


def read_waveform(path: Path, *, num_seconds: float) -> Waveform:
    """Decode the first audio stream of `path` onto a time axis of `num_seconds`.

    Raises
    ------
    MediaError
        With reason ``no_audio_stream``, ``encrypted`` or ``undecodable``, or as :func:`open_container`.
    """
    with open_container(path) as container:
        if not container.streams.audio:
            raise MediaError("no_audio_stream", f"{path.name}: {REASONS['no_audio_stream']}")
        stream = container.streams.audio[0]
        require_codec(stream, path)
        zero = start_seconds(container)
        expected_end = min(num_seconds, end_seconds(container, stream, zero))
        laid = _lay_out(container, stream, zero, num_seconds)
    if laid is None:
        raise MediaError("undecodable", f"{path.name}: not one audio frame could be decoded")
    num_damaged = laid.num_damaged + (not laid.present.all() and has_hole(path))
    is_truncated = laid.end_seconds < TRUNCATED_BELOW * expected_end
    return Waveform(laid.samples, laid.present, laid.sample_rate_hz, is_truncated, num_damaged)


def _lay_out(container: InputContainer, stream: av.AudioStream, zero: float, num_seconds: float) -> _LaidOut | None:
    """Decode a stream onto a time axis of `num_seconds` from `zero`; None if not one frame could be decoded."""
    rate: int | None = None
    samples, present = np.zeros((0, 0), np.float32), np.zeros(0, bool)
    cursor, resampler, source = 0, None, None
    errors: list[float] = []
    for frame in decode(container, stream, errors):
        if rate is None:
            rate = int(frame.sample_rate)
            num_samples = round(num_seconds * rate)
            layout = frame.layout
            samples = np.zeros((len(layout.channels), num_samples), np.float32)
            present = np.zeros(num_samples, bool)
        seconds = frame.pts * float(stream.time_base or 0) - zero if frame.pts is not None else cursor / rate
        start = round(seconds * rate)
        if cursor and abs(start - cursor) <= JITTER_SECONDS * rate:
            start = cursor
        if start >= samples.shape[1]:
            cursor = samples.shape[1]
            break
        if source != (key := (frame.format.name, frame.layout.name, frame.sample_rate)):
            # Not "fltp": PyAV reads beyond the planes of eight channels and more, and crashes.
            source, resampler = key, av.AudioResampler(format="flt", layout=layout, rate=rate)
        assert resampler is not None
        frame.pts = None
        try:
            parts = [part.to_ndarray().reshape(-1, len(samples)).T for part in resampler.resample(frame)]
        except (av.error.FFmpegError, ValueError):  # damage can make a frame claim channels that there are not
            errors.append(start)
            source = None
            continue
        block = np.concatenate(parts or [samples[:, :0]], 1)
        block = block[:, max(0, -start) : samples.shape[1] - start]
        is_finite = np.isfinite(block).all(0)
        if not is_finite.all():  # damaged packets and float formats can hold NaN
            errors.append(start)
        first = max(0, start)
        samples[:, first : first + block.shape[1]] = np.where(is_finite, block, 0)
        present[first : first + block.shape[1]] = is_finite
        cursor = first + block.shape[1]
    return _LaidOut(samples, present, rate, cursor / rate, len(errors)) if rate is not None else None

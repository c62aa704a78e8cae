"""Decoding with PyAV: frames by number and the waveform by time, from files as they are found in the wild.

A file is read in two steps. :func:`read_timeline` demuxes the video stream without decoding and says how many
frames there are and when each is shown; the caller chooses; :func:`read_frames` decodes and converts only those.
:func:`read_waveform` lays the audio on the clip's time axis, so that a stream that starts late, has a hole or ends
early leaves a gap instead of shifting what follows. Times are seconds from the container's first timestamp.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.errors import MediaError

REASONS = {
    "missing": "the file does not exist",
    "empty_file": "the file has no bytes",
    "unreadable": "the operating system refuses to open the file",
    "not_media": "no known container; the file is no video or its index is lost",
    "no_video_stream": "the container holds no video",
    "no_audio_stream": "the container holds no audio",
    "undecodable": "not one frame could be decoded",
    "too_short": "fewer frames or samples than a segment needs",
    "truncated": "the file ends before the container says it should",
    "damaged": "some frames could not be decoded",
    "short": "the media ends before the clip does",
    "late_start": "the media starts after the clip does",
    "gap": "some segments have no media although the file is complete",
}

TRUNCATED_BELOW = 0.97  # share of the declared frames (or duration) that must be found
JITTER_SECONDS = 0.02  # audio timestamps this close to the running end count as contiguous


@dataclass(frozen=True)
class Timeline:
    """When the frames of a video stream are shown.

    Parameters
    ----------
    timestamps_seconds : np.ndarray
        Shape (N,), increasing; of the frames found in the file.
    num_declared : int
        Frames that a complete file would hold, N or more.
    number_of_tick : dict
        Presentation time in the stream's own ticks to position in `timestamps_seconds`; empty where the container
        stores no presentation times, and frames are counted as they are decoded.
    """

    timestamps_seconds: np.ndarray
    num_declared: int
    number_of_tick: dict[int, int]

    @property
    def is_truncated(self) -> bool:
        """Whether the file lacks frames that its container announces."""
        return len(self.timestamps_seconds) < self.num_declared

    @property
    def duration_seconds(self) -> float:
        """From the clip's start to the end of the last frame found."""
        timestamps = self.timestamps_seconds
        period = float(np.median(np.diff(timestamps))) if len(timestamps) > 1 else 0.0
        return float(timestamps[-1]) + period


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
        Packets that could not be decoded.
    """

    samples: np.ndarray
    present: np.ndarray
    sample_rate_hz: int
    is_truncated: bool
    num_damaged: int


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """Open a media file.

    Raises
    ------
    MediaError
        With reason ``missing``, ``empty_file``, ``unreadable`` or ``not_media``.
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise MediaError("missing", f"{path.name}: no such file") from error
    except OSError as error:
        raise MediaError("unreadable", f"{path.name}: {error.strerror}") from error
    if size == 0:
        raise MediaError("empty_file", f"{path.name}: no bytes")
    try:
        # Only local files: a playlist or a `concat:` text must not make the library open other addresses.
        container = av.open(str(path), options={"protocol_whitelist": "file"}, metadata_errors="replace")
    except PermissionError as error:
        raise MediaError("unreadable", f"{path.name}: {error.strerror}") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaError("not_media", f"{path.name}: {_one_line(error)}") from error
    with container:
        yield container


def read_timeline(path: Path) -> Timeline:
    """Demux the video stream of `path` and return when its frames are shown; nothing is decoded.

    Raises
    ------
    MediaError
        With reason ``no_video_stream`` or ``undecodable`` (no packet), or as :func:`open_container`.
    """
    with open_container(path) as container:
        stream = _video_stream(container, path)
        zero = _start_seconds(container)
        ticks, num_discarded, has_presentation_times = _packet_ticks(container, stream)
        if not ticks:
            raise MediaError("undecodable", f"{path.name}: no video packet")
        timestamps = np.array(ticks, dtype=np.float64) * float(stream.time_base or 0) - zero
        declared = _declared_frames(container, stream, timestamps, zero) - num_discarded
    if len(timestamps) >= TRUNCATED_BELOW * declared:
        declared = len(timestamps)
    numbers = {tick: number for number, tick in enumerate(ticks)} if has_presentation_times else {}
    return Timeline(timestamps, declared, numbers)


def read_frames(path: Path, timeline: Timeline, numbers: Iterable[int]) -> dict[int, np.ndarray]:
    """Decode frames by number.

    Parameters
    ----------
    path : Path
    timeline : Timeline
        Of the same file, from :func:`read_timeline`.
    numbers : iterable of int
        Positions in presentation order (as in `timeline`); repeated ones are converted once.

    Returns
    -------
    dict
        Number to frame, shape (H, W, 3), uint8, RGB, upright (a rotation in the metadata is applied). A frame that
        cannot be decoded is missing from it.

    Raises
    ------
    MediaError
        As :func:`read_timeline`.
    """
    wanted = set(numbers)
    frames: dict[int, np.ndarray] = {}
    with open_container(path) as container:
        stream = _video_stream(container, path)
        stream.codec_context.thread_count = 1  # one video per thread already uses the cores
        for position, frame in enumerate(_decode(container, stream)):
            number = timeline.number_of_tick.get(frame.pts, -1) if timeline.number_of_tick else position
            if number in wanted and number not in frames:
                frames[number] = _upright_rgb(frame)
                if len(frames) == len(wanted):
                    break
    return frames


def read_waveform(path: Path, *, num_seconds: float) -> Waveform:
    """Decode the first audio stream of `path` onto a time axis of `num_seconds`.

    Raises
    ------
    MediaError
        With reason ``no_audio_stream`` or ``undecodable``, or as :func:`open_container`.
    """
    with open_container(path) as container:
        if not container.streams.audio:
            raise MediaError("no_audio_stream", f"{path.name}: {REASONS['no_audio_stream']}")
        stream = container.streams.audio[0]
        zero = _start_seconds(container)
        declared_end = _declared_end_seconds(container, stream, zero)
        rate, samples, present, end_seconds, num_damaged = _lay_out(container, stream, zero, num_seconds)
    if rate is None:
        raise MediaError("undecodable", f"{path.name}: not one audio frame could be decoded")
    expected_end = min(num_seconds, declared_end)
    return Waveform(samples, present, rate, end_seconds < TRUNCATED_BELOW * expected_end, num_damaged)


def _lay_out(
    container: InputContainer, stream: av.AudioStream, zero: float, num_seconds: float
) -> tuple[int | None, np.ndarray, np.ndarray, float, int]:
    rate: int | None = None
    samples, present = np.zeros((0, 0), np.float32), np.zeros(0, bool)
    cursor, resampler, source = 0, None, None
    errors: list[Exception] = []
    for frame in _decode(container, stream, errors):
        if rate is None:
            rate = int(frame.sample_rate)
            num_samples = round(num_seconds * rate)
            layout = frame.layout
            samples = np.zeros((len(layout.channels), num_samples), np.float32)
            present = np.zeros(num_samples, bool)
        if source != (key := (frame.format.name, frame.layout.name, frame.sample_rate)):
            source, resampler = key, av.AudioResampler(format="fltp", layout=layout, rate=rate)
        seconds = frame.pts * float(frame.time_base) - zero if frame.pts is not None else cursor / rate
        frame.pts = None
        assert resampler is not None
        block = np.concatenate([part.to_ndarray() for part in resampler.resample(frame)] or [samples[:, :0]], 1)
        start = round(seconds * rate)
        if abs(start - cursor) <= JITTER_SECONDS * rate:
            start = cursor
        if start >= samples.shape[1]:
            break
        block = block[:, max(0, -start) : samples.shape[1] - start]
        first = max(0, start)
        samples[:, first : first + block.shape[1]] = block
        present[first : first + block.shape[1]] = True
        cursor = first + block.shape[1]
    return rate, samples, present, cursor / rate if rate else 0.0, len(errors)


def _decode(container, stream, errors: list[Exception] | None = None):  # type: ignore[no-untyped-def]
    """Yield decoded frames, going on after packets that cannot be decoded or read."""
    errors = [] if errors is None else errors
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError as error:
            errors.append(error)
            packet = None
        try:
            yield from stream.codec_context.decode(packet)
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            errors.append(error)
        if packet is None:
            return


def _packet_ticks(container: InputContainer, stream: VideoStream) -> tuple[list[int], int, bool]:
    """Return the sorted times of the shown packets in ticks, how many are not shown, and whether all are real.

    A container without presentation times (AVI) has decoding times, in another order only around B-frames.
    """
    ticks: list[int] = []
    num_discarded, has_presentation_times = 0, True
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            if packet.is_discard:
                num_discarded += 1
                continue
            has_presentation_times &= packet.pts is not None
            tick = packet.pts if packet.pts is not None else packet.dts
            ticks.append(len(ticks) if tick is None else tick)
    except av.error.FFmpegError:
        pass  # the file ends in the middle of a packet: what was found counts, the declared number tells the rest
    return sorted(set(ticks)), num_discarded, has_presentation_times


def _declared_frames(container: InputContainer, stream: VideoStream, timestamps: np.ndarray, zero: float) -> int:
    """Return how many frames the container announces: its count, else its duration over the frame period."""
    if stream.frames:
        return int(stream.frames)
    if len(timestamps) < 2:
        return len(timestamps)
    period = float(np.median(np.diff(timestamps)))
    end = _declared_end_seconds(container, stream, zero)
    missing = (end - timestamps[-1]) / period - 1 if np.isfinite(end) else 0.0
    return len(timestamps) + max(0, round(missing))


def _declared_end_seconds(container: InputContainer, stream: av.stream.Stream, zero: float) -> float:
    """Return when the stream should end; infinity where the container does not say."""
    if stream.duration is not None and stream.time_base is not None:
        start = stream.start_time or 0
        return float((start + stream.duration) * stream.time_base) - zero
    if container.duration is not None:
        return float(Fraction(container.duration, av.time_base))
    return float("inf")


def _start_seconds(container: InputContainer) -> float:
    return float(Fraction(container.start_time or 0, av.time_base))


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the first moving video stream: cover pictures do not count."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    raise MediaError("no_video_stream", f"{path.name}: {REASONS['no_video_stream']}")


def _upright_rgb(frame: VideoFrame) -> np.ndarray:
    image = frame.to_ndarray(format="rgb24")
    quarter_turns = round(frame.rotation / 90) % 4  # counter-clockwise, as the display matrix means it
    return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())

"""Decoding with PyAV: frames by number and the waveform by time, from files as they are found in the wild.

A file is read in two steps. :func:`read_timeline` demuxes the video stream without decoding and says how many
frames there are and when each is shown; the caller chooses; :func:`read_frames` decodes and converts only those.
:func:`read_waveform` lays the audio on the clip's time axis, so that a stream that starts late, has a hole or ends
early leaves a gap instead of shifting what follows. Times are seconds from the container's first timestamp.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from pipeline.errors import MediaError

REASONS = {
    "missing": "the file does not exist",
    "empty_file": "the file has no bytes",
    "unreadable": "the operating system refuses to open the file",
    "not_media": "no container of video; the file is something else or its index is lost",
    "no_video_stream": "the container holds no video",
    "no_audio_stream": "the container holds no audio",
    "encrypted": "the media is encrypted (DRM)",
    "undecodable": "not one frame could be decoded",
    "too_short": "fewer frames or samples than a segment needs",
    "truncated": "the file ends before the container says it should",
    "damaged": "some frames could not be decoded",
    "short": "the media ends before the clip does",
    "late_start": "the media starts after the clip does",
    "gap": "some segments have no media although the file is complete",
}

# Containers of audio and video. Without such a list a text is rendered as moving letters, a picture is a video of one
# frame, and a playlist opens the files it names.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,mxf,wav,mp3,aac,flac"

TRUNCATED_BELOW = 0.97  # share of an announced duration, which is seldom exact, that must be found
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
        options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
        container = av.open(f"file:{path}", options=options, metadata_errors="replace")
    except (PermissionError, IsADirectoryError) as error:
        raise MediaError("unreadable", f"{path.name}: {error.strerror}") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise MediaError("not_media", f"{path.name}: {reason}") from error
    with container:
        yield container


def read_timeline(path: Path) -> Timeline:
    """Demux the video stream of `path` and return when its frames are shown; nothing is decoded.

    Raises
    ------
    MediaError
        With reason ``no_video_stream``, ``encrypted`` or ``undecodable`` (no packet), or as :func:`open_container`.
    """
    with open_container(path) as container:
        stream = _video_stream(container, path)
        zero = _start_seconds(container)
        packets = _packet_times(container, stream)
        ticks = sorted({shown for shown, _ in packets})
        if not ticks:
            raise MediaError("undecodable", f"{path.name}: no video packet")
        seconds_per_tick = float(stream.time_base or 0)
        timestamps = np.array(ticks, dtype=np.float64) * seconds_per_tick - zero
        num_missing = _count_missing(container, stream, timestamps, len(packets), zero)
        num_declared = len(ticks) + num_missing
        if num_missing and (last_decoded := packets[-1][1]) is not None:
            # A frame and the B-frames shown before it are stored in that order: where the file ends between them,
            # only what is shown by the last packet's decoding time has no hole.
            ticks = [tick for tick in ticks if tick <= last_decoded] or ticks[:1]
            timestamps = timestamps[: len(ticks)]
        has_presentation_times = "avi" not in container.format.name  # it has decoding times, also for B-frames
    numbers = {tick: number for number, tick in enumerate(ticks)} if has_presentation_times else {}
    return Timeline(timestamps, num_declared, numbers)


def _as_it_is(frame: np.ndarray) -> np.ndarray:
    return frame


def read_frames(
    path: Path,
    timeline: Timeline,
    numbers: Iterable[int],
    convert: Callable[[np.ndarray], Any] = _as_it_is,
) -> dict[int, Any]:
    """Decode frames by number.

    Parameters
    ----------
    path : Path
    timeline : Timeline
        Of the same file, from :func:`read_timeline`.
    numbers : iterable of int
        Positions in presentation order (as in `timeline`); repeated ones are converted once.
    convert : callable, optional
        Applied to each wanted frame, (H, W, 3), uint8, RGB, upright (a rotation in the metadata is applied), as it is
        decoded, so that no two full-size frames are in memory; by default frames are returned as they are.

    Returns
    -------
    dict
        Number to converted frame. A frame that cannot be decoded is missing from it, and so are those after it up to
        the next key frame, since they build on it.

    Raises
    ------
    MediaError
        As :func:`read_timeline`.
    """
    wanted = set(numbers)
    frames: dict[int, Any] = {}
    if not wanted:
        return frames
    errors: list[float] = []
    last_key = -math.inf
    converter = VideoReformatter()
    with open_container(path) as container:
        stream = _video_stream(container, path)
        stream.codec_context.thread_count = 1  # one video per thread already uses the cores
        for position, frame in enumerate(_decode(container, stream, errors)):
            if frame.key_frame and frame.pts is not None:
                last_key = frame.pts
            if errors and last_key <= max(errors):
                continue
            number = timeline.number_of_tick.get(frame.pts, -1) if timeline.number_of_tick else position + len(errors)
            if number in wanted and number not in frames and (image := _upright_rgb(frame, converter)) is not None:
                frames[number] = convert(image)
                if len(frames) == len(wanted):
                    break
    return frames


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
        _require_codec(stream, path)
        zero = _start_seconds(container)
        expected_end = min(num_seconds, _end_seconds(container, stream, zero))
        rate, samples, present, end_seconds, num_damaged = _lay_out(container, stream, zero, num_seconds)
    if rate is None:
        raise MediaError("undecodable", f"{path.name}: not one audio frame could be decoded")
    return Waveform(samples, present, rate, end_seconds < TRUNCATED_BELOW * expected_end, num_damaged)


def _lay_out(
    container: InputContainer, stream: av.AudioStream, zero: float, num_seconds: float
) -> tuple[int | None, np.ndarray, np.ndarray, float, int]:
    rate: int | None = None
    samples, present = np.zeros((0, 0), np.float32), np.zeros(0, bool)
    cursor, resampler, source = 0, None, None
    errors: list[float] = []
    for frame in _decode(container, stream, errors):
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
            source, resampler = key, av.AudioResampler(format="fltp", layout=layout, rate=rate)
        assert resampler is not None
        frame.pts = None
        block = np.concatenate([part.to_ndarray() for part in resampler.resample(frame)] or [samples[:, :0]], 1)
        block = block[:, max(0, -start) : samples.shape[1] - start]
        is_finite = np.isfinite(block).all(0)
        if not is_finite.all():  # damaged packets and float formats can hold NaN
            errors.append(start)
        first = max(0, start)
        samples[:, first : first + block.shape[1]] = np.where(is_finite, block, 0)
        present[first : first + block.shape[1]] = is_finite
        cursor = first + block.shape[1]
    return rate, samples, present, cursor / rate if rate else 0.0, len(errors)


def _decode(container, stream, errors: list[float]):  # type: ignore[no-untyped-def]
    """Yield decoded frames, going on after packets that cannot be decoded; `errors` gets the time of each in ticks."""
    packets = _demux(container, stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            errors.append(math.inf)
            packet = None
        try:
            yield from stream.codec_context.decode(packet)
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            errors.append(math.inf if packet is None or packet.pts is None else packet.pts)
        if packet is None:
            return


def _demux(container: InputContainer, stream: Stream) -> Iterator[Packet]:
    """Yield the packets of one stream; those of others are not even read."""
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    for packet in container.demux(stream):
        if packet.has_sidedata("encryption_info"):
            raise MediaError("encrypted", f"{Path(container.name).name}: {REASONS['encrypted']}")
        if packet.size:
            yield packet


def _packet_times(container: InputContainer, stream: VideoStream) -> list[tuple[int, int | None]]:
    """Return when each complete packet that is shown is presented and decoded, in ticks, in the file's order."""
    times: list[tuple[int, int | None]] = []
    try:
        for packet in _demux(container, stream):
            if not packet.is_discard and not packet.is_corrupt:
                shown = packet.pts if packet.pts is not None else packet.dts
                times.append((len(times) if shown is None else shown, packet.dts))
    except av.error.FFmpegError:
        pass  # the file ends in the middle of a packet: what was found counts, the declared number tells the rest
    return times


def _count_missing(
    container: InputContainer, stream: VideoStream, timestamps: np.ndarray, num_found: int, zero: float
) -> int:
    """Return how many frames the container announces beyond those found: by its index, its count or its duration."""
    if "mp4" in container.format.name and stream.frames:
        # Exact, and unlike the count without what an edit list cuts away.
        return max(0, sum(not entry.is_discard for entry in stream.index_entries) - num_found)
    if stream.frames:
        num_missing = stream.frames - num_found
    else:
        period = float(np.median(np.diff(timestamps))) if len(timestamps) > 1 else math.inf
        end = _end_seconds(container, stream, zero)
        num_missing = round((end - timestamps[-1]) / period - 1) if math.isfinite(end) else 0
    return num_missing if num_found < TRUNCATED_BELOW * (num_found + num_missing) else 0


def _end_seconds(container: InputContainer, stream: Stream, zero: float) -> float:
    """Return when the stream should end; infinity where the container does not say."""
    if stream.duration is not None and stream.time_base is not None:
        start = stream.start_time or 0
        return float((start + stream.duration) * stream.time_base) - zero
    if tag := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "")):  # Matroska
        hours, minutes, seconds = map(float, tag.groups())
        return 3600 * hours + 60 * minutes + seconds - zero
    if container.duration is not None:
        return float(Fraction(container.duration, av.time_base))
    return math.inf


def _start_seconds(container: InputContainer) -> float:
    return float(Fraction(container.start_time or 0, av.time_base))


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the first moving video stream: cover pictures do not count."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            _require_codec(stream, path)
            return stream
    raise MediaError("no_video_stream", f"{path.name}: {REASONS['no_video_stream']}")


def _require_codec(stream: Stream, path: Path) -> None:
    if stream.codec_context is None:
        raise MediaError("undecodable", f"{path.name}: no decoder knows its {stream.type}")


def _upright_rgb(frame: VideoFrame, converter: VideoReformatter) -> np.ndarray | None:
    """Return the frame as RGB (H, W, 3), or None where its pixels cannot be converted."""
    try:
        image = converter.reformat(frame, format="rgb24", threads=1).to_ndarray()
    except (av.error.FFmpegError, ValueError):
        return None
    quarter_turns = round(frame.rotation / 90) % 4  # counter-clockwise, as the display matrix means it
    return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image

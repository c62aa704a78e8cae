"""Decoding with PyAV: frames by number, from files as they are found in the wild.

A file is read in two steps. :func:`read_timeline` demuxes the video stream without decoding and says how many
frames there are and when each is shown; the caller chooses; :func:`read_frames` decodes and converts only those.
Times are seconds from the container's first timestamp. The sound is read by :mod:`pipeline.media.waveform`.
"""

import math
import re
from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
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

from pipeline.core.errors import MediaError

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
    "timed_out": "decoding took longer than extract.timeout_seconds",
    "crashed": "the process that decoded it died",
    "bad_array": "the released file holds no array of plain numbers",
}

# Containers of audio and video. Without such a list a text is rendered as moving letters, a picture is a video of one
# frame, and a playlist opens the files it names.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,mxf,wav,mp3,aac,flac"

TRUNCATED_BELOW = 0.97  # share of an announced duration, which is seldom exact, that must be found
GAP_PERIODS = 1.5  # frames further apart than this many periods may have others missing between them
MAX_LOST_PER_FOUND = 4  # more are no loss but a timestamp that is damaged itself
HOLE_BYTES = 256  # Matroska's and Flash's own bytes between two packets are some dozens


@dataclass(frozen=True)
class Timeline:
    """When the frames of a video stream are shown.

    Parameters
    ----------
    timestamps_seconds : np.ndarray
        Shape (N,), increasing; of the frames found in the file and of those lost in its middle, so that the others
        keep their number.
    num_declared : int
        Frames that a complete file would hold, N or more.
    number_of_tick : dict
        Presentation time of a frame found, in the stream's own ticks, to its position in `timestamps_seconds`; empty
        where the container stores no presentation times, and frames are counted as they are decoded.
    lost_ticks : tuple of int
        Presentation times of the frames lost in the middle.
    """

    timestamps_seconds: np.ndarray
    num_declared: int
    number_of_tick: dict[int, int]
    lost_ticks: tuple[int, ...] = ()

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


def size_in_bytes(path: Path) -> int:
    """Return the size of a media file.

    Raises
    ------
    MediaError
        With reason ``missing`` or ``unreadable``.
    """
    try:
        return path.stat().st_size
    except FileNotFoundError as error:
        raise MediaError("missing", f"{path.name}: no such file") from error
    except OSError as error:
        raise MediaError("unreadable", f"{path.name}: {error.strerror}") from error


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """Open a media file.

    Raises
    ------
    MediaError
        With reason ``missing``, ``empty_file``, ``unreadable`` or ``not_media``.
    """
    if size_in_bytes(path) == 0:
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
        zero = start_seconds(container)
        packets, is_damaged = _packet_times(container, stream)
        found = {shown for shown, _ in packets}
        if not found:
            raise MediaError("undecodable", f"{path.name}: no video packet")
        lost = _lost_ticks(path, sorted(found), is_damaged)
        ticks = sorted(found.union(lost))
        seconds_per_tick = float(stream.time_base or 0)
        timestamps = np.array(ticks, dtype=np.float64) * seconds_per_tick - zero
        num_missing = _count_missing(container, stream, timestamps, len(packets) + len(lost), zero)
        num_declared = len(ticks) + num_missing
        if num_missing and (last_decoded := packets[-1][1]) is not None:
            # A frame and the B-frames shown before it are stored in that order: where the file ends between them,
            # only what is shown by the last packet's decoding time has no hole.
            ticks = [tick for tick in ticks if tick <= last_decoded] or ticks[:1]
            timestamps = timestamps[: len(ticks)]
        # AVI has decoding times, also for B-frames.
        numbers = {} if _is_avi(container) else {tick: n for n, tick in enumerate(ticks) if tick in found}
    return Timeline(timestamps, num_declared, numbers, lost)


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
        Number to converted frame. A frame that is lost or cannot be decoded without error is missing from it, and so
        are those after it up to the next key frame, since they build on it.

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
    flaws: list[float] = list(timeline.lost_ticks)
    last_key = -math.inf
    converter = VideoReformatter()
    with open_container(path) as container:
        stream = _video_stream(container, path)
        stream.codec_context.thread_count = 1  # one video per thread already uses the cores
        for position, frame in enumerate(decode(container, stream, errors)):
            shown = -math.inf if frame.pts is None else frame.pts
            if frame.key_frame:
                last_key = max(last_key, shown)
            if frame.is_corrupt:  # the decoder has made up parts of it
                insort(flaws, shown)
            num_flaws = bisect_right(flaws, shown)
            if (num_flaws and last_key <= flaws[num_flaws - 1]) or (errors and last_key <= max(errors)):
                continue
            number = timeline.number_of_tick.get(frame.pts, -1) if timeline.number_of_tick else position + len(errors)
            if number in wanted and number not in frames and (image := _upright_rgb(frame, converter)) is not None:
                frames[number] = convert(image)
                if len(frames) == len(wanted):
                    break
    return frames


def decode(container, stream, errors: list[float]):  # type: ignore[no-untyped-def]
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


def _demux(container: InputContainer, stream: Stream) -> Iterator["Packet[Stream]"]:
    """Yield the packets of one stream; those of others are not even read.

    AVI stores no times, they follow from counting packets. After one that its index lists and the demuxer skips,
    nothing has its place any more, so that AVI ends there.
    """
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    chunks = sorted(entry.pos for entry in stream.index_entries if entry.size) if _is_avi(container) else []
    last_chunk = 0
    with suppress(IndexError):  # PyAV, at the end of a file in which streams appear late, as damaged ones may have
        for packet in container.demux(stream):
            if packet.has_sidedata("encryption_info"):
                raise MediaError("encrypted", f"{Path(container.name).name}: {REASONS['encrypted']}")
            if not packet.size:
                continue
            if chunks and packet.pos is not None:
                chunk = bisect_right(chunks, packet.pos) - 1
                if chunk > last_chunk + 1:
                    return
                last_chunk = chunk
            yield packet


def _packet_times(container: InputContainer, stream: VideoStream) -> tuple[list[tuple[int, int | None]], bool]:
    """Return when each complete packet that is shown is presented and decoded, in ticks, in the file's order.

    And whether there are incomplete ones before the last of them.
    """
    times: list[tuple[int, int | None]] = []
    is_incomplete = is_damaged = False
    try:
        for packet in _demux(container, stream):
            if packet.is_corrupt:
                is_incomplete = True
            elif not packet.is_discard:
                is_damaged = is_incomplete
                shown = packet.pts if packet.pts is not None else packet.dts
                times.append((len(times) if shown is None else shown, packet.dts))
    except av.error.FFmpegError:
        pass  # the file ends in the middle of a packet: what was found counts, the declared number tells the rest
    return times, is_damaged


def _lost_ticks(path: Path, ticks: list[int], is_damaged: bool) -> tuple[int, ...]:
    """Return when the frames were shown that a damaged file has lost between those found.

    A demuxer skips what it cannot read, which leaves the same gap as a variable frame rate. It is taken for a loss
    where packets are incomplete (MPEG-TS numbers its own) or bytes belong to none (see :func:`has_hole`).
    """
    distances = np.diff(ticks)
    period = float(np.median(distances)) if len(distances) else 0.0
    gaps = [(start, stop) for start, stop in pairwise(ticks) if stop - start > GAP_PERIODS * period]
    num_lost = [round((stop - start) / period) - 1 for start, stop in gaps]
    if not gaps or sum(num_lost) > MAX_LOST_PER_FOUND * len(ticks) or not (is_damaged or has_hole(path)):
        return ()
    evenly = (
        np.linspace(*gap, number + 2)[1:-1].round().astype(int) for gap, number in zip(gaps, num_lost, strict=True)
    )
    return tuple(np.concatenate(list(evenly)).tolist())


def has_hole(path: Path) -> bool:
    """Return whether a file holds bytes between its packets that belong to none; Matroska and Flash hold no others."""
    num_bytes: dict[int, int] = {}
    with open_container(path) as container:
        if container.format.name not in ("matroska,webm", "flv"):
            return False
        with suppress(av.error.FFmpegError, IndexError):  # see _demux
            for packet in container.demux():
                if packet.pos is not None:
                    num_bytes[packet.pos] = num_bytes.get(packet.pos, 0) + packet.size  # some share a block
    return any(stop - start - num_bytes[start] > HOLE_BYTES for start, stop in pairwise(sorted(num_bytes)))


def _count_missing(
    container: InputContainer, stream: VideoStream, timestamps: np.ndarray, num_found: int, zero: float
) -> int:
    """Return how many frames the container announces beyond those found: by its index, its count or its duration."""
    listed = sum(not entry.is_discard for entry in stream.index_entries if entry.size) - num_found
    if "mp4" in container.format.name and stream.frames:
        return max(0, listed)  # exact, and unlike the count without what an edit list cuts away
    if stream.frames:
        num_missing = stream.frames - num_found
    else:
        period = float(np.median(np.diff(timestamps))) if len(timestamps) > 1 else math.inf
        end = end_seconds(container, stream, zero)
        num_missing = round((end - timestamps[-1]) / period - 1) if math.isfinite(end) else 0
    if num_found >= TRUNCATED_BELOW * (num_found + num_missing):
        num_missing = 0
    return max(num_missing, listed) if _is_avi(container) else num_missing


def end_seconds(container: InputContainer, stream: Stream, zero: float) -> float:
    """Return when the stream should end; infinity where the container does not say."""
    if _is_avi(container) and stream.frames and stream.time_base is not None:
        return float(stream.frames * stream.time_base) - zero  # as announced; the duration is of what is there
    if stream.duration is not None and stream.time_base is not None:
        start = stream.start_time or 0
        return float((start + stream.duration) * stream.time_base) - zero
    if tag := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "")):  # Matroska
        hours, minutes, seconds = map(float, tag.groups())
        return 3600 * hours + 60 * minutes + seconds - zero
    if container.duration is not None:
        return float(Fraction(container.duration, av.time_base))
    return math.inf


def _is_avi(container: InputContainer) -> bool:
    return "avi" in container.format.name


def start_seconds(container: InputContainer) -> float:
    """Return the container's first timestamp."""
    return float(Fraction(container.start_time or 0, av.time_base))


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the first moving video stream: cover pictures do not count."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            require_codec(stream, path)
            return stream
    raise MediaError("no_video_stream", f"{path.name}: {REASONS['no_video_stream']}")


def require_codec(stream: Stream, path: Path) -> None:
    """Refuse a stream of `path` that no decoder knows.

    Raises
    ------
    MediaError
        With reason ``undecodable``.
    """
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

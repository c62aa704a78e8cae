"""A video again, with what is said about it drawn in by a :class:`pipeline.prediction.screen.Screen`, and its sound."""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from pipeline.core.errors import MediaError, PipelineError
from pipeline.core.files import atomic_write
from pipeline.media.container import Timeline, open_container, read_frames, read_timeline
from pipeline.media.waveform import read_waveform
from pipeline.prediction.screen import Screen
from pipeline.prediction.videos import VideoPrediction

TICKS_PER_SECOND = 90_000
ENCODING: dict[str, object] = {"crf": "20", "preset": "veryfast"}
COPIED_CODECS = {"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"}
"""What players expect in mp4; other sound is encoded anew."""
AAC_RATES_HZ = {96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000}
AAC_BLOCK = 1024


def render_video(prediction: VideoPrediction, path: Path, screen_of: Callable[[tuple[int, int]], Screen]) -> None:
    """Write the video with its prediction drawn in, as H.264 in mp4.

    Frames keep their times, rotation in the metadata is applied, the first sound stream is copied as it is where mp4
    holds its codec. Of a damaged file the frames that extraction would not use are left out.

    Parameters
    ----------
    prediction : VideoPrediction
    path : Path
    screen_of : callable
        Returns what draws frames, of their height and width in pixels.

    Raises
    ------
    MediaError
        If the file has no pictures, cannot be read any more, or its sound cannot be written.
    """
    timeline = read_timeline(prediction.path)
    # Decoded twice: the frames come without their numbers, so first it is asked which ones will come.
    everything = range(len(timeline.timestamps_seconds))
    shapes = read_frames(prediction.path, timeline, everything, lambda image: image.shape[:2])
    if not shapes:
        raise MediaError("undecodable", f"{prediction.path.name}: no frame can be decoded any more")
    screen = screen_of(shapes[min(shapes)])
    try:
        with atomic_write(path) as temporary, open_container(prediction.path) as source:
            options: dict[str, object] = {"movflags": "+faststart"}
            with av.open(f"file:{temporary}", "w", format="mp4", options=options) as target:
                _write(prediction, timeline, iter(sorted(shapes)), screen, source, target)
    except av.error.FFmpegError as error:
        raise PipelineError(f"rendering fails: {error.strerror}") from error


def _write(
    prediction: VideoPrediction,
    timeline: Timeline,
    numbers: Iterator[int],
    screen: Screen,
    source: InputContainer,
    target: OutputContainer,
) -> None:
    times = timeline.timestamps_seconds
    period = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    video = target.add_stream("libx264", rate=Fraction(1 / period).limit_denominator(1001))
    video.width, video.height, video.pix_fmt = screen.width, screen.height, "yuv420p"
    video.codec_context.time_base = Fraction(1, TICKS_PER_SECOND)
    video.options = ENCODING
    sound = _Sound(_sound_packets(prediction, source, target))
    last_ticks = -math.inf

    def show(image: np.ndarray) -> None:
        nonlocal last_ticks
        seconds = float(times[next(numbers)])
        ticks = round(seconds * TICKS_PER_SECOND)
        if ticks <= last_ticks:
            return
        last_ticks = ticks
        sound.write(target, seconds)
        frame = av.VideoFrame.from_ndarray(screen.draw(image, seconds), format="rgb24")
        frame.pts, frame.time_base = ticks, Fraction(1, TICKS_PER_SECOND)
        frame.duration = round(period * TICKS_PER_SECOND)
        target.mux(video.encode(frame))

    read_frames(prediction.path, timeline, range(len(times)), show)
    target.mux(video.encode(None))
    sound.write(target, math.inf)


class _Sound:
    """Packets of sound, written as the pictures get to their time, so that a player finds them side by side."""

    def __init__(self, packets: Iterator["Packet[AudioStream]"]) -> None:
        self._packets = packets
        self._next = next(packets, None)  # makes the stream, which must be there before anything is written

    def write(self, target: OutputContainer, until_seconds: float) -> None:
        """Write the packets up to a time."""
        while self._next is not None and (self._next.dts or 0) * self._next.time_base <= until_seconds:
            target.mux(self._next)
            self._next = next(self._packets, None)


def _sound_packets(
    prediction: VideoPrediction, source: InputContainer, target: OutputContainer
) -> Iterator["Packet[AudioStream]"]:
    """Yield the sound of the file on the clip's clock, in packets of a new stream; nothing if it has none."""
    if not source.streams.audio:
        return iter(())
    stream = source.streams.audio[0]
    if stream.codec_context.codec.canonical_name in COPIED_CODECS:
        return _copied_sound(source, target)
    return _encoded_sound(prediction, target)


def _copied_sound(source: InputContainer, target: OutputContainer) -> Iterator["Packet[AudioStream]"]:
    stream = source.streams.audio[0]
    copy = target.add_stream_from_template(stream)
    zero = Fraction(source.start_time or 0, av.time_base)
    last_dts = -math.inf
    packets = source.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:  # the file ends in the middle of a packet
            return
        if packet is None:
            return
        if not packet.size or packet.is_corrupt:
            continue
        shift = round(zero / packet.time_base)
        dts = packet.dts if packet.dts is not None else packet.pts
        if dts is None or dts - shift <= last_dts:
            continue
        packet.pts = (packet.pts if packet.pts is not None else dts) - shift
        packet.dts = last_dts = dts - shift
        packet.stream = copy
        yield packet


def _encoded_sound(prediction: VideoPrediction, target: OutputContainer) -> Iterator["Packet[AudioStream]"]:
    waveform = read_waveform(prediction.path, num_seconds=prediction.duration_seconds)
    samples = waveform.samples if len(waveform.samples) <= 2 else waveform.samples.mean(axis=0, keepdims=True)
    layout, rate = ("mono", "stereo")[len(samples) - 1], waveform.sample_rate_hz
    stream = target.add_stream("aac", rate=rate if rate in AAC_RATES_HZ else 48000, layout=layout)
    for start in range(0, samples.shape[1], AAC_BLOCK):
        block = np.ascontiguousarray(samples[:, start : start + AAC_BLOCK])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        yield from stream.encode(frame)
    yield from stream.encode(None)

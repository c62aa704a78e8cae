"""A video again, with what is said about it drawn in: attention on the pictures of events, a bar below, its sound."""

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import av
import av.error
import cv2
import matplotlib
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from PIL import Image, ImageDraw, ImageFont

from pipeline.core.errors import MediaError, PipelineError
from pipeline.core.files import atomic_write
from pipeline.drawing.heat import attention_overlays, blend, enlarge
from pipeline.drawing.palette import GREY, Colour
from pipeline.drawing.timelines import TimeAxis
from pipeline.media.container import Timeline, open_container, read_frames, read_timeline
from pipeline.media.waveform import read_waveform
from pipeline.prediction.events import Segment, VideoPrediction
from pipeline.prediction.output import printable

TICKS_PER_SECOND = 90_000
ENCODING: dict[str, object] = {"crf": "20", "preset": "veryfast"}
COPIED_CODECS = {"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"}
"""What players expect in mp4; other sound is encoded anew."""
AAC_RATES_HZ = {96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000}
AAC_BLOCK = 1024

MIN_WIDTH = 320
BAR_SHARE, MIN_BAR = 0.15, 48
INK, ALARM, GROUND = "#f2f3f5", "#ff8a80", "#17181a"


def render_video(prediction: VideoPrediction, path: Path, *, colours: Mapping[str, Colour], remark: str = "") -> None:
    """Write the video with its prediction drawn in, as H.264 in mp4.

    Frames keep their times, rotation in the metadata is applied, the first sound stream is copied as it is where mp4
    holds its codec. Of a damaged file the frames that extraction would not use are left out.

    Parameters
    ----------
    prediction : VideoPrediction
    path : Path
    colours : mapping
        By category.
    remark : str, optional
        Shown all the time.

    Raises
    ------
    MediaError
        If the file cannot be read any more or its sound cannot be written.
    """
    timeline = read_timeline(prediction.path)
    # Decoded twice: the frames come without their numbers, so first it is asked which ones will come.
    everything = range(len(timeline.timestamps_seconds))
    shapes = read_frames(prediction.path, timeline, everything, lambda image: image.shape[:2])
    if not shapes:
        raise MediaError("undecodable", f"{prediction.path.name}: no frame can be decoded any more")
    screen = _Screen(prediction, shapes[min(shapes)], colours, remark)
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
    screen: "_Screen",
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
    """Yield the sound of the file on the clip's clock, in packets of a new stream."""
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


class _Screen:
    """Draws frames; the parts that stay for a segment are drawn once.

    Parameters
    ----------
    prediction : VideoPrediction
    shape : tuple of int
        Height and width of the frames, in pixels.
    colours : mapping
    remark : str
    """

    def __init__(
        self, prediction: VideoPrediction, shape: tuple[int, int], colours: Mapping[str, Colour], remark: str
    ) -> None:
        self._prediction, self._colours, self._remark = prediction, colours, remark
        scale = max(1, math.ceil(MIN_WIDTH / shape[1]))
        self._picture_height, self._picture_width = shape[0] * scale, shape[1] * scale
        bar = max(MIN_BAR, round(BAR_SHARE * min(self._picture_height, self._picture_width)))
        self.width = self._picture_width + self._picture_width % 2
        self.height = self._picture_height + bar + (self._picture_height + bar) % 2
        self._bar_height = self.height - self._picture_height
        self._font = _font(round(0.36 * self._bar_height))
        self._small_font = _font(round(0.24 * self._bar_height))
        self._margin = round(0.16 * self._bar_height)
        self._strip_top = round(0.62 * self._bar_height)
        end = max(prediction.segments[-1].end_seconds, prediction.duration_seconds)
        self._time = TimeAxis(0.0, end, self._margin, self.width - self._margin)
        self._strip = self._draw_strip()
        self._drawn = -1
        self._bar = np.asarray(self._strip)
        self._overlays = attention_overlays(prediction.attention, prediction.is_event)
        self._overlay: np.ndarray | None = None

    def draw(self, image: np.ndarray, seconds: float) -> np.ndarray:
        """Return the screen (height, width, 3) at a time, from a frame (H, W, 3), uint8."""
        self._prepare(seconds)
        if image.shape[:2] != (self._picture_height, self._picture_width):
            image = cv2.resize(image, (self._picture_width, self._picture_height), interpolation=cv2.INTER_LINEAR)
        if self._overlay is not None:
            image = blend(image, self._overlay)
        screen = np.zeros((self.height, self.width, 3), np.uint8)
        screen[: self._picture_height, : self._picture_width] = image
        screen[self._picture_height :] = self._bar
        x = min(round(self._time.x(max(0.0, seconds))), self.width - self._margin - 1)
        rows = slice(self._picture_height + self._strip_top - 4, self.height - self._margin + 5)
        screen[rows, max(0, x - 3) : x + 4] = 0
        screen[rows, x - 1 : x + 2] = 255
        return screen

    def _prepare(self, seconds: float) -> None:
        """Draw what depends on the segment."""
        segments = self._prediction.segments
        number = min(len(segments) - 1, max(0, int(seconds / segments[0].end_seconds)))
        if number == self._drawn:
            return
        self._drawn, segment = number, segments[number]
        bar = self._strip.copy()
        self._draw_label(ImageDraw.Draw(bar), segment)
        self._bar = np.asarray(bar)
        overlay = self._overlays[number]
        self._overlay = None if overlay is None else enlarge(overlay, self._picture_width, self._picture_height)

    def _draw_strip(self) -> Image.Image:
        """Return the bar with all events of the video and the remark."""
        bar = Image.new("RGB", (self.width, self._bar_height), GROUND)
        draw = ImageDraw.Draw(bar)
        top, bottom = self._strip_top, self._bar_height - self._margin
        draw.rectangle((self._margin, top, self.width - self._margin, bottom), GREY)
        for event in self._prediction.events:
            left, width = self._time.box(event.start_seconds, event.end_seconds)
            draw.rectangle((left, top, left + max(0, width - 1), bottom), self._colours[event.category].fill)
        right, middle = self.width - self._margin, self._strip_top // 2
        draw.text((right, middle), self._remark, ALARM, self._small_font, anchor="rm")
        return bar

    def _draw_label(self, draw: ImageDraw.ImageDraw, segment: Segment) -> None:
        middle, size = self._strip_top // 2, self._font.size
        fill = self._colours[segment.prediction].fill if segment.is_event else GREY
        box = (self._margin, middle - size // 2, self._margin + size, middle - size // 2 + size)
        draw.rectangle(box, fill, INK)
        room = self.width - 3 * self._margin - size - draw.textlength(self._remark, self._small_font)
        name, number = printable(segment.prediction), "" if segment.relevance is None else f" {segment.relevance:.2f}"
        if segment.missing:
            name, number = f"no {' and no '.join(MISSING[modality] for modality in segment.missing)}", ""
        while len(name) > 1 and draw.textlength(name + number, self._font) > room:
            name = name.removesuffix("…")[:-1] + "…"
        ink = INK if segment.is_event else GREY
        draw.text((box[2] + self._margin // 2, middle), name + number, ink, self._font, anchor="lm")


MISSING = {"visual": "picture", "audio": "sound"}


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)

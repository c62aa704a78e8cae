"""Small media files whose pictures carry the frame's number and whose sound carries the second's.

A picture holds the number in binary, in blocks of 16 × 16 pixels that survive any codec; a second is a tone of
its own, so that a test can say *which* frame and *which* second was delivered.
"""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from pipeline.features.audio.log_mel import segment_patch

BLOCK = 16
COLUMNS, ROWS = 5, 2  # ten bits
TONES_HZ = tuple(440 + 160 * second for second in range(16))


def picture_of(number: int, *, size: tuple[int, int] = (COLUMNS * BLOCK, ROWS * BLOCK)) -> np.ndarray:
    """Return a picture (H, W, 3) that holds `number`; what is beyond the blocks is grey."""
    width, height = size
    bits = np.array([number >> bit & 1 for bit in range(COLUMNS * ROWS)], np.uint8).reshape(ROWS, COLUMNS)
    picture = np.full((height, width, 3), 128, np.uint8)
    picture[: ROWS * BLOCK, : COLUMNS * BLOCK] = np.kron(bits * 200 + 28, np.ones((BLOCK, BLOCK), np.uint8))[..., None]
    return picture


def number_in(picture: np.ndarray) -> int:
    """Read the number in a picture (H, W, 3) of any size that shows nothing beyond the blocks."""
    height, width = picture.shape[:2]
    number = 0
    for bit in range(COLUMNS * ROWS):
        x = round((bit % COLUMNS + 0.5) * width / COLUMNS)
        y = round((bit // COLUMNS + 0.5) * height / ROWS)
        number |= int(picture[y - 2 : y + 3, x - 2 : x + 3].mean() > 128) << bit
    return number


def sound_of(seconds: float, rate_hz: int, *, num_channels: int = 1) -> np.ndarray:
    """Return a waveform (channels, N) in which every second has its own tone."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    tone = 0.4 * np.sin(2 * np.pi * np.take(TONES_HZ, time.astype(int)) * time)
    return np.tile(tone.astype(np.float32), (num_channels, 1))


@cache
def _loudest_bands() -> np.ndarray:
    """Return the mel band in which each second's tone is loudest."""
    rate = 16_000
    tones = sound_of(len(TONES_HZ), rate)[0].reshape(len(TONES_HZ), rate)
    bands = np.array([segment_patch(tone, rate).mean(0).argmax() for tone in tones])
    assert (np.diff(bands) > 0).all()
    return bands


def second_in(patch: np.ndarray) -> int:
    """Return which second's tone a log-mel patch (96, 64) holds for the longest."""
    bands = np.abs(patch.argmax(1)[:, None] - _loudest_bands()).argmin(1)
    return int(np.bincount(bands[patch.max(1) > -1]).argmax())


_written: dict[str, bytes] = {}


def write_media(path: Path, **settings: Any) -> Path:
    """Write a media file, see :func:`encode_media`; equal settings are encoded once."""
    if "waveforms" in settings:
        return encode_media(path, **settings)
    key = f"{path.suffix} {settings}"
    if key not in _written:
        _written[key] = encode_media(path, **settings).read_bytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_written[key])
    return path


def encode_media(
    path: Path,
    *,
    num_frames: int | None = 250,
    frame_rate: Fraction | int = 25,
    timestamps: Sequence[float] | None = None,
    video_codec: str = "libx264",
    pixel_format: str = "yuv420p",
    size: tuple[int, int] = (COLUMNS * BLOCK, ROWS * BLOCK),
    video_options: dict[str, str] | None = None,
    display_matrix: Sequence[int] | None = None,
    video_delay: float = 0.0,
    audio_seconds: float | None = 10.0,
    audio_rate: int = 44100,
    layout: str = "mono",
    audio_codec: str = "aac",
    audio_delay: float = 0.0,
    waveforms: Iterable[np.ndarray] | None = None,
    hole: tuple[float, float] | None = None,
    cover: bool = False,
    muxer: str | None = None,
    muxer_options: dict[str, str] | None = None,
) -> Path:
    """Write a media file.

    ``num_frames=None`` and ``audio_seconds=None`` leave the stream out; ``timestamps`` (seconds) override the frame
    rate; ``waveforms`` has one (channels, N) per audio stream; in a ``hole`` (seconds) no audio is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"movflags": "+faststart"} if muxer_options is None and path.suffix == ".mp4" else muxer_options or {}
    with av.open(str(path), "w", format=muxer, options=options) as container:
        packets: list[tuple[float, Any]] = []
        encoders: list[Callable[[], Iterable[tuple[float, Any]]]] = []
        if cover:
            encoders.append(_add_cover(container))
        if num_frames is not None:
            times = timestamps if timestamps is not None else [n / float(frame_rate) for n in range(num_frames)]
            tick = Fraction(1, 12800) if timestamps is not None else 1 / Fraction(frame_rate)
            stream = container.add_stream(video_codec, rate=frame_rate)
            stream.width, stream.height = size
            stream.pix_fmt, stream.codec_context.time_base, stream.thread_count = pixel_format, tick, 1
            defaults = {"preset": "ultrafast", "crf": "20", "g": "25"} if video_codec == "libx264" else {}
            stream.options = {**defaults, **(video_options or {})}
            stream.set_display_matrix(display_matrix)
            encoders.append(lambda: _encode_pictures(stream, [time + video_delay for time in times], tick))
        if waveforms is None and audio_seconds is not None:
            num_channels = len(av.AudioLayout(layout).channels)
            waveforms = [sound_of(audio_seconds, audio_rate, num_channels=num_channels)]
        for waveform in waveforms or ():
            sound = container.add_stream(audio_codec, rate=audio_rate, layout=layout)
            sound.options = {"aac_coder": "fast"} if audio_codec == "aac" else {}
            encoders.append(
                lambda sound=sound, waveform=waveform: _encode_sound(sound, waveform, layout, audio_delay, hole)
            )
        container.start_encoding()
        for encode in encoders:
            packets += encode()
        for _, packet in sorted(packets, key=lambda pair: pair[0]):
            container.mux(packet)
    return path


def _encode_pictures(stream: Any, times: Sequence[float], tick: Fraction) -> Iterable[tuple[float, Any]]:
    converter = VideoReformatter()
    for number, time in enumerate(times):
        frame = av.VideoFrame.from_ndarray(picture_of(number, size=(stream.width, stream.height)), format="rgb24")
        frame = converter.reformat(frame, format=stream.pix_fmt, threads=1)
        frame.pts, frame.time_base = round(time / tick), tick
        yield from ((time, packet) for packet in stream.encode(frame))
    yield from ((times[-1], packet) for packet in stream.encode(None))


def _encode_sound(
    stream: Any, waveform: np.ndarray, layout: str, delay: float, hole: tuple[float, float] | None
) -> Iterable[tuple[float, Any]]:
    rate, block = stream.rate, stream.codec_context.frame_size or 1024
    has_planes = len(waveform) < 8  # PyAV cannot fill more
    given = "fltp" if has_planes else "flt"
    resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate)
    for start in range(0, waveform.shape[1], block):
        time = start / rate
        if hole and hole[0] <= time < hole[1]:
            continue
        samples = waveform[:, start : start + block]
        samples = np.ascontiguousarray(samples if has_planes else samples.T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(samples, format=given, layout=layout)
        frame.sample_rate = rate
        if stream.format.name != given:
            (frame,) = resampler.resample(frame)
        frame.time_base, frame.pts = Fraction(1, rate), start + round(delay * rate)
        yield from ((time + delay, packet) for packet in stream.encode(frame))
    yield from ((waveform.shape[1] / rate + delay, packet) for packet in stream.encode(None))


def _add_cover(container: Any) -> Callable[[], Iterable[tuple[float, Any]]]:
    stream = container.add_stream("mjpeg", rate=1)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
    stream.disposition = av.stream.Disposition.attached_pic
    return lambda: [(0.0, packet) for packet in _encode_one(stream)]


def _encode_one(stream: Any) -> Iterable[Any]:
    frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 200, np.uint8), format="rgb24").reformat(format="yuvj420p")
    frame.pts, frame.time_base = 0, Fraction(1)
    return [*stream.encode(frame), *stream.encode(None)]

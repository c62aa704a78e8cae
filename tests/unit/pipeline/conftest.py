"""Small media files whose pictures carry the frame's number and whose sound carries the second's; a corpus of them.

A picture holds the number in binary, in blocks of 16 × 16 pixels that survive any codec; a second is a tone of
its own, so that a test can say *which* frame and *which* second was delivered. `CORPUS` is every kind of awkward file
with what is decided about it.
"""

import io
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from PIL import Image

from pipeline.core.errors import MediaError
from pipeline.features.audio.log_mel import segment_patch
from pipeline.features.audio.patches import PatchDecoder
from pipeline.features.decoding import Prepared
from pipeline.features.visual.frames import FrameDecoder
from pipeline.media.segments import NO_FRAME
from pipeline.store.manifest import VideoFile

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


# What is decided about awkward files -----------------------------------------------------------------------------

NUM_SEGMENTS = 10  # of one second
SAMPLES_PER_SEGMENT = 2


class Outcome(NamedTuple):
    """A ledger row in short; `valid` has a character per segment and is empty where nothing could be prepared."""

    status: str
    reason: str
    valid: str


WHOLE = Outcome("ok", "ok", "1" * NUM_SEGMENTS)


def failed(reason: str) -> Outcome:
    return Outcome("failed", reason, "")


def partial(reason: str, valid: str) -> Outcome:
    return Outcome("partial", reason, valid)


def constant(rate: float, num_frames: int, start: float = 0.0) -> tuple[float, ...]:
    return tuple(start + number / rate for number in range(num_frames))


@dataclass(frozen=True)
class CorpusFile:
    """An awkward file, and what is decided about it for ten segments of a second with two samples each.

    `write` makes the file at a path that ends in `suffix`. Outcomes: `visual` for ``sampling: time``,
    `visual_by_number` for ``sampling: frames``, and `audio`. What is delivered: the frames of the *whole* file start
    at `shown` (seconds on the clip's clock) and hold the numbers from `first_number` on; those in `lost` are not
    delivered; by number, the first `num_counted` are spread over the segments. Segment s hears the tone of second
    ``heard[s]``. Pictures are stored turned by `quarter_turns`, to be undone clockwise.
    """

    name: str
    suffix: str
    write: Callable[[Path], Path]
    visual: Outcome
    visual_by_number: Outcome
    audio: Outcome
    shown: tuple[float, ...]
    lost: frozenset[int]
    num_counted: int
    first_number: int
    heard: tuple[int, ...]
    quarter_turns: int

    @property
    def file_name(self) -> str:
        return self.name + self.suffix


def _entry(
    name: str,
    suffix: str = ".mp4",
    spoil: Callable[[Path], object] | None = None,
    *,
    visual: Outcome = WHOLE,
    visual_by_number: Outcome | None = None,
    audio: Outcome = WHOLE,
    shown: tuple[float, ...] | None = None,
    start: float = 0.0,
    lost: Iterable[int] = (),
    num_counted: int | None = None,
    first_number: int = 0,
    heard: Iterable[int] = range(NUM_SEGMENTS),
    quarter_turns: int = 0,
    waveforms: Callable[[], list[np.ndarray]] | None = None,
    **settings: Any,
) -> CorpusFile:
    """Describe a file that :func:`write_media` makes with `settings` and `spoil` then changes in place."""

    def write(path: Path) -> Path:
        write_media(path, **settings, **({"waveforms": waveforms()} if waveforms else {}))
        if spoil:
            spoil(path)
        return path

    if shown is None:
        shown = constant(float(settings.get("frame_rate", 25)), settings.get("num_frames", 250) or 0, start)
    by_number = visual if visual_by_number is None else visual_by_number
    counted = len(shown) if num_counted is None else num_counted
    return CorpusFile(
        name,
        suffix,
        write,
        visual,
        by_number,
        audio,
        shown,
        frozenset(lost),
        counted,
        first_number,
        tuple(heard),
        quarter_turns,
    )


def _no_media(name: str, content: bytes, reason: str = "not_media") -> CorpusFile:
    def write(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return replace(_entry(name, visual=failed(reason), audio=failed(reason), shown=()), write=write)


def _packets(path: Path) -> list[tuple[float, int, int]]:
    """Return when each video packet is shown, in seconds, and where it lies in the file, in bytes."""
    with av.open(str(path)) as container:
        return [(float(p.pts * p.time_base), p.pos, p.size) for p in container.demux(video=0) if p.size]


def _offset(path: Path, seconds: float) -> int:
    """Return where in the file the first video packet lies that is shown at `seconds` or later."""
    return next(position for shown, position, _ in _packets(path) if shown >= seconds - 1e-6)


def _cut(seconds: float) -> Callable[[Path], object]:
    """Cut the file off before the picture of `seconds`."""
    return lambda path: path.write_bytes(path.read_bytes()[: _offset(path, seconds)])


def _cut_bytes(length: int) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes()[:length])


def _overwrite(start: float, stop: float) -> Callable[[Path], object]:
    """Put random bytes where the pictures and the sound from `start` to `stop` seconds are stored."""

    def spoil(path: Path) -> None:
        content = bytearray(path.read_bytes())
        first, last = _offset(path, start), _offset(path, stop)
        content[first:last] = random.Random(1).randbytes(last - first)
        path.write_bytes(content)

    return spoil


def _flip(seconds: float) -> Callable[[Path], object]:
    """Change four bytes in the middle of one picture."""

    def spoil(path: Path) -> None:
        content = bytearray(path.read_bytes())
        _, position, size = next(packet for packet in _packets(path) if packet[0] >= seconds - 1e-6)
        middle = position + size // 2
        content[middle : middle + 4] = bytes(255 - byte for byte in content[middle : middle + 4])
        path.write_bytes(content)

    return spoil


def _replace(old: bytes, new: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes().replace(old, new))


def _overwrite_all(path: Path) -> None:
    content = bytearray(path.read_bytes())
    start = content.find(b"mdat") + 4
    content[start:] = random.Random(0).randbytes(len(content) - start)
    path.write_bytes(content)


def _begin_at(seconds: float, *, drops: bool) -> Callable[[Path], object]:
    """Copy the streams so that `seconds` becomes zero.

    The pictures before that are dropped up to a key frame, or else kept and cut away by an edit list.
    """

    def spoil(path: Path) -> None:
        whole = io.BytesIO(path.read_bytes())
        with av.open(whole) as source, av.open(str(path), "w", options={"movflags": "+faststart"}) as target:
            streams = [target.add_stream_from_template(stream) for stream in source.streams]
            has_begun = not drops
            for packet in source.demux():
                if not packet.size:
                    continue
                if packet.stream.type == "video":
                    has_begun |= packet.is_keyframe and packet.pts * packet.time_base >= seconds
                if has_begun:
                    offset = round(Fraction(seconds) / packet.time_base)
                    packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
                    packet.stream = streams[packet.stream.index]
                    target.mux(packet)

    return spoil


def _png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture_of(5)).save(file, "PNG")
    return file.getvalue()


def _turned(quarter_turns: int) -> list[int]:
    """Return a display matrix: x' = ax + cy, y' = bx + dy with y downwards, as an upright telephone writes it."""
    a, b, c, d = ((0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0))[quarter_turns - 1]
    return [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]


def _with_nan() -> list[np.ndarray]:
    waveform = sound_of(10, 16_000)
    waveform[0, 48_000:64_000] = np.nan
    return [waveform]


B_FRAMES = {"bf": "3", "preset": "fast", "g": "25"}
OPEN_GOP = {"preset": "fast", "g": "26", "x264-params": "open-gop=1:scenecut=0:b-adapt=0:bframes=3:min-keyint=1"}
INTERLACED = {"flags": "+ilme+ildct", "x264-params": "tff=1"}
MPEG4_PCM = {"video_codec": "mpeg4", "audio_codec": "pcm_s16le"}
HEVC = {"video_codec": "libx265", "video_options": {"preset": "ultrafast", "x265-params": "log-level=none:pools=none"}}
AV1 = {"video_codec": "libsvtav1", "video_options": {"preset": "11", "crf": "15", "svtav1-params": "lp=1"}}
VP9 = {"video_codec": "libvpx-vp9", "video_options": {"deadline": "realtime", "cpu-used": "8", "g": "25"}}
OPUS = {"audio_codec": "libopus", "audio_rate": 48000}
FRAGMENTS = {"movflags": "frag_keyframe+delay_moov"}
INDEXED_FRAGMENTS = {"movflags": "frag_keyframe+delay_moov+global_sidx+default_base_moof"}  # as DASH, and YouTube's
ENCRYPTED = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "00112233445566778899aabbccddeeff",
    "encryption_kid": "112233445566778899aabbccddeeff00",
}
PRIMED = 1024 / 44100  # MPEG-TS and Flash show the first picture after the block that AAC begins with
PHONE = (0.0, *np.random.default_rng(0).uniform(0.02, 0.06, 249).cumsum().round(3).tolist())
SLOWER = tuple([n / 30 for n in range(150)] + [5 + n / 10 for n in range(50)])
WITH_PAUSE = tuple(n / 25 for n in range(250) if not 105 <= n < 150)

INCOMPLETE = {
    "audio starts late": {
        "audio_delay": 2.4,
        "audio": partial("late_start", "0011111111"),
        "heard": range(-2, 8),
    },
    "video starts late": {
        "video_delay": 2.2,
        "shown": constant(25, 250, 2.2),
        "visual": partial("late_start", "0011111111"),
        "visual_by_number": WHOLE,
    },
    "audio ends early": {"audio_seconds": 5.0, "audio": partial("short", "1111100000")},
    "video ends early": {
        "num_frames": 125,
        "visual": partial("short", "1111100000"),
        "visual_by_number": WHOLE,
    },
    "audio has a hole": {"hole": (3, 5.6), "audio": partial("gap", "1110001111")},
}

CORPUS = [
    # Whole, each in its own way: every segment gets its own pictures and its own second.
    _entry("25 fps"),
    _entry("10 fps", frame_rate=10, num_frames=100),
    _entry("60 fps", frame_rate=60, num_frames=600),
    _entry("17.58 fps", frame_rate=Fraction(1758, 100), num_frames=176),
    _entry("1 fps", frame_rate=1, num_frames=10),
    _entry("variable frame rate", timestamps=SLOWER, num_frames=200, shown=SLOWER),
    _entry("variable frame rate in mkv", ".mkv", timestamps=SLOWER, num_frames=200, shown=SLOWER),
    _entry("variable frame rate of a telephone", timestamps=PHONE, num_frames=250, shown=PHONE),
    _entry("a picture that stays in mkv", ".mkv", timestamps=WITH_PAUSE, num_frames=205, shown=WITH_PAUSE),
    _entry("longer", num_frames=300, audio_seconds=12.0),
    _entry("B-frames", video_options=B_FRAMES),
    _entry("interlaced", video_options=INTERLACED),
    _entry("odd size", size=(81, 33), pixel_format="yuv444p"),
    _entry("yuv444", pixel_format="yuv444p"),
    _entry("gray", pixel_format="gray"),
    _entry("10-bit", pixel_format="yuv420p10le"),
    _entry("10-bit HEVC", pixel_format="yuv420p10le", **HEVC),
    _entry("10-bit AV1", pixel_format="yuv420p10le", **AV1),
    *(_entry(f"rotated {90 * n}", display_matrix=_turned(n), quarter_turns=n) for n in (1, 2, 3)),
    _entry("cover picture", cover=True),
    _entry("mkv", ".mkv", video_options=B_FRAMES),
    _entry("webm, VP9, Opus", ".webm", **VP9, **OPUS),
    _entry("avi", ".avi", **MPEG4_PCM),
    _entry("avi, H.264, B-frames", ".avi", start=0.04, video_options=B_FRAMES, audio_codec="pcm_s16le"),
    _entry("transport stream", ".ts", start=PRIMED, video_options=B_FRAMES),
    _entry("transport stream whose clock wraps", ".ts", start=PRIMED, video_delay=95440.0, audio_delay=95440.0),
    _entry("flash", ".flv", start=PRIMED),
    _entry("fragmented", muxer_options=FRAGMENTS),
    _entry("mp4 named avi", ".avi", muxer="mp4"),
    _entry(
        "edit list",
        ".mp4",
        _begin_at(1.24, drops=False),
        num_frames=300,
        audio_seconds=12.0,
        video_options=B_FRAMES,
        shown=constant(25, 269),  # those cut away would make it 276, and spread them differently
        first_number=31,
        heard=range(1, 11),
    ),
    _entry("8 kHz", audio_rate=8000),
    _entry("48 kHz, 5.1", audio_rate=48000, layout="5.1"),
    _entry("48 kHz, 5.1, AC-3", ".mkv", audio_rate=48000, layout="5.1", audio_codec="ac3"),
    _entry("48 kHz, 7.1", audio_rate=48000, layout="7.1"),
    _entry("three channels", ".mkv", audio_rate=16000, layout="3.0", audio_codec="flac"),
    _entry("MP3", audio_codec="libmp3lame"),
    _entry("two audio streams", waveforms=lambda: [sound_of(10, 44100), sound_of(10, 44100)[:, ::-1]]),
    # Complete files that do not fill the clip. By number, the pictures there are fill it nevertheless.
    _entry("9.2 s", num_frames=230, audio_seconds=9.2, audio=partial("short", "1111111110")),
    _entry(
        "8.3 s",
        num_frames=208,
        audio_seconds=8.3,
        visual=partial("short", "1111111110"),
        visual_by_number=WHOLE,
        audio=partial("short", "1111111100"),
    ),
    *(
        _entry(f"{what} {kind}", suffix, **settings)
        for kind, suffix in (("in mp4", ".mp4"), ("in mkv", ".mkv"))
        for what, settings in INCOMPLETE.items()
    ),
    _entry(
        "nine frames",
        num_frames=9,
        visual=Outcome("partial", "short", "1000000000"),
        visual_by_number=failed("too_short"),
    ),
    _entry(
        "one frame",
        num_frames=1,
        visual=Outcome("partial", "short", "1000000000"),
        visual_by_number=failed("too_short"),
    ),
    # Cut off. Pictures keep their place where the container says how many there should be.
    _entry("cut in its header", ".mp4", _cut_bytes(500), visual=failed("not_media"), audio=failed("not_media")),
    _entry("cut after its index", ".mp4", _cut(0), visual=failed("undecodable"), audio=failed("undecodable")),
    _entry(
        "cut before its index", ".mp4", _cut(9), visual=failed("not_media"), audio=failed("not_media"), muxer_options={}
    ),
    *(
        _entry(
            f"cut at {seconds} s",
            ".mp4",
            _cut(seconds),
            visual=partial("truncated", valid),
            audio=partial("truncated", heard),
            lost=range(round(25 * seconds), 250),
        )
        for seconds, valid, heard in ((0.6, "1000000000", "1000000000"), (5.2, "1111110000", "1111100000"))
    ),
    _entry(
        "cut at 9.4 s",
        ".mp4",
        _cut(9.4),
        visual=Outcome("ok", "truncated", "1111111111"),
        audio=partial("truncated", "1111111110"),
        lost=range(235, 250),
    ),
    _entry(
        "cut, B-frames",
        ".mp4",
        _cut(5.0),
        video_options=B_FRAMES,
        visual=partial("truncated", "1111100000"),
        audio=partial("truncated", "1111100000"),
        lost=range(125, 250),
    ),
    *(
        _entry(
            f"cut {suffix[1:]}",
            suffix,
            _cut(5.2),
            visual=partial("truncated", "1111110000"),
            audio=partial("truncated", "1111100000"),
            lost=range(130, 250),
            **settings,
        )
        for suffix, settings in (
            (".mkv", {}),
            (".webm", {**VP9, **OPUS}),
            (".avi", MPEG4_PCM),
            (".flv", {"start": PRIMED}),
        )
    ),
    _entry(
        "cut, indexed fragments",
        ".mp4",
        _cut(5.2),
        muxer_options=INDEXED_FRAGMENTS,
        visual=partial("truncated", "1111110000"),
        audio=partial("truncated", "1111100000"),
        lost=range(130, 250),
    ),
    _entry(
        "cut, fragments",
        ".mp4",
        _cut(5.2),
        muxer_options=FRAGMENTS,
        visual=partial("truncated", "1111110000"),
        visual_by_number=partial("truncated", "1111111110"),  # as if no fragment had followed
        audio=partial("truncated", "1111100000"),
        lost=range(130, 250),
        num_counted=150,
    ),
    _entry(
        "cut transport stream",
        ".ts",
        _cut(5.2),
        start=PRIMED,
        visual=partial("short", "1111110000"),
        visual_by_number=WHOLE,
        audio=partial("short", "1111100000"),
        lost=range(130, 250),
        num_counted=130,
    ),
    # Damaged in the middle. The file goes on at the next key frame: the picture of 6 s.
    *(
        _entry(
            f"damaged {name}",
            suffix,
            _overwrite(4.2, 5.8),
            visual=partial("damaged", "1111101111"),
            audio=partial(reason, "1111001111"),
            lost=range(105, 150),
            **settings,
        )
        for name, suffix, reason, settings in (
            ("mp4", ".mp4", "damaged", {}),
            ("mp4, B-frames", ".mp4", "damaged", {"video_options": B_FRAMES}),
            ("mkv", ".mkv", "damaged", {}),
            ("mkv, B-frames", ".mkv", "damaged", {"video_options": B_FRAMES}),
            ("webm", ".webm", "damaged", {**VP9, **OPUS}),
            ("transport stream", ".ts", "gap", {"start": PRIMED}),
        )
    ),
    *(
        _entry(
            f"{name} damaged for a moment",
            suffix,
            _overwrite(4.2, 4.4),
            visual=Outcome("ok", "damaged", "1111111111"),
            audio=Outcome("ok", reason, "1111111111"),
            lost=range(105, 125),
            **settings,
        )
        for name, suffix, reason, settings in (
            ("mp4", ".mp4", "damaged", {}),
            ("transport stream", ".ts", "ok", {"start": PRIMED}),
        )
    ),
    _entry(
        "avi damaged near its end",
        ".avi",
        _overwrite(9.84, 9.9),
        lost=range(246, 250),
        **MPEG4_PCM,
    ),
    _entry(
        "damaged avi",
        ".avi",
        _overwrite(4.2, 5.8),
        visual=partial("truncated", "1111100000"),
        audio=partial("truncated", "1111000000"),
        lost=range(105, 250),
        **MPEG4_PCM,
    ),
    _entry("one damaged picture", ".mp4", _flip(4.0), visual=partial("damaged", "1111011111"), lost=range(100, 125)),
    _entry(
        "begins inside an open GOP",
        ".mp4",
        _begin_at(1.0, drops=True),
        num_frames=300,
        audio_seconds=12.0,
        video_options=OPEN_GOP,
        visual=Outcome("ok", "damaged", "1111111111"),
        shown=constant(25, 275),
        lost=[0],
        first_number=25,
        heard=range(1, 11),
    ),
    _entry(
        "not a number",
        ".mkv",
        num_frames=None,
        audio_rate=16000,
        audio_codec="pcm_f32le",
        waveforms=_with_nan,
        visual=failed("no_video_stream"),
        audio=partial("damaged", "1110111111"),
    ),
    # Nothing of a modality can be used; the other does not care.
    _entry("no video", num_frames=None, visual=failed("no_video_stream")),
    _entry("no video but a cover picture", num_frames=None, cover=True, visual=failed("no_video_stream")),
    _entry("no audio", audio_seconds=None, audio=failed("no_audio_stream")),
    _entry("0.3 s of audio", audio_seconds=0.3, audio=failed("too_short")),
    _entry("video after the clip", video_delay=11.0, visual=failed("too_short"), visual_by_number=WHOLE),
    _entry("audio after the clip", audio_delay=11.0, audio=failed("too_short")),
    _entry("unknown video codec", ".mp4", _replace(b"avc1", b"zzzz"), visual=failed("undecodable")),
    _entry(
        "unknown audio codec",
        ".mov",
        _replace(b"sowt", b"zzzz"),
        audio_codec="pcm_s16le",
        audio=failed("undecodable"),
    ),
    _entry(
        "damaged throughout",
        ".mp4",
        _overwrite_all,
        num_frames=25,
        visual=failed("undecodable"),
        audio=failed("undecodable"),
    ),
    _entry("encrypted", muxer_options=ENCRYPTED, visual=failed("encrypted"), audio=failed("encrypted")),
    # Something else.
    _no_media("zero bytes", b"", "empty_file"),
    _no_media("zeros", bytes(5000)),
    _no_media("text", b"hello world\n" * 300),
    _no_media("an error page", b"<html><body>404</body></html>"),
    _no_media("random bytes", random.Random(0).randbytes(9000)),
    _no_media("subtitles", b"1\n00:00:01,000 --> 00:00:02,000\nhello\n\n" * 5),
    _no_media("a list of files", b"ffconcat version 1.0\nfile clip.ts\n"),
    _no_media("a playlist", b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nclip.ts\n#EXT-X-ENDLIST\n"),
    _no_media("a picture", _png()),
]


@pytest.fixture(scope="session")
def media() -> SimpleNamespace:
    """Return the functions above: a test module cannot import from here."""
    return SimpleNamespace(
        write=write_media,
        number_in=number_in,
        sound_of=sound_of,
        picture_of=picture_of,
        packets=_packets,
    )


@pytest.fixture(scope="session")
def corpus() -> dict[str, CorpusFile]:
    """Return the awkward files by name."""
    return {entry.name: entry for entry in CORPUS}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for an `awkward_file` with each of the corpus."""
    if "awkward_file" in metafunc.fixturenames:
        metafunc.parametrize("awkward_file", CORPUS, ids=[entry.name for entry in CORPUS])


@pytest.fixture(scope="session")
def visual() -> Callable[..., Prepared]:
    """Return what the visual recipe's decoder makes of a file."""
    decoders = {
        sampling: FrameDecoder(
            num_segments=NUM_SEGMENTS,
            segment_seconds=1.0,
            frames_per_segment=SAMPLES_PER_SEGMENT,
            sampling=sampling,
            image_size=96,
        )
        for sampling in ("time", "frames")
    }
    return lambda path, sampling="time": decoders[sampling](path)


@pytest.fixture(scope="session")
def audio() -> Callable[[Path], Prepared]:
    """Return what the audio recipe's decoder makes of a file."""
    return PatchDecoder(num_segments=NUM_SEGMENTS, segment_seconds=1.0, alignment="segment")


@pytest.fixture(scope="session")
def numbers_in() -> Callable[..., list[list[int]]]:
    """Return a reader of the picture numbers (T, K) that a prepared video delivers; -1 where it delivers none."""

    def read(prepared: Prepared, quarter_turns: int = 0) -> list[list[int]]:
        pictures = [np.rot90(image.transpose(1, 2, 0), quarter_turns) for image in np.asarray(prepared.inputs)]
        numbers = [number_in(picture) for picture in pictures]
        return [[NO_FRAME if row == NO_FRAME else numbers[row] for row in segment] for segment in prepared.rows]

    return read


@pytest.fixture(scope="session")
def seconds_in() -> Callable[[Prepared], list[int]]:
    """Return a reader of the second that each segment of a prepared file's sound delivers; -1 where it has none."""

    def read(prepared: Prepared) -> list[int]:
        seconds = [second_in(patch) for patch in np.asarray(prepared.inputs)]
        return [NO_FRAME if row == NO_FRAME else seconds[row] for (row,) in prepared.rows]

    return read


@pytest.fixture(autouse=True)
def _own_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test away from the repository's own ``data/.work`` and ``data/weights``."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "repository"))


class OneByOne:
    """Stands for the pool of decoding processes, see test_decode_pool.py: decodes here, one after the other."""

    def __init__(self, decoder: Callable[[Path], Prepared], raw: Path, **_: Any) -> None:
        self._decoder, self._raw = decoder, raw

    def __enter__(self) -> "OneByOne":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def decode(self, videos: Iterable[VideoFile]) -> Iterator[tuple[VideoFile, Prepared | MediaError]]:
        for video in videos:
            try:
                yield video, self._decoder(self._raw / video.path)
            except MediaError as error:
                yield video, error


@pytest.fixture
def decode_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode in the process of the test."""
    monkeypatch.setattr("pipeline.extraction.worker.DecodePool", OneByOne)

"""Every kind of awkward media file, with what is decided about it: `CORPUS`."""

import io
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from avel_testing.media_files import picture_of, sound_of, write_media
from avel_testing.spoiling import begin_at, cut, cut_bytes, flip, overwrite, overwrite_all, replace_bytes

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
        begin_at(1.24, drops=False),
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
    _entry("cut in its header", ".mp4", cut_bytes(500), visual=failed("not_media"), audio=failed("not_media")),
    _entry("cut after its index", ".mp4", cut(0), visual=failed("undecodable"), audio=failed("undecodable")),
    _entry(
        "cut before its index", ".mp4", cut(9), visual=failed("not_media"), audio=failed("not_media"), muxer_options={}
    ),
    *(
        _entry(
            f"cut at {seconds} s",
            ".mp4",
            cut(seconds),
            visual=partial("truncated", valid),
            audio=partial("truncated", heard),
            lost=range(round(25 * seconds), 250),
        )
        for seconds, valid, heard in ((0.6, "1000000000", "1000000000"), (5.2, "1111110000", "1111100000"))
    ),
    _entry(
        "cut at 9.4 s",
        ".mp4",
        cut(9.4),
        visual=Outcome("ok", "truncated", "1111111111"),
        audio=partial("truncated", "1111111110"),
        lost=range(235, 250),
    ),
    _entry(
        "cut, B-frames",
        ".mp4",
        cut(5.0),
        video_options=B_FRAMES,
        visual=partial("truncated", "1111100000"),
        audio=partial("truncated", "1111100000"),
        lost=range(125, 250),
    ),
    *(
        _entry(
            f"cut {suffix[1:]}",
            suffix,
            cut(5.2),
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
        cut(5.2),
        muxer_options=INDEXED_FRAGMENTS,
        visual=partial("truncated", "1111110000"),
        audio=partial("truncated", "1111100000"),
        lost=range(130, 250),
    ),
    _entry(
        "cut, fragments",
        ".mp4",
        cut(5.2),
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
        cut(5.2),
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
            overwrite(4.2, 5.8),
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
            overwrite(4.2, 4.4),
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
        overwrite(9.84, 9.9),
        lost=range(246, 250),
        **MPEG4_PCM,
    ),
    _entry(
        "damaged avi",
        ".avi",
        overwrite(4.2, 5.8),
        visual=partial("truncated", "1111100000"),
        audio=partial("truncated", "1111000000"),
        lost=range(105, 250),
        **MPEG4_PCM,
    ),
    _entry("one damaged picture", ".mp4", flip(4.0), visual=partial("damaged", "1111011111"), lost=range(100, 125)),
    _entry(
        "begins inside an open GOP",
        ".mp4",
        begin_at(1.0, drops=True),
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
    _entry("unknown video codec", ".mp4", replace_bytes(b"avc1", b"zzzz"), visual=failed("undecodable")),
    _entry(
        "unknown audio codec",
        ".mov",
        replace_bytes(b"sowt", b"zzzz"),
        audio_codec="pcm_s16le",
        audio=failed("undecodable"),
    ),
    _entry(
        "damaged throughout",
        ".mp4",
        overwrite_all,
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

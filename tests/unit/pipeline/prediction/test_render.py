from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from pipeline.core.errors import MediaError
from pipeline.drawing.heat import attention_overlays, blend, enlarge
from pipeline.drawing.palette import Colour, colours
from pipeline.media.container import read_frames, read_timeline
from pipeline.media.waveform import read_waveform
from pipeline.prediction.localization.events import LocalizedVideo
from pipeline.prediction.localization.screen import LocalizationScreen
from pipeline.prediction.render import render_video
from pipeline.prediction.screen import MIN_WIDTH

COLOURS = colours(("bell", "siren", "<b>a & b\n--> $x_1$"))
SIZE = (320, 128)  # as media.write's pictures, four times


@pytest.fixture
def render(media: SimpleNamespace, make_prediction: Callable, tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Return a maker of a video and its rendering: ``render("..bb", num_frames=100)``."""

    def make(text: str, *, name: str = "video.mp4", remark: str = "", **settings: Any) -> tuple[Path, Path]:
        source = media.write(tmp_path / name, **settings)
        target = tmp_path / "rendered.mp4"
        render_with(make_prediction(source, text), target, remark=remark)
        return source, target

    return make


def render_with(
    prediction: LocalizedVideo, target: Path, *, palette: dict[str, Colour] = COLOURS, remark: str = ""
) -> None:
    render_video(prediction, target, lambda shape: LocalizationScreen(prediction, shape, palette, remark))


def frames_of(path: Path, numbers: list[int] | None = None) -> dict[int, np.ndarray]:
    timeline = read_timeline(path)
    return read_frames(path, timeline, range(len(timeline.timestamps_seconds)) if numbers is None else numbers)


def codec_of_sound(path: Path) -> str:
    with av.open(str(path)) as container:
        return str(container.streams.audio[0].codec_context.codec.canonical_name)


@pytest.mark.parametrize(
    "settings",
    [
        {"num_frames": 50},
        {"num_frames": 50, "timestamps": [0.05 * n + 0.01 * (n % 3) for n in range(50)]},
        {"num_frames": 50, "video_delay": 0.4},
        {"num_frames": 50, "video_options": {"bf": "2"}},
    ],
    ids=["constant", "variable", "late", "B-frames"],
)
def test_frames_keep_their_number_and_time(settings: dict, render: Callable, media: SimpleNamespace) -> None:
    source, target = render("....", audio_seconds=2.0, **settings)
    times, rendered = read_timeline(source).timestamps_seconds, read_timeline(target).timestamps_seconds
    assert rendered == pytest.approx(times, abs=1e-4)
    pictures = frames_of(target)
    height = 32 * MIN_WIDTH // 80
    assert [media.number_in(pictures[n][:height]) for n in range(50)] == list(range(50))


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_frames_are_upright(quarter_turns: int, make_prediction: Callable, corpus: dict, tmp_path: Path) -> None:
    entry = corpus[f"rotated {90 * quarter_turns}"]
    source = entry.write(tmp_path / entry.file_name)
    render_with(make_prediction(source, "."), tmp_path / "rendered.mp4")
    upright, rendered = frames_of(source, [77])[77], frames_of(tmp_path / "rendered.mp4", [77])[77]
    height, width = upright.shape[:2]
    scale = rendered.shape[1] // width
    picture = rendered[: height * scale][scale // 2 :: scale, scale // 2 :: scale]
    assert np.abs(picture[:height, :width].astype(int) - upright).mean() < 12


@pytest.mark.parametrize(
    ("name", "codec", "settings"),
    [
        ("video.mp4", "aac", {}),
        ("video.mkv", "aac", {"audio_delay": 0.5}),
        ("video.ts", "aac", {"video_delay": 3.0, "audio_delay": 3.0}),
        ("video.mkv", "mp3", {"audio_codec": "libmp3lame"}),
        ("video.mkv", "flac", {"audio_codec": "flac", "layout": "stereo"}),
    ],
)
def test_sound_that_mp4_holds_is_copied(name: str, codec: str, settings: dict, render: Callable) -> None:
    source, target = render("..", name=name, num_frames=50, audio_seconds=2.0, **settings)
    assert codec_of_sound(source) == codec_of_sound(target) == codec
    before, after = read_waveform(source, num_seconds=2.0), read_waveform(target, num_seconds=2.0)
    assert before.sample_rate_hz == after.sample_rate_hz
    lag, similarity = best_lag(before.samples[0], after.samples[0])
    assert abs(lag) <= 0.001 * before.sample_rate_hz
    assert similarity > 0.999


@pytest.mark.parametrize(
    "settings", [{"audio_rate": 44100}, {"audio_rate": 37800}, {"layout": "5.1"}, {"audio_delay": 0.5}]
)
def test_other_sound_is_encoded_anew_in_its_place(settings: dict, render: Callable) -> None:
    source, target = render(
        "..", name="video.mkv", num_frames=50, audio_seconds=2.0, audio_codec="pcm_s16le", **settings
    )
    assert codec_of_sound(target) == "aac"
    before, after = read_waveform(source, num_seconds=2.0), read_waveform(target, num_seconds=2.0)
    first, second = before.samples.mean(axis=0), after.samples.mean(axis=0)
    second = np.interp(
        np.arange(len(first)) / before.sample_rate_hz, np.arange(len(second)) / after.sample_rate_hz, second
    )
    lag, similarity = best_lag(first, second)
    assert abs(lag) <= 0.001 * before.sample_rate_hz
    assert similarity > 0.98


def best_lag(first: np.ndarray, second: np.ndarray) -> tuple[int, float]:
    """Return by how many samples the second signal is behind the first, and how alike they then are."""
    size = 2 * len(first)
    product = np.fft.irfft(np.fft.rfft(first, size).conj() * np.fft.rfft(second, size))
    lag = int(product.argmax())
    similarity = product[lag] / (np.linalg.norm(first) * np.linalg.norm(second))
    return lag - size if lag > size // 2 else lag, float(similarity)


def test_attention_is_laid_over_events_alone(render: Callable) -> None:
    _, target = render(".b.", num_frames=75, audio_seconds=3.0, size=SIZE)
    source = frames_of(target.with_name("video.mp4"), [10, 35, 60])
    rendered = frames_of(target, [10, 35, 60])
    width, height = SIZE
    (overlay,) = attention_overlays(np.eye(49)[:1], [True])  # the upper left corner
    for number, is_marked in ((10, False), (35, True), (60, False)):
        before, after = source[number], rendered[number][:height]
        marked = blend(before, enlarge(overlay, width, height))
        assert distance(after, marked if is_marked else before) < 8
        assert distance(after, before if is_marked else marked) > 20


def distance(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(int) - second).mean())


def test_the_bar_shows_the_events_and_where_one_is(render: Callable) -> None:
    _, target = render(".s..", num_frames=100, audio_seconds=4.0, size=SIZE)
    frames = frames_of(target, [2, 50, 98])
    height = frames[2].shape[0]
    strip = {number: frame[height - 16 : height - 12].mean(axis=0) for number, frame in frames.items()}
    fill = [int(COLOURS["siren"].fill[start : start + 2], 16) for start in (1, 3, 5)]
    is_event = np.abs(strip[98] - fill).max(axis=1) < 40
    left, right = np.flatnonzero(is_event)[[0, -1]] / 320
    assert (left, right) == pytest.approx((0.25, 0.5), abs=0.03)
    marker = [int((strip[number].mean(axis=1) > 235).nonzero()[0].mean()) / 320 for number in (2, 50, 98)]
    assert marker == pytest.approx([0.02, 0.5, 0.98], abs=0.04)


def test_the_label_follows_the_segments(render: Callable) -> None:
    _, target = render(".sx.", num_frames=100, audio_seconds=4.0, size=SIZE)
    frames = frames_of(target, [5, 20, 30, 60, 80])
    labels = {number: frame[132:156, :200].astype(int) for number, frame in frames.items()}
    assert np.abs(labels[5] - labels[20]).mean() < 2
    for first, second in ((5, 30), (30, 60), (60, 80)):
        assert np.abs(labels[first] - labels[second]).mean() > 4


def test_a_remark_is_shown_all_the_time(render: Callable) -> None:
    _, target = render("b.", num_frames=50, audio_seconds=2.0, size=SIZE, remark="random weights")
    marked = frames_of(target, [10, 40])
    _, target = render("b.", num_frames=50, audio_seconds=2.0, size=SIZE)
    plain = frames_of(target, [10, 40])
    for number in (10, 40):
        right = (slice(132, 156), slice(200, 320))
        assert np.abs(marked[number][right].astype(int) - plain[number][right]).mean() > 4


def test_a_name_that_is_too_long_does_not_run_into_the_remark(
    media: SimpleNamespace, make_prediction: Callable, tmp_path: Path
) -> None:
    source = media.write(tmp_path / "video.mp4", num_frames=25, audio_seconds=1.0, size=SIZE)
    long = make_prediction(source, "b")
    name = "a category with a name that is much longer than the bar is wide"
    long = replace(long, segments=(replace(long.segments[0], prediction=name),))
    remarks = []
    for prediction in (make_prediction(source, "b"), long):
        palette = {**COLOURS, name: COLOURS["bell"]}
        render_with(prediction, tmp_path / "rendered.mp4", palette=palette, remark="random weights")
        remarks.append(frames_of(tmp_path / "rendered.mp4", [5])[5][132:156, 222:].astype(int))
    assert np.abs(remarks[0] - remarks[1]).mean() < 2


def test_sides_are_even_as_the_codec_wants_them(render: Callable) -> None:
    _, target = render(
        "b",
        num_frames=25,
        audio_seconds=1.0,
        size=(321, 181),
        pixel_format="yuv444p",
        video_options={"preset": "ultrafast"},
    )
    height, width, _ = frames_of(target, [0])[0].shape
    assert (width % 2, height % 2) == (0, 0)


def test_a_file_that_is_gone_is_one_error_and_leaves_nothing(make_prediction: Callable, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        render_with(make_prediction(tmp_path / "gone.mp4", "b"), tmp_path / "out" / "rendered.mp4")
    assert not list(tmp_path.rglob("*.mp4"))

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import ImageDraw

from pipeline.core.errors import MediaError
from pipeline.drawing.palette import colours
from pipeline.media.container import read_frames, read_timeline
from pipeline.prediction.parsing.events import ParsedVideo, Segment
from pipeline.prediction.parsing.reading import ParsingReading
from pipeline.prediction.parsing.screen import MIN_LANE, ParsingScreen

MANY = tuple(f"c{number}" for number in range(10))
PALETTE = colours(("bell", "siren"))
SHAPE = (240, 320)


def bar_at(prediction: ParsedVideo, second: float, remark: str = "", shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Return the bar at a time."""
    screen = ParsingScreen(prediction, shape, {**PALETTE, **colours(MANY)}, remark)
    return screen.draw(np.zeros((*shape, 3), np.uint8), second)[shape[0] :].astype(int)


def columns_of(bar: np.ndarray, category: str, rows: slice = slice(None)) -> np.ndarray:
    fill = PALETTE[category].fill
    rgb = [int(fill[start : start + 2], 16) for start in (1, 3, 5)]
    return np.flatnonzero((np.abs(bar[rows] - rgb).max(axis=2) <= 2).any(axis=0))


def words_on(prediction: ParsedVideo, second: float, monkeypatch: pytest.MonkeyPatch, remark: str = "") -> list[str]:
    """Return the texts that are drawn into the bar for a segment."""
    written: list[str] = []
    text = ImageDraw.ImageDraw.text

    def write(self: ImageDraw.ImageDraw, place: object, words: str, *arguments: object, **options: object) -> None:
        written.append(words)
        text(self, place, words, *arguments, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", write)
    bar_at(prediction, second, remark)
    return written


def test_lanes_show_their_events_and_where_one_is(make_parsed: Callable) -> None:
    prediction = make_parsed(Path("a.mp4"), heard=".b..", seen="...b")
    bar = bar_at(prediction, 2.5)
    heard, seen = slice(len(bar) - 5 * MIN_LANE // 2, len(bar) - 3 * MIN_LANE // 2), slice(len(bar) - MIN_LANE, None)
    screen = ParsingScreen(prediction, SHAPE, PALETTE, "")
    for rows, start, stop in ((heard, 1, 2), (seen, 3, 4)):
        columns = columns_of(bar, "bell", rows)
        assert (columns.min(), columns.max()) == pytest.approx((screen.time.x(start), screen.time.x(stop)), abs=2)
    white = np.flatnonzero((bar[len(bar) - 3 * MIN_LANE // 2] == 255).all(axis=1))
    assert white.mean() == pytest.approx(screen.time.x(2.5), abs=1)


def test_names_are_lit_while_their_category_is_there(make_parsed: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    prediction = make_parsed(Path("a.mp4"), heard=".b..", seen=".b.s")
    assert words_on(prediction, 1.5, monkeypatch, "random weights") == [
        "random weights",
        "",
        "heard: bell 0.71",
        "seen: bell 0.71",
        "seen: siren",
    ]
    lit = [bar_at(prediction, second)[:, :100].max(axis=(1, 2)) for second in (0.5, 1.5)]
    assert (lit[1] > lit[0] + 20).sum() >= MIN_LANE


def test_what_is_missing_is_said_and_leaves_a_gap(make_parsed: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    prediction = make_parsed(Path("a.mp4"), heard="b.xx", seen="....")
    time = ParsingScreen(prediction, SHAPE, PALETTE, "").time
    bar = bar_at(prediction, 0.0)
    row = bar[len(bar) - MIN_LANE].max(axis=1)
    assert row[round(time.x(2.5))] < row[round(time.x(1.5))]
    assert "no sound" in words_on(prediction, 2.5, monkeypatch)


def test_nothing_found_is_said(make_parsed: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    prediction = make_parsed(Path("a.mp4"), heard="..x", seen="...")
    assert words_on(prediction, 0.5, monkeypatch)[-1] == "nothing heard or seen"
    assert words_on(prediction, 2.5, monkeypatch)[-1] == "no sound, nothing heard or seen"


def test_as_many_lanes_as_fit_are_the_most_probable_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    # The n-th category is heard in the n-th second, the later the more probable.
    segments = tuple(
        Segment(
            float(number),
            number + 1.0,
            (MANY[number],),
            (),
            tuple(0.6 + 0.01 * number if other == number else 0.1 for other in range(len(MANY))),
            (0.1,) * len(MANY),
            (),
        )
        for number in range(len(MANY))
    )
    prediction = ParsedVideo(Path("a.mp4"), 10.0, segments, (), MANY)
    assert int(0.4 * SHAPE[0]) // MIN_LANE == 6
    shown = [f"heard: {name}" for name in MANY[4:9]]
    assert words_on(prediction, 9.5, monkeypatch) == ["", "4 more not shown", *shown, "heard: c9 0.69"]
    assert words_on(prediction, 2.5, monkeypatch)[1] == "also heard: c2"
    few = ParsedVideo(Path("a.mp4"), 10.0, segments[:3], (), MANY)
    assert len(bar_at(prediction, 0)) - len(bar_at(few, 0)) == pytest.approx(3 * MIN_LANE, abs=1)


def test_a_name_that_is_too_long_leaves_room_for_the_strip(make_parsed: Callable) -> None:
    name = "a category with a name that is much longer than the bar is wide"
    prediction = make_parsed(Path("a.mp4"), heard="bbb", seen="...", categories=(name, "siren"))
    palette = {**PALETTE, name: PALETTE["bell"]}
    screen = ParsingScreen(prediction, SHAPE, palette, "random weights")
    bar = screen.draw(np.zeros((*SHAPE, 3), np.uint8), 2.5)[SHAPE[0] :].astype(int)
    columns = columns_of(bar, "bell")
    assert columns.min() == pytest.approx(screen.time.x(0), abs=1)
    between = bar[-MIN_LANE:, int(screen.time.x(0)) - 4 : int(screen.time.x(0)) - 1]
    assert between.max() < 60


@pytest.mark.parametrize("shape", [(181, 321), (32, 80), (720, 406)])
def test_sides_are_even_and_no_picture_is_narrow(shape: tuple[int, int], make_parsed: Callable) -> None:
    screen = ParsingScreen(make_parsed(Path("a.mp4"), heard="2", seen="2"), shape, PALETTE, "")
    assert (screen.width % 2, screen.height % 2) == (0, 0)
    assert screen.width >= 320
    assert screen.draw(np.zeros((*shape, 3), np.uint8), 0.5).shape == (screen.height, screen.width, 3)


def test_a_video_without_sound_is_rendered_without(
    make_parsed: Callable, media: SimpleNamespace, tmp_path: Path
) -> None:
    source = media.write(tmp_path / "mute.mp4", num_frames=50, audio_seconds=None)
    target = tmp_path / "rendered.mp4"
    prediction = make_parsed(source, heard="xx", seen=".b")
    ParsingReading("own").render(prediction, target, colours=PALETTE, remark="")
    with av.open(str(target)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    timeline = read_timeline(target)
    assert len(timeline.timestamps_seconds) == 50
    pictures = read_frames(target, timeline, [30])
    assert media.number_in(pictures[30][: 32 * 4]) == 30


def test_a_file_without_pictures_cannot_be_rendered(
    make_parsed: Callable, media: SimpleNamespace, tmp_path: Path
) -> None:
    source = media.write(tmp_path / "sound.wav", num_frames=None, audio_seconds=2.0, audio_codec="pcm_s16le")
    with pytest.raises(MediaError, match="holds no video"):
        ParsingReading("own").render(
            make_parsed(source, heard="bb", seen="xx"), tmp_path / "a.mp4", colours=PALETTE, remark=""
        )
    assert [path.name for path in tmp_path.iterdir()] == ["sound.wav"]

import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import MediaError
from pipeline.drawing.palette import colours
from pipeline.prediction import picture
from pipeline.prediction.parsing.events import ParsedVideo
from pipeline.prediction.parsing.picture import LANE, LEFT, save_picture

CATEGORIES = ("bell", "siren")
PALETTE = colours((*CATEGORIES, "$\\frac{$ 鐘\n\x1b"))


def draw(prediction: ParsedVideo, path: Path, notes: tuple[str, ...] = ("the model",), row: int = 5) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_picture(prediction, path, segments_per_row=row, colours=PALETTE, notes=notes)
    image = Image.open(path)
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB")).astype(int)


def places_of(image: np.ndarray, category: str) -> np.ndarray:
    """Return the pixels (N, 2) that have the colour of a category: rows and columns."""
    fill = PALETTE[category].fill
    rgb = [int(fill[start : start + 2], 16) for start in (1, 3, 5)]
    return np.argwhere(np.abs(image - rgb).max(axis=2) <= 2)


def x_of(second: float, num_seconds: int = 5) -> float:
    width = picture.WIDTH - LEFT - picture.RIGHT
    return (LEFT + second / num_seconds * width) * picture.DOTS_PER_INCH


@pytest.fixture
def video(media: SimpleNamespace, tmp_path: Path) -> Path:
    return media.write(tmp_path / "clip.mp4", num_frames=125, audio_seconds=5.0)


def test_events_are_bars_at_their_time_in_the_lane_of_their_modality(
    make_parsed: Callable, video: Path, tmp_path: Path
) -> None:
    image = draw(make_parsed(video, heard="...bb", seen=".b..."), tmp_path / "a.png")
    places = places_of(image, "bell")
    seen, heard = (places[places[:, 1] < x_of(2.5)], places[places[:, 1] > x_of(2.5)])
    assert (seen[:, 1].min(), seen[:, 1].max()) == pytest.approx((x_of(1), x_of(2)), abs=2)
    assert (heard[:, 1].min(), heard[:, 1].max()) == pytest.approx((x_of(3), x_of(5)), abs=2)
    below = picture.SPECTROGRAM * picture.DOTS_PER_INCH  # the sound lies between what is seen and what is heard
    assert heard[:, 0].min() - seen[:, 0].max() > below
    assert not len(places_of(image, "siren"))


def test_a_category_has_a_lane_of_its_own(make_parsed: Callable, video: Path, tmp_path: Path) -> None:
    image = draw(make_parsed(video, heard=".....", seen="22222"), tmp_path / "a.png")
    bell, siren = places_of(image, "bell"), places_of(image, "siren")
    assert len(bell)
    assert siren[:, 0].min() > bell[:, 0].max()
    assert siren[:, 0].min() - bell[:, 0].min() == pytest.approx(LANE * picture.DOTS_PER_INCH, abs=2)


def test_a_row_has_the_lanes_of_what_is_in_it(make_parsed: Callable, video: Path, tmp_path: Path) -> None:
    def height_of(heard: str, seen: str) -> int:
        return len(draw(make_parsed(video, heard=heard, seen=seen), tmp_path / "a.png", row=3))

    lane = LANE * picture.DOTS_PER_INCH
    nothing = height_of(".....", ".....")
    assert height_of("....b", "b....") == nothing, "a lane that says that there is nothing becomes one of a category"
    assert height_of("....2", ".....") == pytest.approx(nothing + lane, abs=1)
    assert height_of("2...2", ".2...") == pytest.approx(nothing + 3 * lane, abs=1)


def test_segments_without_a_modality_are_hatched_in_its_lanes_alone(
    make_parsed: Callable, video: Path, tmp_path: Path
) -> None:
    whole = draw(make_parsed(video, heard="b....", seen="b...."), tmp_path / "a.png")
    half = draw(make_parsed(video, heard="b..xx", seen="b...."), tmp_path / "b.png")
    changed = np.argwhere(np.abs(whole - half).max(axis=2) > 20)
    assert changed[:, 1].min() >= x_of(3) - 2
    assert changed[:, 0].min() > places_of(whole, "bell")[:, 0].min() + picture.SPECTROGRAM * picture.DOTS_PER_INCH


@pytest.mark.parametrize(
    ("heard", "seen", "settings"),
    [("xxxxx", "b....", {"audio_seconds": None}), ("b....", "xxxxx", {"num_frames": None})],
)
def test_a_modality_that_the_file_lacks_is_left_out(
    heard: str, seen: str, settings: dict, make_parsed: Callable, media: SimpleNamespace, video: Path, tmp_path: Path
) -> None:
    half = media.write(tmp_path / "half.mkv", **{"num_frames": 125, "audio_seconds": 5.0, **settings})
    image = draw(make_parsed(half, heard=heard, seen=seen), tmp_path / "a.png")
    both = draw(make_parsed(video, heard="b....", seen="b...."), tmp_path / "b.png")
    assert len(places_of(image, "bell"))
    assert len(image) < len(both) - LANE * picture.DOTS_PER_INCH


@pytest.mark.filterwarnings("error")
def test_names_are_not_markup_and_long_ones_are_cut(make_parsed: Callable, video: Path, tmp_path: Path) -> None:
    names = ("$\\frac{$ 鐘\n\x1b", "$\\frac{$ 鐘\n\x1b" * 9)
    PALETTE[names[1]] = PALETTE["bell"]
    image = draw(make_parsed(video, heard="2....", seen=".....", categories=names), tmp_path / "a.png")
    assert (image[:, : int(0.2 * picture.DOTS_PER_INCH)] == 255).all(), "the name stays in its margin"


def test_an_alarm_stands_out(make_parsed: Callable, video: Path, tmp_path: Path) -> None:
    alarm = [int(picture.ALARM[start : start + 2], 16) for start in (1, 3, 5)]
    for notes, is_loud in ((("the model",), False), (("the model", "these say nothing"), True)):
        image = draw(make_parsed(video, heard="b....", seen="....."), tmp_path / "a.png", notes)
        assert (np.abs(image - alarm).max(axis=2) <= 2).any() == is_loud


def test_a_file_that_is_gone_is_one_error(make_parsed: Callable, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        draw(make_parsed(tmp_path / "gone.mp4", heard="b", seen="."), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())

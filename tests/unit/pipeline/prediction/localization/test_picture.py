import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pipeline.drawing.palette import colours
from pipeline.prediction import picture
from pipeline.prediction.localization.picture import LEFT, save_picture

CATEGORIES = ("bell", "siren", "<b>a & b\n--> $x_1$")


def draw(prediction: object, path: Path, notes: tuple[str, ...] = ("the model",), row: int = 5) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_picture(prediction, path, segments_per_row=row, colours=colours(CATEGORIES), notes=list(notes))  # type: ignore[arg-type]
    image = Image.open(path)
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB")).astype(int)


def num_pixels(image: np.ndarray, colour: str) -> int:
    rgb = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return int((np.abs(image - rgb).max(axis=2) <= 2).sum())


@pytest.fixture
def video(media: SimpleNamespace, tmp_path: Path) -> Path:
    return media.write(tmp_path / "clip.mp4", num_frames=125, audio_seconds=5.0)


def test_events_are_bars_of_their_length_and_colour(make_prediction: Callable, video: Path, tmp_path: Path) -> None:
    fill = {name: colour.fill for name, colour in colours(CATEGORIES).items()}
    none = draw(make_prediction(video, "....."), tmp_path / "none.png")
    one = draw(make_prediction(video, ".s..."), tmp_path / "one.png")
    three = draw(make_prediction(video, ".sss."), tmp_path / "three.png")
    assert num_pixels(none, fill["siren"]) == 0
    assert 2 < num_pixels(three, fill["siren"]) / num_pixels(one, fill["siren"]) < 4


def test_attention_is_laid_over_events_alone(make_prediction: Callable, video: Path, tmp_path: Path) -> None:
    plain = draw(make_prediction(video, "....."), tmp_path / "a.png")
    marked = draw(make_prediction(video, "..b.."), tmp_path / "b.png")
    above = 185  # everything else that may differ is below the pictures
    changed = np.argwhere(np.abs(plain - marked)[:above].max(axis=2) > 40)[:, 1]
    brighter = np.argwhere((marked - plain)[:above].max(axis=2) > 40)[:, 1]
    column = (picture.WIDTH - LEFT - picture.RIGHT) / 5 * picture.DOTS_PER_INCH
    left = LEFT * picture.DOTS_PER_INCH + 2 * column
    assert len(brighter)
    assert changed.min() >= left - 2
    assert changed.max() <= left + column
    assert brighter.max() <= left + column / 2, "the upper left of the third picture"


def test_long_videos_have_rows_up_to_a_limit(
    make_prediction: Callable, media: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = media.write(tmp_path / "long.mp4", num_frames=300, audio_seconds=12.0)
    monkeypatch.setattr(picture, "DOTS_PER_INCH", 40)
    heights = {
        (num_segments, row): len(draw(make_prediction(video, "." * num_segments), tmp_path / "a.png", row=row))
        for num_segments, row in ((12, 12), (12, 4), (7, 4))
    }
    assert heights[12, 12] < heights[7, 4] < heights[12, 4]
    monkeypatch.setattr(picture, "MAX_ROWS", 2)
    assert len(draw(make_prediction(video, "." * 12), tmp_path / "a.png", row=4)) == heights[7, 4]


@pytest.mark.filterwarnings("error")
def test_names_are_not_markup_and_a_missing_glyph_is_no_warning(
    make_prediction: Callable, video: Path, tmp_path: Path
) -> None:
    hostile = video.rename(tmp_path / "a $\\frac{$ 鐘\n\x1b.mp4")
    draw(make_prediction(hostile, "<<x.b"), tmp_path / "a.png", notes=("$\\notcommand{$", "alarm"))


def test_an_alarm_stands_out(make_prediction: Callable, video: Path, tmp_path: Path) -> None:
    quiet = draw(make_prediction(video, "....."), tmp_path / "a.png")
    loud = draw(make_prediction(video, "....."), tmp_path / "b.png", notes=("the model", "these say nothing"))
    assert num_pixels(quiet, picture.ALARM) == 0
    assert num_pixels(loud, picture.ALARM) > 0

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.drawing.palette import colours
from pipeline.report.contact_sheets import ABOVE, GAP, PICTURE_WIDTH
from pipeline.report.parsing.contact_sheets import BAR_HEIGHT, LANE_HEIGHT, LEFT, draw_sheet

HEIGHT = 108  # of the pictures


def sheet(run, number):
    drawn = draw_sheet(run, run.predictions["test"][number], colours(run.manifest.categories))
    return np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"))


def hexadecimal(pixel):
    return "#" + "".join(f"{channel:02x}" for channel in pixel)


def test_is_as_wide_as_its_pictures_and_as_high_as_its_lanes(run):
    assert sheet(run, 1).shape == (
        ABOVE + HEIGHT + 2 * LANE_HEIGHT + 2 * GAP,
        LEFT + 4 * (PICTURE_WIDTH + GAP) - GAP,
        3,
    )
    assert sheet(run, 3).shape[0] == ABOVE + HEIGHT + LANE_HEIGHT + 2 * GAP


def test_shows_the_pictures_of_the_segments(run):
    image = sheet(run, 0)[ABOVE + HEIGHT // 2]
    levels = [image[LEFT + 72 + segment * (PICTURE_WIDTH + GAP)].mean() for segment in range(4)]
    assert levels == pytest.approx([40, 90, 140, 190], abs=6)


def test_has_truth_above_prediction_in_the_colour_of_the_category(run):
    colour_of = colours(run.manifest.categories)
    image = sheet(run, 1)
    middle = LEFT + 72 + np.arange(4) * (PICTURE_WIDTH + GAP)
    for lane, category, truth, predicted in ((0, "dog", "0110", "0110"), (1, "rain", "1100", "0000")):
        top = ABOVE + HEIGHT + GAP + lane * LANE_HEIGHT
        for row, marks in enumerate((truth, predicted)):
            found = [hexadecimal(image[top + row * BAR_HEIGHT + BAR_HEIGHT // 2, x]) for x in middle]
            assert [colour == colour_of[category].fill for colour in found] == [mark == "1" for mark in marks]


def test_clips_are_chosen_by_category_and_id_and_written_where_dvc_plots_looks(run_with_media):
    run_with_media.build("sheets")
    paths = sorted((run_with_media.root / "sheets/plots/attention").iterdir())
    assert [path.name for path in paths] == ["1-clip0.png", "2-clip1.png", "3-clip2.png", "4-clip4.png", "5-clip3.png"]


def test_hostile_names_do_not_break_the_drawing(make_run):
    run = make_run(("$\\frac{", "a$b$<c>", "d"), clip_prefix="../../x y/$_{^", has_media=False)
    run.build()
    paths = sorted((run.root / "report/plots/attention").iterdir())
    assert [path.name for path in paths] == [f"{n}-_x_y___{clip}.png" for n, clip in enumerate((0, 1, 2, 4, 3), 1)]

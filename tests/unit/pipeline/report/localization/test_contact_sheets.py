import io

import numpy as np
import pytest
from PIL import Image

from pipeline.report.contact_sheets import GAP, PICTURE_WIDTH
from pipeline.report.localization.contact_sheets import BELOW


def sheets_of(run, output="report"):
    run.build(output)
    return sorted((run.root / output / "plots/attention").iterdir())


class TestSheets:
    def test_are_pictures_of_some_test_clips_with_names_of_their_own(self, run_with_media):
        paths = sheets_of(run_with_media)
        assert [path.name for path in paths] == ["1-clip0.png", "2-clip1.png", "3-clip2.png"]
        for path in paths:
            assert Image.open(path).size[0] == 4 * (PICTURE_WIDTH + GAP) - GAP

    def test_show_the_pictures_and_shade_those_where_the_network_looked(self, run_with_media):
        image = np.asarray(Image.open(sheets_of(run_with_media)[0]).convert("L"))
        bottom = image.shape[0] - BELOW - 10
        levels = [image[bottom - 10 : bottom, x : x + 100].mean() for x in range(20, 600, PICTURE_WIDTH + GAP)]
        assert levels[0] == pytest.approx(40, abs=6)  # nothing predicted: as it is
        assert levels[1] < 0.8 * 90
        assert levels[2] < 0.8 * 140
        assert levels[3] == pytest.approx(190, abs=6)

    def test_are_the_same_bytes_each_time(self, run_with_media):
        assert [path.read_bytes() for path in sheets_of(run_with_media, "one")] == [
            path.read_bytes() for path in sheets_of(run_with_media, "two")
        ]

    def test_hostile_ids_and_names_neither_leave_the_folder_nor_break_the_drawing(self, make_run):
        run = make_run(("$\\frac{", "a$b$<c>"), clip_prefix="../../x y/$_{^", has_media=False)
        paths = sheets_of(run)
        assert [path.name for path in paths] == ["1-_x_y___0.png", "2-_x_y___1.png", "3-_x_y___2.png"]
        assert all(path.parent == run.root / "report/plots/attention" for path in paths)
        assert not list(run.root.rglob("x y*"))

    def test_of_an_earlier_run_are_removed(self, make_run):
        run = make_run(has_media=False)
        stale = run.root / "report/plots/attention/7-gone.png"
        stale.parent.mkdir(parents=True)
        stale.write_bytes(b"")
        assert stale not in sheets_of(run)
        assert len(sheets_of(run)) == 3

    def test_hold_no_date_and_no_version(self, run_with_media):
        image = Image.open(io.BytesIO(sheets_of(run_with_media)[0].read_bytes()))
        assert not set(image.info) - {"dpi"}

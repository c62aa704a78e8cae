import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from pipeline.drawing.heat import (
    attention_overlays,
    attention_strengths,
    blend,
    encode_png,
    enlarge,
    map_colours,
    matrix_colours,
    overlay_colours,
)
from pipeline.drawing.palette import colours
from pipeline.media.container import read_frames, read_timeline
from pipeline.prediction import picture
from pipeline.prediction.localization.events import LocalizedVideo, Segment
from pipeline.prediction.localization.picture import LEFT, save_picture
from pipeline.prediction.localization.screen import LocalizationScreen
from pipeline.prediction.render import render_video
from pipeline.report.contact_sheets import ABOVE, GAP, PICTURE_WIDTH
from pipeline.store.maps import load_maps, save_maps


def maps_of(*weights):
    return np.array([[*of, *[(1 - sum(of)) / (49 - len(of))] * (49 - len(of))] for of in weights])


class TestAttentionStrengths:
    def test_count_doublings_of_the_even_share_row_by_row(self):
        even = 1 / 16
        weights = np.array([[2 * even, 4 * even, 0, *[even / 4] * 4, 8 * even, *[even / 8] * 8], [even] * 16])
        strengths = attention_strengths(weights)
        assert strengths.shape == (2, 4, 4)
        assert strengths[0, 0, :3] == pytest.approx([0.25, 0.5, 0])
        assert strengths[0, 1, 3] == pytest.approx(0.75)
        assert np.count_nonzero(strengths) == 3

    def test_of_a_weight_do_not_depend_on_other_segments_or_places(self):
        alone, beside = attention_strengths(maps_of([0.2])), attention_strengths(maps_of([0.2, 0.7], [0.99]))
        assert alone[0, 0, 0] == beside[0, 0, 0] == pytest.approx(np.log(0.2 * 49) / np.log(49))

    def test_are_one_where_all_of_the_attention_is_and_zero_where_nothing_was_computed(self):
        strengths = attention_strengths(np.stack([np.eye(9)[4], np.zeros(9)]))
        assert strengths[0].ravel().tolist() == np.eye(9)[4].tolist()
        assert not strengths[1].any()

    @pytest.mark.parametrize("num_positions", [1, 2, 50])
    def test_are_none_where_there_is_no_square_map(self, num_positions):
        weights = np.full((3, num_positions), 1 / num_positions)
        assert attention_strengths(weights) is None
        assert attention_overlays(weights, (True, True, False)) == [None] * 3

    def test_do_not_suffer_from_half_precision(self):
        weights = np.full((1, 49), 1 / 49, np.float16)
        assert attention_strengths(weights).max() < 0.001


class TestOverlays:
    def test_of_an_even_map_change_no_pixel(self):
        even = np.full((3, 49), 1 / 49)
        even[1] += np.linspace(-1e-6, 1e-6, 49)
        for weights in (even, even.astype(np.float16)):
            for overlay in attention_overlays(weights, (True,) * 3):
                assert not overlay[..., 3].any()
                assert (under(overlay) == 100).all()

    def test_make_strong_attention_stand_out_and_weak_attention_not(self):
        contrasts = []
        for even_shares in (1.1, 1.5, 3, 12, 44):
            weights = np.full((1, 49), (1 - even_shares / 49) / 48)
            weights[0, 24] = even_shares / 49
            (overlay,) = attention_overlays(weights, (True,))
            levels = under(overlay).astype(int).max(axis=2)
            contrasts.append(levels[35, 35] - levels[0, 0])
        assert contrasts == sorted(contrasts)
        assert contrasts[0] < 5
        assert contrasts[3] > 80

    def test_lie_over_events_alone(self):
        weights = maps_of([0.5], [0.5], [0.5])
        assert [of is not None for of in attention_overlays(weights, (False, True, False))] == [False, True, False]

    def test_are_a_dark_shade_that_gets_bright_and_opaque(self):
        colours = overlay_colours(np.array([[0.0, 0.2, 0.6, 1.0]]))[0].astype(int)
        brightness, opacity = colours[:, :3].sum(axis=1), colours[:, 3]
        assert brightness[0] < 10
        assert (np.diff(brightness) > 0).all()
        assert (np.diff(opacity) > 0).all()
        assert opacity[-1] < 255

    def test_are_enlarged_without_a_fringe_of_the_colours_that_cannot_be_seen(self):
        overlay = np.zeros((2, 2, 4), np.uint8)
        overlay[0, 0] = (255, 255, 255, 255)
        overlay[1:] = (0, 255, 0, 0)
        assert np.ptp(blend(np.zeros((40, 40, 3), np.uint8), enlarge(overlay, 40, 40)), axis=2).max() == 0


def test_the_report_and_predictions_draw_one_map_alike(tmp_path, make_fake_run):
    """The same clip, attention and events in the page, a contact sheet, a prediction's picture and its video."""
    run = make_fake_run(tmp_path, num_test_clips=1)
    weights = np.random.default_rng(0).dirichlet(np.full(49, 0.05), (1, 4)).astype(np.float16)
    maps = {name: array[:1] for name, array in load_maps(run.root / "evaluate/maps.safetensors")["test"].items()}
    others = load_maps(run.root / "evaluate/maps.safetensors")["val"]
    save_maps(run.root / "evaluate/maps.safetensors", {"test": {**maps, "attention": weights}, "val": others})
    names = ("background", "bell", "bell", "background")
    path = run.root / "raw/videos/video0.mp4"
    segments = tuple(Segment(float(n), n + 1.0, name, 0.5, "bell", 0.5, ()) for n, name in enumerate(names))
    prediction = LocalizedVideo(path, 4.0, segments, (), weights[0].astype(np.float32))
    palette = colours(("bell", "dog"))

    page = run.build()
    (overlay, *_) = re.findall(r'class="attention" src="data:image/png;base64,([^"]+)"', page)
    glow = enlarge(np.asarray(Image.open(io.BytesIO(base64.b64decode(overlay)))), 700, 700)
    expected = at_cells(blend(np.full((700, 700, 3), 90, np.uint8), glow), 0, 0, 700, 700)
    assert np.ptp(expected) > 100

    sheet = pixels_of(run.root / "report/plots/attention/1-clip0.png")
    left, height = PICTURE_WIDTH + GAP, PICTURE_WIDTH * 3 // 4
    assert at_cells(sheet, left, ABOVE, PICTURE_WIDTH, height) == pytest.approx(expected, abs=12)

    save_picture(prediction, tmp_path / "picture.png", segments_per_row=4, colours=palette, notes=["model"])
    column = (picture.WIDTH - LEFT - picture.RIGHT) / 4
    place = (LEFT + 1.01 * column, picture.TITLE, 0.98 * column, min(2.0, column * 3 / 4))
    inches = (picture.DOTS_PER_INCH * value for value in place)
    assert at_cells(pixels_of(tmp_path / "picture.png"), *inches) == pytest.approx(expected, abs=12)

    render_video(
        prediction, tmp_path / "rendered.mp4", lambda shape: LocalizationScreen(prediction, shape, palette, "")
    )
    frame = read_frames(tmp_path / "rendered.mp4", read_timeline(tmp_path / "rendered.mp4"), [15])[15]
    assert at_cells(frame, 0, 0, 320, 240) == pytest.approx(expected, abs=25)  # a quarter of the colours is encoded


def under(overlay):
    return blend(np.full((70, 70, 3), 100, np.uint8), enlarge(overlay, 70, 70))


def pixels_of(path):
    return np.asarray(Image.open(path).convert("RGB"))


def at_cells(image, left, top, width, height):
    """Return the colours in the middles of the 7 x 7 cells of a part of a picture."""
    middles = (np.arange(7) + 0.5) / 7
    rows, columns = (top + middles * height).astype(int), (left + middles * width).astype(int)
    return image[np.ix_(rows, columns)].astype(float)


class TestColours:
    def test_of_a_matrix_are_transparent_only_where_a_pair_was_cut(self):
        colours = matrix_colours(np.array([[0.0, 0.001], [0.5, 0.25]], np.float16))
        assert (colours[..., 3] == 0).tolist() == [[True, False], [False, False]]
        assert len({tuple(pixel) for row in colours for pixel in row}) == 4

    def test_of_an_empty_matrix_are_all_transparent(self):
        assert not matrix_colours(np.zeros((2, 2), np.float16)).any()


def test_a_png_has_the_pixels_and_few_bytes():
    pixels = map_colours(np.linspace(0, 1, 49).reshape(7, 7))
    content = encode_png(pixels)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), pixels)
    assert len(content) < 400

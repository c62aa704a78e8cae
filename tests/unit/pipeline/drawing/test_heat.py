import io

import numpy as np
import pytest
from PIL import Image

from pipeline.drawing.heat import attention_shares, encode_png, map_colours, matrix_colours, overlay_colours


class TestAttentionShares:
    def test_lie_between_the_even_share_and_the_largest_weight_row_by_row(self):
        weights = np.array([[0.7, 0.05, 0.05, 0.0, 0.0, 0.0, 0.0, 0.2, 0.0], [1 / 9] * 9])
        shares = attention_shares(weights)
        assert shares.shape == (2, 3, 3)
        assert shares[0, 0, 0] == 1
        assert shares[0, 2, 1] == pytest.approx((0.2 - 1 / 9) / (0.7 - 1 / 9))
        assert np.count_nonzero(shares) == 2

    def test_of_nearly_even_weights_are_small(self):
        weights = np.array([[0.26, 0.25, 0.25, 0.24]])
        assert attention_shares(weights).max() == pytest.approx(0.01 / (3 * 0.25 - 0.25))

    @pytest.mark.parametrize("num_positions", [1, 2, 50])
    def test_are_none_where_there_is_no_square_map(self, num_positions):
        assert attention_shares(np.full((3, num_positions), 1 / num_positions)) is None

    def test_do_not_suffer_from_half_precision(self):
        weights = np.full((1, 49), 1 / 49, np.float16)
        assert attention_shares(weights).max() < 0.001


class TestColours:
    def test_an_overlay_is_a_dark_shade_that_gets_bright_and_opaque(self):
        colours = overlay_colours(np.array([[0.0, 0.2, 0.6, 1.0]]))[0].astype(int)
        brightness, opacity = colours[:, :3].sum(axis=1), colours[:, 3]
        assert brightness[0] < 10
        assert (np.diff(brightness) > 0).all()
        assert (np.diff(opacity) > 0).all()
        assert opacity[-1] < 255

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

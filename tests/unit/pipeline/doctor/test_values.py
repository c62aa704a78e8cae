"""What is read off the values alone."""

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.doctor.source import open_features
from pipeline.doctor.values import Shape, examine_values, find_levels, pixel_scale, recognise, spread_rows

REPOSITORY = Path(__file__).resolve().parents[4]
GENERATOR = np.random.default_rng(0)
NORMAL = GENERATOR.normal(size=(8, 10, 128)).astype(np.float32)
LEVELS = GENERATOR.integers(0, 256, (8, 10, 128))


@pytest.fixture
def examine(in_memory):
    return lambda rows, num_rows=256, **options: examine_values(in_memory(rows, **options), num_rows)


@pytest.mark.parametrize(
    ("rows", "processing"),
    [
        (np.maximum(NORMAL, 0), "rectified"),
        (np.maximum(NORMAL, 0) + 0.01, "averaged"),
        (NORMAL, "signed"),
        (LEVELS.astype(np.float64), "levels"),
        (LEVELS.astype(np.uint8), "levels"),
        (LEVELS * (4 / 255) - 2, "dequantised"),
        ((LEVELS * (4 / 255) - 2).astype(np.float32), "dequantised"),
        ((LEVELS * (4 / 255) - 2).astype(np.float16), "dequantised"),
        (LEVELS * 0.3 + 1.7, "dequantised"),
        (2 * LEVELS.astype(np.float64), "dequantised"),
        (np.zeros((8, 10, 128)), "few_values"),
        ((NORMAL > 0).astype(np.float64), "few_values"),
    ],
)
def test_the_last_step_shows_in_the_values(rows, processing, examine):
    assert examine(rows).processing == processing


def test_levels_of_audioset_are_known_by_their_step_even_where_not_all_occur(examine):
    rows = (LEVELS % 200 + 20) * (4 / 255) - 2
    assert examine(rows.astype(np.float32)).levels == find_levels(np.unique(rows))
    assert examine(rows).levels.lowest == -2
    assert examine(rows).levels.step == 4 / 255
    assert examine(rows).levels.num_levels == 200


def test_values_beyond_eight_bits_are_no_levels():
    assert find_levels(np.arange(256) * 0.5) is not None
    assert find_levels(np.arange(257) * 0.5) is None
    assert find_levels([0.0, 1.0, 2.0, 300.0]) is None
    assert find_levels([5.0]) is None


@pytest.mark.parametrize(
    ("rows", "in_float32", "in_float16"),
    [
        (NORMAL.astype(np.float64), True, False),
        (NORMAL.astype(np.float64) / 3, False, False),
        (NORMAL.astype(np.float16).astype(np.float64), True, True),
        (np.full_like(NORMAL, 1e5), True, False),
    ],
)
def test_the_type_of_the_computation_shows_in_the_digits(rows, in_float32, in_float16, examine):
    values = examine(rows)
    assert (values.is_float32_exact, values.is_float16_exact) == (in_float32, in_float16)


def test_figures_are_those_of_the_finite_values(examine):
    rows = np.array([[[-3.0, 0.0], [np.nan, 5.0]], [[1.0, np.inf], [0.0, 4.0]]])
    values = examine(rows)
    assert (values.num_rows, values.num_segments, values.num_not_finite) == (2, 4, 2)
    assert (values.minimum, values.maximum) == (-3, 5)
    assert values.mean_magnitude == pytest.approx(13 / 4)
    assert values.zero_share == pytest.approx(2 / 6)
    assert values.negative_share == pytest.approx(1 / 6)


def test_segments_without_a_value_are_counted_and_left_out(examine):
    rows = NORMAL[:, :, :64] + 10
    rows[0, :3] = rows[2, 4] = 0
    valid = np.ones((8, 10), bool)
    valid[0, :2] = False
    values = examine(rows, valid=valid)
    assert (values.num_masked_segments, values.num_zero_segments, values.zero_share) == (2, 2, 0)


VECTORS = np.abs(GENERATOR.normal(size=(3, 10, 8, 2048))).astype(np.float32)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("rows", [VECTORS, VECTORS[:, :, 0]])
def test_vectors_of_length_1_were_normalised_whatever_their_type(rows, dtype, examine):
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    raw, normalised = examine(rows.astype(dtype)), examine((rows / lengths).astype(dtype))
    assert raw.vector_lengths == pytest.approx((lengths.min(), lengths.max()), rel=1e-3)
    assert not raw.is_unit_length
    assert normalised.is_unit_length
    one_is_raw = np.concatenate([rows[:1] / lengths[:1], rows[1:2]])
    assert not examine(one_is_raw).is_unit_length


def test_only_vectors_have_a_length_and_only_those_of_which_it_is_known(examine):
    assert examine(np.ones((2, 3, 7, 7, 512))).vector_lengths is None
    assert examine(np.zeros((2, 10, 8, 2048))).vector_lengths is None
    assert not examine(np.zeros((2, 10, 8, 2048))).is_unit_length
    rows = VECTORS[:, :, 0].astype(np.float64)
    rows[0, 1], rows[1, 2, 3], rows[2, 0] = 0, np.nan, 1e300
    kept = np.ones((3, 10), bool)
    kept[[0, 1, 2], [1, 2, 0]] = False
    lengths = np.linalg.norm(rows[kept], axis=1)
    assert examine(rows).vector_lengths == pytest.approx((lengths.min(), lengths.max()))


def test_rows_that_repeat_another_are_counted_but_not_empty_ones(examine):
    rows = NORMAL.copy()
    rows[3] = rows[5] = rows[1]
    rows[6] = rows[7] = 0
    assert examine(rows).num_equal_rows == 2
    assert examine(NORMAL).num_equal_rows == 0


class TestRowsThatAreRead:
    def test_are_all_where_there_are_few(self, in_memory):
        assert spread_rows(in_memory(NORMAL), 8) == [(0, 8)]

    @pytest.mark.parametrize("block_rows", [1, 7, 64, 5000])
    def test_are_about_as_many_as_asked_for_and_spread_from_end_to_end(self, block_rows, in_memory):
        ranges = spread_rows(in_memory(np.zeros((4143, 1, 4)), block_rows=block_rows), 256)
        rows = [row for start, stop in ranges for row in range(start, stop)]
        assert len(rows) == len(set(rows))
        assert rows == sorted(rows)
        assert max(rows) < 4143
        assert 0.7 * 256 <= len(rows) <= 256
        assert len(ranges) >= 4
        assert min(rows) == 0
        assert max(rows) >= 4143 - 2 * 64

    def test_begin_where_a_chunk_begins(self, in_memory):
        ranges = spread_rows(in_memory(np.zeros((4143, 1, 4)), block_rows=64), 256)
        assert all(start % 64 == 0 for start, _ in ranges)

    def test_are_never_more_at_once_than_a_block(self, in_memory):
        big = np.broadcast_to(np.float64(1), (500, 10, 7, 7, 512))
        most = max(stop - start for start, stop in spread_rows(in_memory(big, block_rows=130), 256))
        assert 10 <= most <= 33

    def test_are_the_only_ones(self, in_memory):
        read = []
        examine_values(in_memory(np.zeros((1000, 2, 4)), on_read=lambda *rows: read.append(rows)), 10)
        assert len(read) == 10


def test_the_scale_of_pixels_is_a_guess_by_the_largest_value(examine):
    maps = np.maximum(GENERATOR.normal(size=(2, 2, 7, 7, 8)), 0)
    maps /= maps.max()
    scales = [pixel_scale(examine(maps * largest)) for largest in (300, 100, 80, 60, 15)]
    assert scales == ["caffe", "caffe", "unclear", "torchvision", "torchvision"]


@pytest.mark.parametrize(
    ("segment_shape", "shape"),
    [
        ((128,), Shape("audio", ("vggish",))),
        ((7, 7, 512), Shape("visual", ("vgg19",))),
        ((512, 7, 7), Shape("visual", ("vgg19",), is_channels_first=True)),
        ((7, 7, 1024), Shape("visual", ("resnet101", "resnet152"))),
        ((1024, 7, 7), Shape("visual", ("resnet101", "resnet152"), is_channels_first=True)),
        ((16, 7, 7, 512), Shape("visual", ("vgg19",), num_stacked=16)),
        ((2048,), Shape("visual", ("resnet152_pooled",))),
        ((8, 2048), Shape("visual", ("resnet152_pooled",), num_stacked=8)),
        ((512,), Shape("visual", ("r2plus1d_18",))),
        ((8, 512), None),
        ((29,), None),
        ((8 * 2048 + 512,), Shape("visual", ("resnet152_pooled",), num_stacked=8, motion="r2plus1d_18")),
        ((2048 + 512,), Shape("visual", ("resnet152_pooled",), motion="r2plus1d_18")),
        ((49 * 512 + 512,), Shape("visual", ("vgg19",), motion="r2plus1d_18")),
        ((49 * 1024 + 512,), Shape("visual", ("resnet101", "resnet152"), motion="r2plus1d_18")),
        ((33 * 2048 + 512,), None),
        ((8 * 2048,), None),
        ((1,), None),
    ],
)
def test_the_shape_of_a_segment_names_the_network(segment_shape, shape):
    assert recognise(segment_shape) == shape


def test_a_released_file_is_raw_after_the_rectifier_and_of_float32():
    folder = Path(os.environ.get("AVEL_REAL_DIR", REPOSITORY.parent / "shared" / "real")) / "ave"
    path = folder / "audio_feature_noisy.h5"
    if not path.is_file():
        pytest.skip(f"no released features in {folder}; set AVEL_REAL_DIR")
    file = open_features(path)
    values = examine_values(file, 256)
    assert (file.shape, file.dtype, values.num_rows) == ((178, 10, 128), np.float64, 178)
    assert (values.processing, values.levels) == ("rectified", None)
    assert (values.is_float32_exact, values.is_float16_exact) == (True, False)
    assert values.zero_share == pytest.approx(0.6527, abs=1e-4)
    assert values.maximum == pytest.approx(4.5373, abs=1e-4)

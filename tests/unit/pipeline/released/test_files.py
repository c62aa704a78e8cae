"""What can be checked about a released file by itself: its layout, its values, the order of its rows."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.core.errors import ShardError
from pipeline.released.files import (
    ReleasedFile,
    Values,
    category_p_value,
    channels_last,
    check_categories,
    check_same_video,
    is_channels_first,
)

REPOSITORY = Path(__file__).resolve().parents[4]


class TestLayout:
    @pytest.mark.parametrize(
        ("shape", "is_first"),
        [((10, 7, 7, 512), False), ((10, 512, 7, 7), True), ((9, 1, 1, 3), False), ((9, 3, 1, 1), True)],
    )
    def test_the_equal_sides_of_a_map_tell_where_the_channels_are(self, shape, is_first):
        assert is_channels_first(shape, "visual", "x") is is_first
        assert channels_last(np.zeros(shape), is_channels_first=is_first).shape[1] in (7, 1)

    @pytest.mark.parametrize(
        "shape", [(10, 7, 7, 7), (10, 6, 7, 512), (10, 512), (10, 2, 7, 7, 512), (0, 7, 7, 512), ()]
    )
    def test_what_is_no_square_map_or_not_to_be_told_is_refused(self, shape):
        with pytest.raises(ShardError, match=r"x: expected visual features \(T, H, W, C\) or \(T, C, H, W\)"):
            is_channels_first(shape, "visual", "x")

    @pytest.mark.parametrize("shape", [(10, 512), (10, 8, 512), (10, 7, 7, 512)])
    def test_vectors_and_stacks_are_taken_where_networks_take_them(self, shape):
        assert not is_channels_first(shape, "visual", "x", may_be_vectors=True)

    @pytest.mark.parametrize("shape", [(512,), (0, 512), (10, 0, 512), (10, 7, 7, 7), (10, 2, 7, 7, 512)])
    def test_what_is_no_vector_either_is_refused(self, shape):
        with pytest.raises(ShardError, match=r"expected visual features \(T, C\), \(T, K, C\), \(T, H, W, C\) or"):
            is_channels_first(shape, "visual", "x", may_be_vectors=True)

    @pytest.mark.parametrize("shape", [(10, 127), (128,), (0, 128), (10, 128, 1)])
    def test_audio_is_128_wide(self, shape):
        assert not is_channels_first((3, 128), "audio", "x")
        with pytest.raises(ShardError, match=r"x: expected audio features \(T, 128\) per clip, found"):
            is_channels_first(shape, "audio", "x")


class TestReading:
    @pytest.fixture
    def path(self, tmp_path) -> Path:
        return tmp_path / "visual_feature.h5"

    def test_chunks_that_would_fill_the_memory_are_refused(self, path, monkeypatch):
        with h5py.File(path, "w") as file:
            file.create_dataset("avadataset", (400, 2, 3, 3, 4), "float64", chunks=(400, 2, 3, 3, 4))
        monkeypatch.setattr("pipeline.released.files.LARGEST_CHUNK_BYTES", 200_000)
        with pytest.raises(
            ShardError, match=r"expected chunks of at most .*, found \(400, 2, 3, 3, 4\) of .* MiB; write it"
        ):
            ReleasedFile(path, "visual", 2)

    def test_a_data_set_without_any_value_is_refused(self, path):
        with h5py.File(path, "w") as file:
            file["avadataset"] = h5py.Empty("float64")
        with pytest.raises(ShardError, match=r"expected rows \(T, \.\.\.\) of float16, float32 or float64, found \(\)"):
            ReleasedFile(path, "visual", 2)

    @pytest.mark.parametrize("chunks", [None, (1, 2, 3, 3, 4), (7, 1, 3, 3, 2), (50, 2, 1, 1, 4)])
    @pytest.mark.parametrize("block_bytes", [1, 5 * 2 * 36 * 8, 2**25])
    def test_rows_are_the_same_however_they_are_stored_and_read(self, block_bytes, chunks, path, monkeypatch):
        monkeypatch.setattr("pipeline.released.files.BLOCK_BYTES", block_bytes)
        features = np.random.default_rng(0).random((50, 2, 3, 3, 4))
        with h5py.File(path, "w") as file:
            file.create_dataset("avadataset", data=features, chunks=chunks)
        with ReleasedFile(path, "visual", 2) as released:
            np.testing.assert_array_equal(np.stack(list(released)), features)
            np.testing.assert_array_equal(released.row(49), features[49])
            assert (released.num_rows, released.feature_shape) == (50, (3, 3, 4))

    @pytest.mark.parametrize(
        ("rows_per_chunk", "block_rows", "largest_rows", "expected"),
        [(None, 5, 20, 5), (1, 5, 20, 5), (2, 5, 20, 4), (8, 5, 20, 8), (30, 5, 20, 20)],
    )
    def test_chunks_are_read_whole_unless_they_span_too_many_rows(
        self, rows_per_chunk, block_rows, largest_rows, expected, path, monkeypatch
    ):
        row_bytes = 2 * 36 * 8
        monkeypatch.setattr("pipeline.released.files.BLOCK_BYTES", block_rows * row_bytes)
        monkeypatch.setattr("pipeline.released.files.LARGEST_BLOCK_BYTES", largest_rows * row_bytes)
        with h5py.File(path, "w") as file:
            chunks = rows_per_chunk and (rows_per_chunk, 1, 1, 1, 4)
            file.create_dataset("avadataset", (40, 2, 3, 3, 4), "float64", chunks=chunks)
        sizes = []
        read = ReleasedFile._read
        monkeypatch.setattr(
            ReleasedFile, "_read", lambda self, rows: sizes.append(rows.stop - rows.start) or read(self, rows)
        )
        with ReleasedFile(path, "visual", 2) as released:
            assert len(list(released)) == 40
        assert set(sizes) == {expected}

    def test_a_refused_file_is_closed(self, path):
        with h5py.File(path, "w") as file:
            file["avadataset"] = np.zeros((5, 2, 3))
        with pytest.raises(ShardError, match="visual features") as caught:
            ReleasedFile(path, "visual", 2)
        with h5py.File(path, "a"):  # HDF5 refuses to write to what is open for reading
            del caught  # which until here held what was opened


class TestValues:
    def test_nothing_of_a_refused_clip_is_counted(self):
        values = Values(np.dtype("float16"), may_be_negative=False)
        values.add(np.array([[1.0, 2.0]]), "a")
        with pytest.raises(ShardError, match="b segment 1: expected finite"):
            values.add(np.array([[5.0, 5.0], [np.nan, 5.0]]), "b")
        assert values.facts()["maximum"] == 2
        assert values.facts()["share_of_zeros"] == 0

    def test_rounding_is_to_the_nearest_value_of_the_storage_type(self):
        values = Values(np.dtype("float16"), may_be_negative=True)
        stored = values.add(np.array([[1 + 2**-12, -2049.0, 0.0, 1e-9]]), "a")
        np.testing.assert_array_equal(stored, np.array([[1.0, -2048.0, 0.0, 0.0]], np.float16))
        rounding = values.facts()["rounding"]
        assert rounding["largest_error"] == 1.0
        assert rounding["mean_error"] == (2**-12 + 1.0 + 0.0 + 1e-9) / 4
        assert rounding["largest_error_by_largest_magnitude"] == 1 / 2049

    def test_features_of_nothing_but_zeros_have_facts_too(self):
        values = Values(np.dtype("float16"), may_be_negative=False)
        values.add(np.zeros((3, 2)), "a")
        facts = values.facts()
        assert (facts["share_of_zeros"], facts["num_zero_segments"]) == (1, 3)
        assert facts["rounding"]["largest_error_by_largest_magnitude"] == 0


def make_means(
    num_rows: int, *, signal: float, share: float, nuisance: float = 0.0, num_categories: int = 28, seed: int = 0
) -> tuple[np.ndarray, list[str]]:
    """Return means (N, 128) of which a share of the dimensions says something of the category, and the categories.

    `nuisance` is how much all dimensions vary together, as they do with brightness or loudness.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_categories, num_rows)
    tastes = signal * rng.standard_normal((num_categories, 128))
    tastes[:, round(share * 128) :] = 0
    common = nuisance * rng.standard_normal((num_rows, 1)) * rng.standard_normal(128)
    return rng.standard_normal((num_rows, 128)) + common + tastes[labels], [f"Category {label}" for label in labels]


class TestCategories:
    @pytest.mark.parametrize(
        "settings",
        [
            {"signal": 0.3, "share": 1.0},  # weak everywhere
            {"signal": 0.6, "share": 0.1},  # in few dimensions
            {"signal": 0.6, "share": 0.1, "nuisance": 3.0},  # drowned by what all dimensions share
        ],
    )
    def test_a_weak_signal_is_seen_in_the_right_order_and_not_in_another(self, settings):
        for seed in range(5):
            means, categories = make_means(300, seed=seed, **settings)
            assert category_p_value(means, categories) == 0.005
            shuffled = np.random.default_rng(seed).permutation(means)
            with pytest.raises(ShardError, match="say nothing about the categories in this order"):
                check_categories(Path("x.h5"), shuffled, [str(row) for row in range(300)], categories)

    def test_a_signal_in_one_strong_direction_is_seen(self):
        """Components made equal would lose it among the others; the dimensions as they are do not."""
        rng = np.random.default_rng(1)
        labels = rng.integers(0, 28, 300)
        direction = rng.standard_normal(300) + 0.5 * rng.standard_normal(28)[labels]
        means = rng.standard_normal((300, 128)) + 3 * direction[:, None] * rng.standard_normal(128)
        assert category_p_value(means, [str(label) for label in labels]) == 0.005

    def test_half_a_file_in_order_passes_which_is_a_limit(self):
        means, categories = make_means(300, signal=0.6, share=0.5)
        means[150:] = np.random.default_rng(0).permutation(means[150:])
        assert category_p_value(means, categories) == 0.005

    def test_noise_is_as_often_below_a_level_as_the_level_says(self):
        p_values = [category_p_value(*make_means(60, signal=0, share=1, seed=seed)) for seed in range(100)]
        assert 0.27 < np.mean(np.array(p_values) <= 0.4) < 0.53
        assert np.mean(np.array(p_values) <= 0.01) <= 0.03

    @pytest.mark.parametrize("categories", [["a"] * 120, [str(row) for row in range(120)]])
    def test_categories_that_tell_no_order_from_another_decide_nothing(self, categories):
        means = np.random.default_rng(0).random((120, 5))
        assert category_p_value(means, categories) is None
        assert check_categories(Path("x.h5"), means, categories, categories)["p_value"] is None

    def test_dimensions_that_never_vary_do_not_matter(self):
        means, categories = make_means(120, signal=1.0, share=1.0)
        means[:, ::2] = 0.1
        assert category_p_value(means, categories) == 0.005
        assert category_p_value(np.full((120, 5), 0.1), categories) == 1


@pytest.fixture(scope="module")
def real_annotations() -> list[list[str]]:
    folder = Path(os.environ.get("AVEL_REAL_DIR", REPOSITORY.parent / "shared" / "real")) / "ave"
    if not (folder / "Annotations.txt").is_file():
        pytest.skip(f"no real AVE annotations in {folder}; set AVEL_REAL_DIR")
    return [line.split("&") for line in (folder / "Annotations.txt").read_text().splitlines()]


def test_the_46_pairs_of_rows_of_the_real_annotations_tell_orders_apart(real_annotations, tmp_path):
    video_ids = [fields[1] for fields in real_annotations]
    first_row: dict[str, int] = {}
    numbers = [first_row.setdefault(video_id, row) for row, video_id in enumerate(video_ids)]
    features = np.ones((len(video_ids), 1, 128))
    features[:, 0, 0] += numbers

    def check(values: np.ndarray) -> dict:
        path = tmp_path / "audio_feature.h5"
        with h5py.File(path, "w") as file:
            file["avadataset"] = values
        with ReleasedFile(path, "audio", 1) as released:
            return check_same_video(released, video_ids)

    assert check(features) == {"num_pairs": 46, "differing": []}
    with pytest.raises(ShardError, match=r"different features there, and in 4\d of all 46 such pairs; use"):
        check(np.random.default_rng(0).permutation(features))
    with pytest.raises(ShardError, match="the file looks sorted by video id; use"):
        check(features[sorted(range(len(video_ids)), key=lambda row: video_ids[row])])

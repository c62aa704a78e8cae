"""Which files are features, and what is read of them."""

import json
import pickle
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.core.errors import ShardError
from pipeline.core.files import sha256_of_file
from pipeline.doctor.source import frames_by_segment, open_features
from pipeline.store.shards import ShardFile, ShardIndex, ShardRow, write_shard

ROWS = np.random.default_rng(0).random((5, 3, 128))


def shard_rows(*names, seed=0, channels=4):
    values = np.random.default_rng(seed).random((len(names), 3, channels)).astype(np.float32)
    valid = np.array([True, True, False])
    return [ShardRow(name, "0" * 64, values[n] * valid[:, None], valid) for n, name in enumerate(names)]


@pytest.fixture
def write_folder(tmp_path):
    def write(*shards):
        entries = []
        for number, rows in enumerate(shards):
            path = tmp_path / "audio" / f"shard-{number:05d}.h5"
            write_shard(path, rows, {"modality": "audio"})
            entries.append(ShardFile(path.name, sha256_of_file(path), len(rows)))
        index = ShardIndex("audio", {"backbone": "vggish"}, "random:1", sum(map(len, shards)), tuple(entries))
        (tmp_path / "audio").mkdir(exist_ok=True)
        index.save(tmp_path / "audio")
        return tmp_path / "audio"

    return write


@pytest.mark.parametrize("name", ["avadataset", "dataset"])
def test_a_released_file_is_rows_of_unknown_videos(name, write_released):
    file = open_features(write_released(ROWS, name=name))
    assert (file.shape, file.dtype, file.num_rows, file.num_segments) == ((5, 3, 128), np.float64, 5, 3)
    assert (file.video_ids, file.valid, file.recipe) == (None, None, None)
    np.testing.assert_array_equal(file.read(1, 3), ROWS[1:3])


def test_rows_of_one_chunk_are_stored_together(write_released):
    assert open_features(write_released(ROWS, chunks=(2, 3, 16), compression="gzip")).block_rows == 2
    assert open_features(write_released(ROWS)).block_rows == 1


def test_a_shard_knows_its_videos_its_mask_and_its_recipe(tmp_path):
    rows = shard_rows("x", "y")
    write_shard(tmp_path / "s.h5", rows, {"recipe": json.dumps({"weights": "random:7"})})
    file = open_features(tmp_path / "s.h5")
    assert (file.video_ids, file.recipe) == (("x", "y"), {"weights": "random:7"})
    np.testing.assert_array_equal(file.valid, [[True, True, False]] * 2)
    np.testing.assert_array_equal(file.read(1, 2)[0], rows[1].features)


def test_the_shards_of_a_folder_are_read_as_one(write_folder):
    first, second = shard_rows("a", "b"), shard_rows("c", "d", "e", seed=1)
    file = open_features(write_folder(first, second))
    assert (file.shape, file.video_ids, file.recipe) == ((5, 3, 4), tuple("abcde"), {"backbone": "vggish"})
    assert file.valid.shape == (5, 3)
    everything = np.stack([row.features for row in (*first, *second)])
    for start, stop in ((0, 5), (1, 3), (2, 4), (4, 5), (0, 2)):
        np.testing.assert_array_equal(file.read(start, stop), everything[start:stop])


def test_an_array_is_rows_or_one_clip_by_its_axes(tmp_path):
    np.save(tmp_path / "rows.npy", ROWS)
    np.save(tmp_path / "x1.npy", ROWS[0])
    np.save(tmp_path / "x2.npy", np.zeros((3, 7, 7, 512), np.float16))
    rows, clip, maps = (open_features(tmp_path / name) for name in ("rows.npy", "x1.npy", "x2.npy"))
    assert (rows.shape, rows.video_ids) == ((5, 3, 128), None)
    assert (clip.shape, clip.video_ids) == ((1, 3, 128), ("x1",))
    assert (maps.shape, maps.video_ids) == ((1, 3, 7, 7, 512), ("x2",))
    np.testing.assert_array_equal(clip.read(0, 1)[0], ROWS[0])


def test_frames_of_a_clip_are_put_into_its_segments(tmp_path):
    frames = np.random.default_rng(0).random((80, 2048))
    np.save(tmp_path / "BjCEufrlXm4.npy", frames)
    clip = frames_by_segment(open_features(tmp_path / "BjCEufrlXm4.npy"), 10)
    assert (clip.shape, clip.video_ids) == ((1, 10, 8, 2048), ("BjCEufrlXm4",))
    read = clip.read(0, 1)
    assert read.shape == clip.shape
    np.testing.assert_array_equal(read[0, 3, 5], frames[3 * 8 + 5])
    np.save(tmp_path / "rows.npy", np.stack([frames, frames + 1, frames + 2]))
    rows = frames_by_segment(open_features(tmp_path / "rows.npy"), 10)
    np.testing.assert_array_equal(rows.read(1, 3)[:, 9, 7], np.stack([frames[79] + 1, frames[79] + 2]))


def test_rows_that_are_no_frames_of_segments_stay(tmp_path):
    np.save(tmp_path / "clip.npy", np.zeros((80, 2048)))
    clip = open_features(tmp_path / "clip.npy")
    for num_segments in (80, 7, 100):
        assert frames_by_segment(clip, num_segments) is clip
    write_shard(tmp_path / "shard.h5", shard_rows("a"), {})
    shard = open_features(tmp_path / "shard.h5")
    assert frames_by_segment(shard, 1) is shard, "a shard says itself which segments there are"


class TestRefusals:
    """Each is one line that names the file."""

    @pytest.fixture
    def refuses(self):
        def check(path, message):
            with pytest.raises(ShardError, match=re.escape(message)) as caught:
                open_features(path)
            text = str(caught.value)
            assert "\n" not in text
            assert text.startswith(str(path))

        return check

    def test_what_is_not_there(self, tmp_path, refuses):
        refuses(tmp_path / "none.h5", "expected a file of features, found no file; name a shard")

    def test_another_format(self, tmp_path, refuses):
        (tmp_path / "features.pkl").write_bytes(b"\x80\x04K\x01.")
        refuses(tmp_path / "features.pkl", "expected HDF5 or .npy, found another format")

    def test_a_folder_without_an_index(self, tmp_path):
        with pytest.raises(ShardError, match=r"index\.json: expected an index of shards, found no file"):
            open_features(tmp_path)

    def test_a_folder_of_no_shards(self, write_folder, refuses):
        refuses(write_folder(), "expected shards, found an index of none")

    def test_shards_of_several_shapes(self, write_folder):
        with pytest.raises(ShardError, match=r"shard-00001\.h5: expected .*4.*, found .*8"):
            open_features(write_folder(shard_rows("a"), shard_rows("b", channels=8)))

    def test_hdf5_without_a_known_data_set(self, write_released, refuses):
        refuses(write_released(ROWS, name="order"), "or a data set named avadataset or dataset, found order")

    def test_an_hdf5_group_of_a_known_name(self, tmp_path, refuses):
        with h5py.File(tmp_path / "f.h5", "w") as file:
            file.create_group("dataset")
        refuses(tmp_path / "f.h5", "found dataset")

    def test_hdf5_that_is_cut_off(self, write_released, refuses):
        path = write_released(ROWS)
        path.write_bytes(path.read_bytes()[:-4000])
        refuses(path, "expected an HDF5 file, found one that is cut off or damaged")

    @pytest.mark.parametrize("rows", [ROWS[:, 0], ROWS[:0], np.array([[[b"text"]]]), ROWS.astype(complex)])
    def test_what_is_no_table_of_numbers(self, rows, write_released, refuses):
        refuses(write_released(rows), "expected numbers of shape (rows, segments, ...)")

    def test_rows_beyond_any_clip_though_the_file_is_small(self, tmp_path, refuses):
        with h5py.File(tmp_path / "f.h5", "w") as file:
            file.create_dataset("dataset", (4, 10, 10**9), "f4", chunks=(1, 1, 1024))
        refuses(tmp_path / "f.h5", "at most 256 MB a row")

    def test_python_objects(self, tmp_path, refuses):
        np.save(tmp_path / "f.npy", np.array([{"a": 1}]), allow_pickle=True)
        refuses(tmp_path / "f.npy", "or Python objects, which are not loaded")

    def test_a_pickle_which_is_not_run(self, tmp_path, refuses):
        class Harm:
            def __reduce__(self):
                return Path.touch, (tmp_path / "harm",)

        (tmp_path / "f.npy").write_bytes(pickle.dumps(Harm()))
        refuses(tmp_path / "f.npy", "or Python objects, which are not loaded")
        assert not (tmp_path / "harm").exists()

    def test_an_archive_of_arrays(self, tmp_path, refuses):
        np.savez(tmp_path / "f.npz", ROWS)
        (tmp_path / "f.npz").rename(tmp_path / "f.npy")
        refuses(tmp_path / "f.npy", "found a damaged file, an archive")

    def test_an_array_that_is_cut_off(self, tmp_path, refuses):
        np.save(tmp_path / "f.npy", ROWS)
        (tmp_path / "f.npy").write_bytes((tmp_path / "f.npy").read_bytes()[:-100])
        refuses(tmp_path / "f.npy", "expected an array of numbers, found a damaged file")

    @pytest.mark.parametrize("recipe", ["{", "[1]"])
    def test_a_shard_with_a_recipe_that_is_none(self, recipe, tmp_path, refuses):
        write_shard(tmp_path / "s.h5", shard_rows("x"), {"recipe": recipe})
        refuses(tmp_path / "s.h5", "expected a recipe in JSON")


def test_damaged_data_is_noticed_when_it_is_read(write_released):
    path = write_released(ROWS, chunks=(5, 3, 128), compression="gzip", fletcher32=True)
    with h5py.File(path, "r") as file:
        place = file["avadataset"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 100 : place + 120] = bytes(20)
    path.write_bytes(content)
    file = open_features(path)
    with pytest.raises(ShardError, match="expected rows 0 to 0, found damaged data"):
        file.read(0, 1)

"""The file format of features: what goes in comes out, the same rows are the same bytes, every fault has its line."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.core.errors import ShardError
from pipeline.core.files import sha256_of_file
from pipeline.store.shards import (
    LEDGER_COLUMNS,
    SCHEMA,
    LedgerRow,
    Shard,
    ShardFile,
    ShardIndex,
    ShardRow,
    load_index,
    load_ledger,
    require_recipe,
    save_ledger,
    verify_shard,
    write_shard,
)

ATTRIBUTES = {"modality": "audio", "recipe": '{"weights": "random:1"}', "weights_sha256": "random:1", "code": "0" * 16}
INDEX = ShardIndex("audio", {"weights": "random:1", "storage": "float16"}, "random:1", 3, (ShardFile("a.h5", "0", 3),))


def make_rows(num_videos: int = 3, *, shape: tuple[int, ...] = (10, 4), dtype: str = "float16") -> list[ShardRow]:
    rng = np.random.default_rng(0)
    names = ["plain", "ünïcode", "-_-Ab3", *map(str, range(num_videos))][:num_videos]
    return [
        ShardRow(name, f"{number:064x}", rng.random(shape).astype(dtype), rng.random(shape[0]) > 0.2)
        for number, name in enumerate(names)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shard-00000.h5"


class TestRoundTrip:
    @pytest.mark.parametrize(("shape", "dtype"), [((10, 7, 7, 8), "float16"), ((10, 128), "float32"), ((3, 4), "f2")])
    def test_rows_come_back_as_they_were(self, shape, dtype, path):
        rows = make_rows(shape=shape, dtype=dtype)
        write_shard(path, rows, ATTRIBUTES)
        with Shard(path) as shard:
            assert shard.video_ids == [row.video_id for row in rows]
            assert shard.content_hashes == [row.sha256 for row in rows]
            assert shard.features.dtype == np.dtype(dtype)
            for position, row in enumerate(rows):
                read = shard.row(position)
                assert (read.video_id, read.sha256) == (row.video_id, row.sha256)
                np.testing.assert_array_equal(read.features, row.features)
                np.testing.assert_array_equal(read.valid, row.valid)
                np.testing.assert_array_equal(shard.valid[position], row.valid)

    def test_a_video_is_a_chunk_and_attributes_are_plain_text(self, path):
        write_shard(path, make_rows(shape=(10, 7, 7, 8)), ATTRIBUTES)
        with h5py.File(path) as file:
            assert file["features"].chunks == (1, 10, 7, 7, 8)
            assert dict(file.attrs) == {"schema": SCHEMA, **ATTRIBUTES}

    def test_the_same_rows_are_the_same_bytes(self, path):
        other = path.with_name("other.h5")
        write_shard(path, make_rows(), ATTRIBUTES)
        write_shard(other, make_rows(), dict(reversed(ATTRIBUTES.items())))
        assert path.read_bytes() == other.read_bytes()

    def test_rows_may_be_made_one_after_the_other(self, path):
        other = path.with_name("other.h5")
        write_shard(path, make_rows(), ATTRIBUTES)
        write_shard(other, iter(make_rows()), ATTRIBUTES, num_rows=3)
        assert path.read_bytes() == other.read_bytes()
        with pytest.raises(ValueError, match="longer"):
            write_shard(other, iter(make_rows()), ATTRIBUTES, num_rows=2)

    @pytest.mark.parametrize("change", ["features", "valid", "sha256", "attributes"])
    def test_anything_else_is_other_bytes(self, change, path):
        write_shard(path, make_rows(), ATTRIBUTES)
        before = path.read_bytes()
        rows, attributes = make_rows(), ATTRIBUTES
        if change == "features":
            rows[1] = replace(rows[1], features=rows[1].features + np.float16(1))
        elif change == "valid":
            rows[1] = replace(rows[1], valid=~rows[1].valid)
        elif change == "sha256":
            rows[1] = replace(rows[1], sha256="f" * 64)
        else:
            attributes = {**ATTRIBUTES, "code": "1" * 16}
        write_shard(path, rows, attributes)
        assert path.read_bytes() != before


class TestWriting:
    def test_no_row_is_refused(self, path):
        with pytest.raises(ShardError, match="expected at least one row, found none"):
            write_shard(path, [], ATTRIBUTES)

    @pytest.mark.parametrize(
        ("features", "found"),
        [(np.zeros((10, 5), np.float16), r"\(10, 5\) float16"), (np.zeros((10, 4), np.float32), r"\(10, 4\) float32")],
    )
    def test_a_row_of_another_recipe_is_refused(self, features, found, path):
        rows = make_rows()
        rows[2] = replace(rows[2], features=features)
        with pytest.raises(ShardError, match=rf"features of -_-Ab3: expected \(10, 4\) float16, found {found}"):
            write_shard(path, rows, ATTRIBUTES)

    @pytest.mark.parametrize("value", [np.nan, np.inf, 70000.0])
    def test_what_float16_cannot_hold_is_refused_and_the_old_file_stays(self, value, path):
        write_shard(path, make_rows(), ATTRIBUTES)
        before = path.read_bytes()
        rows = make_rows()
        features = rows[1].features.astype(np.float32)
        features[3, 2] = value
        with np.errstate(over="ignore"):
            rows[1] = replace(rows[1], features=features.astype(np.float16))
        with pytest.raises(
            ShardError, match="features of ünïcode: expected finite float16 values, found infinity or NaN"
        ):
            write_shard(path, rows, ATTRIBUTES)
        assert path.read_bytes() == before
        assert [file.name for file in path.parent.iterdir()] == [path.name]


class TestOpening:
    def test_a_missing_file_is_named(self, path):
        with pytest.raises(ShardError, match=r"shard-00000\.h5: expected a feature shard, found no readable HDF5 file"):
            Shard(path)

    @pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n" + bytes(100)])
    def test_what_is_no_hdf5_is_refused(self, content, path):
        path.write_bytes(content)
        with pytest.raises(ShardError, match="found no readable HDF5 file; run the extraction again"):
            Shard(path)

    def test_a_truncated_file_is_refused(self, path):
        write_shard(path, make_rows(), ATTRIBUTES)
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(ShardError, match="found no readable HDF5 file"):
            Shard(path)

    @pytest.mark.parametrize("schema", [None, "avel-features/2"])
    def test_another_schema_is_refused(self, schema, path):
        write_shard(path, make_rows(), ATTRIBUTES)
        with h5py.File(path, "a") as file:
            del file.attrs["schema"]
            if schema:
                file.attrs["schema"] = schema
        with pytest.raises(ShardError, match=f"expected schema avel-features/1, found {schema}"):
            Shard(path)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("features", None),
            ("features", np.zeros(3, np.float16)),
            ("features", np.zeros((3, 10, 4), np.int16)),
            ("valid", np.zeros((2, 10), bool)),
            ("valid", np.zeros((3, 9), bool)),
            ("valid", np.zeros((3, 10), np.int8)),
            ("video_id", None),
            ("video_id", np.array([b"a", b"b"])),
            ("video_id", np.arange(3)),
            ("sha256", "a group"),
        ],
    )
    def test_arrays_that_do_not_belong_together_are_refused(self, name, value, path):
        write_shard(path, make_rows(), ATTRIBUTES)
        with h5py.File(path, "a") as file:
            del file[name]
            if isinstance(value, str):
                file.create_group(name)
            elif value is not None:
                file[name] = value
        with pytest.raises(ShardError, match=rf"expected features \(N, T, \.\.\.\), .*found features .*{name} "):
            Shard(path)


class TestVerify:
    def test_the_right_hash_passes(self, path):
        write_shard(path, make_rows(), ATTRIBUTES)
        verify_shard(path, sha256_of_file(path))

    def test_a_changed_bit_is_found(self, path):
        write_shard(path, make_rows(), ATTRIBUTES)
        sha256 = sha256_of_file(path)
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        with pytest.raises(
            ShardError, match=r"the file was changed or damaged; delete it, with its copy in \.dvc/cache"
        ):
            verify_shard(path, sha256)

    def test_a_missing_shard_is_named(self, path):
        with pytest.raises(ShardError, match=r"shard-00000\.h5: expected a shard, found no file"):
            verify_shard(path, "0")


class TestIndex:
    def test_comes_back_as_it_was(self, tmp_path):
        INDEX.save(tmp_path)
        assert load_index(tmp_path) == INDEX

    def test_carries_the_hash_of_its_recipe(self, tmp_path):
        INDEX.save(tmp_path)
        content = json.loads((tmp_path / "index.json").read_text(encoding="utf-8"))
        assert content["recipe_hash"] == INDEX.recipe_hash
        assert replace(INDEX, recipe={**INDEX.recipe, "storage": "float32"}).recipe_hash != INDEX.recipe_hash

    def test_that_is_missing_says_what_to_run(self, tmp_path):
        with pytest.raises(
            ShardError, match=r"index\.json: expected an index of shards, found no file; run `dvc repro"
        ):
            load_index(tmp_path)

    @pytest.mark.parametrize(
        "content",
        ["", "{", "[]", '"text"', "{}", '{"schema": "avel-features/2"}', '{"schema": "avel-features/1"}'],
    )
    def test_that_is_something_else_is_refused(self, content, tmp_path):
        (tmp_path / "index.json").write_text(content)
        with pytest.raises(ShardError, match=r"index\.json: expected a avel-features/1 index, found .*; extract the"):
            load_index(tmp_path)

    @pytest.mark.parametrize("key", ["modality", "recipe", "weights_sha256", "num_videos", "shards", "recipe_hash"])
    def test_without_a_key_is_refused(self, key, tmp_path):
        INDEX.save(tmp_path)
        content = json.loads((tmp_path / "index.json").read_text(encoding="utf-8"))
        del content[key]
        (tmp_path / "index.json").write_text(json.dumps(content))
        with pytest.raises(ShardError, match=key):
            load_index(tmp_path)


class TestRequireRecipe:
    def test_returns_the_index_of_the_same_recipe(self, tmp_path):
        INDEX.save(tmp_path)
        assert require_recipe(tmp_path, dict(reversed(INDEX.recipe.items()))) == INDEX

    def test_names_every_parameter_that_differs(self, tmp_path):
        INDEX.save(tmp_path)
        message = (
            "found frames is None instead of 16, storage is 'float16' instead of 'float32', weights is 'random:1' in"
        )
        with pytest.raises(ShardError, match=message):
            require_recipe(tmp_path, {"storage": "float32", "frames": 16})


class TestLedger:
    ROWS = (
        LedgerRow("a", "ok", "ok", "1" * 10, "10.00", "250 frames"),
        LedgerRow("=b,c", "partial", "truncated", "1110000000", "3.04", 'said "so",\nand more'),
        LedgerRow("ü", "failed", "not_media", "", "", ""),
    )

    def test_comes_back_as_it_was(self, tmp_path):
        path = tmp_path / "ledger.csv"
        save_ledger(path, self.ROWS)
        assert load_ledger(path) == list(self.ROWS)
        assert path.read_text(encoding="utf-8").splitlines()[0] == ",".join(LEDGER_COLUMNS)

    def test_of_no_video_is_only_its_header(self, tmp_path):
        save_ledger(tmp_path / "ledger.csv", [])
        assert load_ledger(tmp_path / "ledger.csv") == []

    def test_that_is_missing_or_something_else_is_refused(self, tmp_path):
        path = tmp_path / "ledger.csv"
        with pytest.raises(
            ShardError, match=r"ledger\.csv: expected a ledger with the columns video_id, .*found no file"
        ):
            load_ledger(path)
        path.write_text("video_id,state\na,ok\n")
        with pytest.raises(ShardError, match="found others"):
            load_ledger(path)

    def test_of_before_the_sampling_offset_is_read_without_one(self, tmp_path):
        path = tmp_path / "ledger.csv"
        path.write_text("video_id,status,reason,valid,seconds,detail\na,ok,ok,11,2.00,50 frames\n")
        assert load_ledger(path) == [LedgerRow("a", "ok", "ok", "11", "2.00", "50 frames", "")]

    @pytest.mark.parametrize(
        ("row", "found"), [(b"a,ok,ok", "a row of fewer values"), (b"a,,,,,,,", "others"), (b"\xff,,,,,,", "others")]
    )
    def test_with_a_damaged_row_is_refused(self, row, found, tmp_path):
        path = tmp_path / "ledger.csv"
        path.write_bytes(",".join(LEDGER_COLUMNS).encode() + b"\n" + row + b"\n")
        with pytest.raises(ShardError, match=f"found {found}; run the extraction again"):
            load_ledger(path)


@pytest.mark.parametrize(
    ("recipe", "origin"),
    [({"weights": "random:1"}, "random:1"), ({"source": "released", "release": "ave"}, "released")],
)
def test_an_index_says_what_its_features_were_made_with(recipe: dict[str, str], origin: str) -> None:
    assert ShardIndex("audio", recipe, "00", 0, ()).origin == origin

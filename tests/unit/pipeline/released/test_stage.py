"""Feature files as authors distribute them: everything goes to the right video, and whatever is wrong has its line."""

import hashlib
import json
import logging
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import h5py
import numpy as np
import pytest

from pipeline.core.errors import AnnotationError, PipelineError, ShardError
from pipeline.core.files import sha256_of_file
from pipeline.features.recipes import LLP_LAYOUT, Modality, released_recipe
from pipeline.params.schema import Params, load_params
from pipeline.released.stage import import_features
from pipeline.store.manifest import VideoFile
from pipeline.store.shards import LedgerRow, Shard, load_index, load_ledger

REPOSITORY = Path(__file__).resolve().parents[4]
NUM_ROWS, NUM_CATEGORIES, NUM_SEGMENTS = 120, 4, 10
PAIRS = ((3, 50), (7, 71), (20, 119))
"""Rows that are of one video; that of row 20 comes last."""

SHAPES: dict[Modality, tuple[int, ...]] = {"visual": (2, 2, 6), "audio": (128,)}


def make_video_ids(num_rows: int = NUM_ROWS, pairs: Sequence[tuple[int, int]] = PAIRS) -> list[str]:
    """Return an id per row, in no alphabetical order."""
    ids = [hashlib.sha256(str(row).encode()).hexdigest()[:11] for row in range(num_rows)]
    for first, second in pairs:
        ids[second] = ids[first]
    return ids


def make_features(
    video_ids: Sequence[str], shape: tuple[int, ...], *, num_categories: int = NUM_CATEGORIES, signal: float = 1.0
) -> np.ndarray:
    """Return features (N, T, ...) that are equal for one video and of which some say `signal` of the category."""
    rng = np.random.default_rng(1)
    features = np.maximum(rng.standard_normal((len(video_ids), NUM_SEGMENTS, *shape)), 0)
    tastes = rng.random((num_categories, shape[-1]))
    for row in range(len(video_ids)):
        features[row] += signal * tastes[row % num_categories]
    for row, video_id in enumerate(video_ids):
        features[row] = features[video_ids.index(video_id)]
    return features


def write_annotations(raw: Path, video_ids: Sequence[str], *, num_categories: int = NUM_CATEGORIES) -> None:
    raw.mkdir(exist_ok=True)
    lines = [f"Category {row % num_categories}&{video_id}&good&0&10\n" for row, video_id in enumerate(video_ids)]
    (raw / "Annotations.txt").write_text("".join(lines))


def write_h5(path: Path, features: np.ndarray, *, name: str = "avadataset", **settings: object) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset(name, data=features, **settings)


def videos_of(video_ids: Sequence[str]) -> list[VideoFile]:
    return [VideoFile(video_id, f"videos/{video_id}.mp4", None, None) for video_id in dict.fromkeys(video_ids)]


def read_features(output: Path) -> dict[str, np.ndarray]:
    """Return what the shards hold, by video."""
    features = {}
    for shard in load_index(output).shards:
        with Shard(output / shard.file) as opened:
            features |= dict(zip(opened.video_ids, opened.features[:], strict=True))
    return features


def facts_of(output: Path) -> dict:
    return json.loads((output / "import.json").read_text())


@pytest.fixture(scope="session")
def preset() -> Params:
    return load_params(REPOSITORY / "data" / "synthetic" / "preset.yaml")


@pytest.fixture
def make_params(preset) -> Callable[..., Params]:
    def make(
        format: str = "ave",
        storage: str = "float16",
        *,
        shard_size: int = 32,
        max_failed_fraction: float = 0.05,
        short_clips: str = "mask",
        task: str = "localization",
    ) -> Params:
        section = {"storage": storage, "max_failed_fraction": max_failed_fraction}
        return preset.model_copy(
            update={
                "dataset": preset.dataset.model_copy(
                    update={"name": "small", "format": format, "short_clips": short_clips, "task": task}
                ),
                "features": preset.features.model_copy(update={"source": "released"}),
                "extract": preset.extract.model_copy(update={"shard_size": shard_size}),
                "visual": preset.visual.model_copy(update=section),
                "audio": preset.audio.model_copy(update=section),
            }
        )

    return make


@pytest.fixture
def raw(tmp_path) -> Path:
    """Return a folder with AVE's form of 120 rows in both modalities."""
    folder = tmp_path / "raw"
    write_annotations(folder, make_video_ids())
    for modality, shape in SHAPES.items():
        write_h5(folder / f"{modality}_feature.h5", make_features(make_video_ids(), shape))
    return folder


@pytest.fixture
def output(tmp_path) -> Path:
    return tmp_path / "features"


class TestRows:
    @pytest.mark.parametrize("modality", ["visual", "audio"])
    def test_every_video_gets_the_features_of_its_row(self, modality, make_params, raw, output):
        features = make_features(make_video_ids(), SHAPES[modality])
        index = import_features(make_params(), modality, videos_of(make_video_ids()), raw, output)
        imported = read_features(output)
        assert list(imported) == list(dict.fromkeys(make_video_ids()))
        for row, video_id in enumerate(make_video_ids()):
            np.testing.assert_array_equal(imported[video_id], features[row].astype(np.float16))
        assert [shard.num_videos for shard in index.shards] == [32, 32, 32, 21]
        assert index == load_index(output)

    @pytest.mark.parametrize(
        ("dtype", "name", "format"),
        [
            ("float64", "avadataset", "synthetic"),
            ("float32", "dataset", "ave"),
            ("float16", "avadataset", "ave"),
            (">f8", "dataset", "ave"),
        ],
    )
    def test_known_names_and_types_of_floats_are_read(self, dtype, name, format, make_params, raw, output):
        features = make_features(make_video_ids(), (128,)).astype(dtype)
        write_h5(raw / "audio_feature.h5", features, name=name)
        import_features(make_params(format, "float32"), "audio", videos_of(make_video_ids()), raw, output)
        first = read_features(output)[make_video_ids()[0]]
        assert first.dtype == np.float32
        np.testing.assert_array_equal(first, features[0].astype(np.float32))
        assert facts_of(output)["files"][0]["dtype"] == dtype

    @pytest.mark.parametrize(
        "settings",
        [
            {"chunks": (1, 10, 2, 2, 6)},
            {"chunks": (50, 3, 1, 2, 4), "compression": "gzip"},
            {"compression": "lzf", "shuffle": True},
        ],
    )
    def test_chunked_and_compressed_files_are_read_alike(self, settings, make_params, raw, output):
        videos = videos_of(make_video_ids())
        import_features(make_params(), "visual", videos, raw, output)
        plain = {path.name: sha256_of_file(path) for path in output.iterdir()}
        write_h5(raw / "visual_feature.h5", make_features(make_video_ids(), (2, 2, 6)), **settings)
        import_features(make_params(), "visual", videos, raw, output)
        assert {path.name: sha256_of_file(path) for path in output.iterdir()} == plain

    def test_rows_are_read_in_blocks_without_loss(self, make_params, raw, output, monkeypatch):
        monkeypatch.setattr("pipeline.released.files.BLOCK_BYTES", 7 * 10 * 128 * 8)
        import_features(make_params(), "audio", videos_of(make_video_ids()), raw, output)
        features, imported = make_features(make_video_ids(), (128,)), read_features(output)
        for row, video_id in enumerate(make_video_ids()):
            np.testing.assert_array_equal(imported[video_id], features[row].astype(np.float16))

    def test_channels_first_maps_are_moved(self, make_params, raw, output):
        videos = videos_of(make_video_ids())
        import_features(make_params(), "visual", videos, raw, output)
        expected = read_features(output)
        features = np.moveaxis(make_features(make_video_ids(), (2, 2, 6)), -1, 2)
        write_h5(raw / "visual_feature.h5", features)
        import_features(make_params(), "visual", videos, raw, output)
        imported = read_features(output)
        for video_id, values in expected.items():
            np.testing.assert_array_equal(imported[video_id], values)
        with Shard(output / "shard-00000.h5") as shard:
            assert shard.content_hashes[1] == hashlib.sha256(features[1].tobytes()).hexdigest()
        assert facts_of(output)["files"][0]["shape"] == [120, 10, 6, 2, 2]

    def test_a_large_set_is_placed_by_the_ids_and_every_video_gets_its_row(self, make_params, raw, output, monkeypatch):
        monkeypatch.setattr("pipeline.store.placing.PLACED_FROM", 100)
        features, videos = make_features(make_video_ids(), (128,)), videos_of(make_video_ids())
        import_features(make_params(), "audio", videos, raw, output)
        imported = read_features(output)
        assert list(imported) != [video.video_id for video in videos]
        assert [row.video_id for row in load_ledger(output / "ledger.csv")] == [video.video_id for video in videos]
        for row, video_id in enumerate(make_video_ids()):
            np.testing.assert_array_equal(imported[video_id], features[row].astype(np.float16))

    def test_videos_of_no_split_are_left_out_and_a_video_may_come_after_its_first_row(self, make_params, raw, output):
        ids = make_video_ids()
        kept = [*ids[30:60], ids[3], *ids[90:120]]  # row 3 long passed; those of rows 50, 71 and 119 too
        import_features(make_params(), "audio", videos_of(kept), raw, output)
        imported, features = read_features(output), make_features(ids, (128,))
        assert list(imported) == list(dict.fromkeys(kept))
        for video_id in kept:
            np.testing.assert_array_equal(imported[video_id], features[ids.index(video_id)].astype(np.float16))
        assert facts_of(output)["files"][0]["shape"][0] == 120, "rows that no video uses are checked too"

    def test_a_header_of_the_annotations_is_no_row(self, make_params, raw, output):
        path = raw / "Annotations.txt"
        path.write_text("Category&VideoID&Quality&StartTime&EndTime\n" + path.read_text())
        import_features(make_params(), "audio", videos_of(make_video_ids()), raw, output)
        np.testing.assert_array_equal(
            read_features(output)[make_video_ids()[1]],
            make_features(make_video_ids(), (128,))[1].astype(np.float16),
        )


class TestOutput:
    def test_a_folder_is_left_as_extraction_leaves_it(self, make_params, raw, output):
        params = make_params(shard_size=100)
        index = import_features(params, "visual", videos_of(make_video_ids()), raw, output)
        names = {"shard-00000.h5", "shard-00001.h5", "ledger.csv", "index.json", "import.json"}
        assert {path.name for path in output.iterdir()} == names
        assert index.recipe == released_recipe(params, "visual")
        assert (index.modality, index.weights_sha256, index.num_videos) == ("visual", "", 117)
        for shard in index.shards:
            assert sha256_of_file(output / shard.file) == shard.sha256
        with h5py.File(output / "shard-00000.h5") as file:
            assert set(file.attrs) == {"schema", "modality", "recipe", "recipe_hash", "weights_sha256", "code"}
            assert json.loads(file.attrs["recipe"]) == index.recipe
            assert file.attrs["recipe_hash"] == index.recipe_hash

    def test_the_ledger_names_the_row_of_each_video_and_the_shard_its_hash(self, make_params, raw, output):
        import_features(make_params(), "audio", videos_of(make_video_ids()), raw, output)
        ids, features = make_video_ids(), make_features(make_video_ids(), (128,))
        assert load_ledger(output / "ledger.csv")[2] == LedgerRow(
            ids[2], "ok", "ok", "1" * 10, "", "audio_feature.h5 row 2"
        )
        with Shard(output / "shard-00000.h5") as shard:
            assert shard.content_hashes[2] == hashlib.sha256(features[2].tobytes()).hexdigest()
            assert shard.valid.all()

    def test_equal_files_give_equal_bytes(self, make_params, raw, output, tmp_path):
        for folder in (output, tmp_path / "again"):
            import_features(make_params(), "visual", videos_of(make_video_ids()), raw, folder)
        for path in output.iterdir():
            assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name

    def test_what_an_earlier_run_left_is_replaced(self, make_params, raw, output):
        import_features(make_params(shard_size=10), "visual", videos_of(make_video_ids()), raw, output)
        (output / ".shard-00099.h5.tmp").write_bytes(b"half")
        import_features(make_params(shard_size=100), "audio", videos_of(make_video_ids()), raw, output)
        assert {path.name for path in output.glob("shard-*")} == {"shard-00000.h5", "shard-00001.h5"}
        assert not list(output.glob(".*"))
        assert load_index(output).modality == "audio"

    def test_what_a_killed_run_left_is_deleted_before_the_disk_is_measured(self, make_params, raw, output, monkeypatch):
        output.mkdir()
        (output / ".shard-00000.h5.tmp").write_bytes(b"half")
        left_over = []

        def measure(folder: Path) -> SimpleNamespace:
            left_over.extend(folder.iterdir())
            return SimpleNamespace(free=1)

        monkeypatch.setattr("pipeline.core.files.shutil.disk_usage", measure)
        match = (
            r"audio features of 117 videos, \(128,\) per segment: expected 0\.00 GB of free disk, found 0\.00 GB; make"
        )
        refuse(match, make_params(), raw, output, kind=PipelineError)
        assert left_over == []

    def test_facts_are_those_of_a_slow_count(self, make_params, raw, output):
        features = make_features(make_video_ids(), (128,))
        features[5, 2] = 0
        features[9, :4, :50] = 0
        write_h5(raw / "audio_feature.h5", features)
        import_features(make_params(), "audio", videos_of(make_video_ids()), raw, output)
        values = features.ravel().tolist()
        errors = [abs(float(np.float16(value)) - value) for value in values]
        file = facts_of(output)["files"][0]
        assert file["name"] == "audio_feature.h5"
        assert (file["shape"], file["dtype"]) == ([120, 10, 128], "float64")
        assert (file["minimum"], file["maximum"]) == (min(values), max(values))
        assert file["share_of_zeros"] == sum(value == 0 for value in values) / len(values)
        assert file["num_zero_segments"] == 1
        assert file["rounding"]["storage"] == "float16"
        assert file["rounding"]["largest_error"] == max(errors) > 0
        assert file["rounding"]["mean_error"] == pytest.approx(sum(errors) / len(errors), rel=1e-12)
        assert file["rounding"]["largest_error_by_largest_magnitude"] == max(errors) / max(values)

    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    def test_float32_takes_float32_without_an_error(self, dtype, make_params, raw, output):
        write_h5(raw / "audio_feature.h5", make_features(make_video_ids(), (128,)).astype(dtype))
        import_features(make_params(storage="float32"), "audio", videos_of(make_video_ids()), raw, output)
        rounding = facts_of(output)["files"][0]["rounding"]
        assert (rounding["largest_error"], rounding["mean_error"]) == (0, 0)

    def test_one_line_tells_the_facts(self, make_params, raw, output, caplog):
        with caplog.at_level(logging.INFO):
            import_features(make_params(), "audio", videos_of(make_video_ids()), raw, output)
        line = next(message for message in caplog.messages if "audio_feature.h5" in message)
        assert line.startswith("import audio: audio_feature.h5 (120, 10, 128) float64, ")
        assert line.endswith("3 of 3 pairs of rows of one video agree, categories by chance p = 0.005")
        assert (
            caplog.messages[-1] == "import audio: 117 videos: 117 ok, 0 partial, 0 failed; 0.0 % of the segments masked"
        )


def refuse(
    match: str,
    params: Params,
    raw: Path,
    output: Path,
    *,
    modality: Modality = "audio",
    videos: Sequence[VideoFile] | None = None,
    kind: type[PipelineError] = ShardError,
) -> str:
    """Check that an import is refused in one line that matches, and leaves nothing behind; return the line."""
    with pytest.raises(kind, match=match) as caught:
        import_features(params, modality, videos or videos_of(make_video_ids()), raw, output)
    assert "\n" not in str(caught.value)
    assert not output.exists() or not list(output.iterdir())
    return str(caught.value)


class TestRefusedFiles:
    @pytest.mark.parametrize("modality", ["visual", "audio"])
    def test_a_missing_file_is_named(self, modality, make_params, raw, output):
        (raw / f"{modality}_feature.h5").unlink()
        match = rf"raw/{modality}_feature\.h5: expected the released {modality} features, found no file; .*data/small"
        refuse(match, make_params(), raw, output, modality=modality)

    @pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a"])
    def test_what_is_no_hdf5_is_refused(self, content, make_params, raw, output):
        (raw / "audio_feature.h5").write_bytes(content)
        refuse(r"audio_feature\.h5: expected an HDF5 file, found none", make_params(), raw, output)

    def test_an_incomplete_download_is_said_to_be_one(self, make_params, raw, output):
        path = raw / "audio_feature.h5"
        path.write_bytes(path.read_bytes()[:5000])
        refuse("expected an HDF5 file, found an incomplete or damaged one of 5000 bytes", make_params(), raw, output)

    def test_damage_in_the_middle_is_refused_by_rows(self, make_params, raw, output):
        path = raw / "audio_feature.h5"
        write_h5(path, make_features(make_video_ids(), (128,)), chunks=(40, 10, 128), fletcher32=True)
        with h5py.File(path) as file:
            middle = file["avadataset"].id.get_chunk_info(1).byte_offset + 1000
        content = bytearray(path.read_bytes())
        content[middle] ^= 0xFF
        path.write_bytes(content)
        refuse(r"audio_feature\.h5: expected readable rows \d+ to \d+, found .*; download", make_params(), raw, output)

    def test_another_data_set_is_refused_with_what_is_there(self, make_params, raw, output):
        with h5py.File(raw / "audio_feature.h5", "w") as file:
            file["features"], file["ids"] = np.zeros(3), np.zeros(3)
            file.create_group("dataset")
        match = "expected a data set avadataset or dataset, found dataset, features, ids"
        refuse(match, make_params(), raw, output)

    @pytest.mark.parametrize(
        ("modality", "features", "match"),
        [
            ("audio", np.zeros(120), r"expected rows \(T, \.\.\.\) of float16, .* found \(120,\) float64"),
            ("audio", np.zeros((120, 10, 128), int), r"found \(120, 10, 128\) int64"),
            ("audio", np.zeros((0, 10, 128)), r"found \(0, 10, 128\) float64"),
            ("audio", np.zeros((120, 8, 128)), r"expected 10 segments per row .*, found 8 in \(120, 8, 128\)"),
            ("audio", np.zeros((120, 10, 64)), r"audio features \(T, 128\) per clip, found \(10, 64\)"),
            ("audio", np.zeros((120, 10, 2, 2, 128)), r"audio features \(T, 128\) per clip, found \(10, 2, 2, 128\)"),
            ("visual", np.zeros((120, 10, 128)), r"visual features \(T, H, W, C\) or .*, found \(10, 128\)"),
            ("visual", np.zeros((120, 10, 2, 3, 6)), r"H = W and another C, per clip, found \(10, 2, 3, 6\)"),
            ("visual", np.zeros((120, 10, 4, 4, 4)), r"H = W and another C, per clip, found \(10, 4, 4, 4\)"),
            ("visual", np.zeros((120, 10, 2, 2, 0)), r"found \(10, 2, 2, 0\)"),
        ],
    )
    def test_other_shapes_and_types_are_refused(self, modality, features, match, make_params, raw, output):
        write_h5(raw / f"{modality}_feature.h5", features)
        refuse(match, make_params(), raw, output, modality=modality)

    @pytest.mark.parametrize(
        ("num_rows", "found"),
        [(119, f"119, none for row 119, video {make_video_ids()[119]}, and those"), (121, "121, rows of no video")],
    )
    def test_rows_are_as_many_as_the_annotations_have(self, num_rows, found, make_params, raw, output):
        write_h5(raw / "audio_feature.h5", np.zeros((num_rows, 10, 128)))
        refuse(f"expected 120 rows, one per row of Annotations.txt, found {found}", make_params(), raw, output)

    def test_videos_of_other_annotations_are_refused(self, make_params, raw, output):
        videos = videos_of([*make_video_ids(), "stranger"])
        match = "expected a row for every video of videos.csv, found none for stranger; run `dvc repro prepare`"
        refuse(match, make_params(), raw, output, videos=videos, kind=AnnotationError)

    @pytest.mark.parametrize("huge", [(120, 10, 30000, 30000, 512)])
    def test_a_file_that_claims_more_than_the_disk_holds_is_refused_unread(self, huge, make_params, raw, output):
        with h5py.File(raw / "visual_feature.h5", "w") as file:
            file.create_dataset("avadataset", huge, "float64", chunks=(1, 1, 100, 100, 512))
        match = r"visual features of 117 videos, .*: expected [\d.]+ GB of free disk, found"
        refuse(match, make_params(), raw, output, modality="visual", kind=PipelineError)


class TestRefusedValues:
    @pytest.mark.parametrize(
        ("value", "match"),
        [
            (np.nan, r"expected finite values, found nan; download"),
            (np.inf, r"expected finite values, found inf; download"),
            (-np.inf, r"expected finite values, found -inf; download"),
            (65600, r"expected values up to 65504, the range of float16, found 65600; store float32"),
            (
                -0.25,
                r"expected values of zero or more, as after a ReLU, found -0\.25; .*python -m pipeline doctor FILE",
            ),
        ],
    )
    def test_a_wrong_value_is_refused_with_row_video_and_segment(self, value, match, make_params, raw, output):
        features = make_features(make_video_ids(), (128,))
        features[100, 6, 77] = value
        write_h5(raw / "audio_feature.h5", features)
        place = rf"audio_feature\.h5 row 100, video {make_video_ids()[100]}, segment 6: "
        refuse(place + match, make_params(), raw, output)

    def test_float32_holds_what_float16_cannot(self, make_params, raw, output):
        features = make_features(make_video_ids(), (128,))
        features[100, 6, 77] = 65600
        write_h5(raw / "audio_feature.h5", features)
        import_features(make_params(storage="float32"), "audio", videos_of(make_video_ids()), raw, output)
        assert read_features(output)[make_video_ids()[100]][6, 77] == 65600

    def test_float32_does_not_hold_everything(self, make_params, raw, output):
        features = make_features(make_video_ids(), (128,))
        features[100, 6, 77] = 1e39
        write_h5(raw / "audio_feature.h5", features)
        refuse("the range of float32, found 1e[+]39; these are no", make_params(storage="float32"), raw, output)

    def test_a_refused_file_leaves_the_earlier_import_as_it_is(self, make_params, raw, output):
        videos = videos_of(make_video_ids())
        import_features(make_params(), "audio", videos, raw, output)
        before = {path.name: path.read_bytes() for path in output.iterdir()}
        features = make_features(make_video_ids(), (128,))
        features[-1] = np.nan
        write_h5(raw / "audio_feature.h5", features)
        with pytest.raises(ShardError, match="finite"):
            import_features(make_params(), "audio", videos, raw, output)
        assert {path.name: path.read_bytes() for path in output.iterdir()} == before


class TestRowOrder:
    def test_rows_of_one_video_that_differ_are_named(self, make_params, raw, output):
        features = make_features(make_video_ids(), (128,))
        write_h5(raw / "audio_feature.h5", np.random.default_rng(2).permutation(features))
        line = refuse(
            rf"rows 3 and 50 are both of video {make_video_ids()[3]}, found different features there, and in 3 of all",
            make_params(),
            raw,
            output,
        )
        assert "sorted" not in line

    def test_a_file_sorted_by_video_id_is_recognised_by_its_pairs(self, make_params, raw, output):
        ids = make_video_ids()
        order = sorted(range(len(ids)), key=lambda row: ids[row])
        write_h5(raw / "audio_feature.h5", make_features(ids, (128,))[order])
        refuse("in 3 of all 3 such pairs; the file looks sorted by video id; use", make_params(), raw, output)

    def test_without_such_pairs_categories_tell_a_shuffled_file(self, make_params, raw, output):
        ids = make_video_ids(pairs=())
        write_annotations(raw, ids)
        features = make_features(ids, (128,))
        write_h5(raw / "audio_feature.h5", np.random.default_rng(2).permutation(features))
        match = (
            r"Annotations\.txt, found features that say nothing about the categories in this order \(p = 0\.\d+\); use"
        )
        refuse(match, make_params(), raw, output, videos=videos_of(ids))
        order = sorted(range(len(ids)), key=lambda row: ids[row])
        write_h5(raw / "audio_feature.h5", features[order])
        refuse("sorted by video id", make_params(), raw, output, videos=videos_of(ids))
        write_h5(raw / "audio_feature.h5", features)
        import_features(make_params(), "audio", videos_of(ids), raw, output)
        assert facts_of(output)["row_order"] == {
            "same_video": {"num_pairs": 0, "differing": []},
            "categories": {"num_permutations": 199, "p_value": 0.005},
        }

    def test_features_that_are_the_same_everywhere_are_refused(self, make_params, raw, output):
        write_h5(raw / "audio_feature.h5", np.full((120, 10, 128), 0.1))
        refuse(r"say nothing about the categories in this order \(p = 1\)", make_params(), raw, output)

    def test_few_rows_are_not_judged_by_their_categories(self, make_params, raw, output):
        ids = make_video_ids(60, pairs=())
        write_annotations(raw, ids)
        write_h5(raw / "audio_feature.h5", make_features(ids, (128,), signal=0))
        import_features(make_params(), "audio", videos_of(ids), raw, output)
        assert facts_of(output)["row_order"]["categories"]["p_value"] > 0.01

    def test_a_minority_of_differing_pairs_is_told_and_the_first_row_used(self, make_params, raw, output, caplog):
        ids = make_video_ids(pairs=[(row, row + 64) for row in range(12)])
        features = make_features(ids, (128,))
        features[71, 3, 5] += 0.01 * features[71].max()
        features[70] *= 1.0005  # alike enough
        write_h5(raw / "audio_feature.h5", features)
        write_annotations(raw, ids)
        import_features(make_params(), "audio", videos_of(ids), raw, output)
        assert f"rows of one video differ: {ids[7]} (rows 7 and 71); the first row of each is used" in caplog.text
        assert facts_of(output)["row_order"]["same_video"] == {
            "num_pairs": 12,
            "differing": [{"video_id": ids[7], "rows": [7, 71]}],
        }
        np.testing.assert_array_equal(read_features(output)[ids[7]], features[7].astype(np.float16))

    def test_more_than_a_tenth_of_the_pairs_may_not_differ(self, make_params, raw, output):
        ids = make_video_ids(pairs=[(row, row + 64) for row in range(12)])
        features = make_features(ids, (128,))
        features[[66, 71], 3, 5] += 1
        write_annotations(raw, ids)
        write_h5(raw / "audio_feature.h5", features)
        match = "rows 2 and 66 are both of video .*, found different features there, and in 2 of all 12 such pairs"
        refuse(match, make_params(), raw, output, videos=videos_of(ids))

    def test_three_rows_of_one_video_are_two_pairs(self, make_params, raw, output):
        ids = make_video_ids(pairs=((3, 50), (3, 80)))
        write_annotations(raw, ids)
        write_h5(raw / "audio_feature.h5", make_features(ids, (128,)))
        import_features(make_params(), "audio", videos_of(ids), raw, output)
        assert facts_of(output)["row_order"]["same_video"]["num_pairs"] == 2


class TestBackground:
    @pytest.fixture
    def videos(self) -> list[VideoFile]:
        return [*videos_of(make_video_ids()), *(VideoFile(f"noisy-{row:03d}", "", None, None) for row in range(5))]

    def test_its_clips_come_from_a_file_of_their_own(self, make_params, raw, output, videos):
        features = np.random.default_rng(3).random((5, 10, 128), np.float32)
        write_h5(raw / "audio_feature_noisy.h5", features)
        import_features(make_params(storage="float32"), "audio", videos, raw, output)
        imported = read_features(output)
        assert list(imported)[-5:] == [video.video_id for video in videos[-5:]]
        np.testing.assert_array_equal(imported["noisy-003"], features[3])
        assert load_ledger(output / "ledger.csv")[-2].detail == "audio_feature_noisy.h5 row 3"
        assert [file["name"] for file in facts_of(output)["files"]] == ["audio_feature.h5", "audio_feature_noisy.h5"]

    def test_without_the_file_they_are_missing_and_nothing_fails(self, make_params, raw, output, videos, caplog):
        index = import_features(make_params(max_failed_fraction=0.0), "audio", videos, raw, output)
        assert index.num_videos == 117
        assert load_ledger(output / "ledger.csv")[-1] == LedgerRow(
            "noisy-004", "failed", "missing", "", "", "no audio_feature_noisy.h5"
        )
        assert "no audio_feature_noisy.h5: the 5 background clips have no audio features" in caplog.text

    def test_a_file_without_such_clips_is_not_opened(self, make_params, raw, output):
        (raw / "audio_feature_noisy.h5").write_text("no HDF5")
        import_features(make_params(), "audio", videos_of(make_video_ids()), raw, output)
        assert len(facts_of(output)["files"]) == 1

    def test_other_rows_than_clips_are_refused(self, make_params, raw, output, videos):
        write_h5(raw / "audio_feature_noisy.h5", np.ones((4, 10, 128)))
        match = (
            r"audio_feature_noisy\.h5: expected 5 rows, one per background clip of labels_noisy\.h5, found 4, none for"
        )
        refuse(match, make_params(), raw, output, videos=videos)

    def test_another_network_than_the_other_file_is_refused(self, make_params, raw, output, videos):
        write_h5(raw / "visual_feature_noisy.h5", np.ones((5, 10, 3, 3, 6)))
        match = r"expected \(2, 2, 6\) per segment, as in visual_feature\.h5, found \(3, 3, 6\)"
        refuse(match, make_params(), raw, output, modality="visual", videos=videos)

    def test_its_values_are_checked_too(self, make_params, raw, output, videos):
        write_h5(raw / "audio_feature_noisy.h5", np.full((5, 10, 128), np.nan))
        refuse("audio_feature_noisy.h5 row 0, video noisy-000, segment 0: ", make_params(), raw, output, videos=videos)


class TestClipFiles:
    """One file per video, as VGGSound-AVEL's authors distribute them."""

    IDS = ("b", "a", "c", "d")

    @pytest.fixture
    def write(self, tmp_path) -> Callable[..., Path]:
        def write(arrays: dict[str, np.ndarray], modality: Modality = "audio", *, is_archive: bool = False) -> Path:
            folder = tmp_path / "raw" / "features" / modality
            folder.mkdir(parents=True)
            for video_id, array in arrays.items():
                np.save(folder / f"{video_id}.npy", array)
            if is_archive:
                with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
                    for path in sorted(folder.iterdir()):
                        archive.write(path, f"features/{path.name}")
                        path.unlink()
                folder.rmdir()
            return tmp_path / "raw"

        return write

    @pytest.fixture
    def arrays(self) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(4)
        return {video_id: rng.random((10, 128), np.float32) for video_id in self.IDS}

    @pytest.mark.parametrize("is_archive", [False, True])
    @pytest.mark.parametrize("format", ["vggsound_avel", "csv"])
    def test_every_video_gets_the_features_of_its_file(self, format, is_archive, make_params, write, arrays, output):
        raw = write(arrays, is_archive=is_archive)
        import_features(make_params(format, "float32", shard_size=3), "audio", videos_of(self.IDS), raw, output)
        imported = read_features(output)
        assert tuple(imported) == self.IDS
        for video_id in self.IDS:
            np.testing.assert_array_equal(imported[video_id], arrays[video_id])
        facts = facts_of(output)
        assert facts["row_order"] is None
        assert facts["files"][0]["name"] == f"features/audio{'.zip' * is_archive}"
        assert facts["files"][0]["shape"] == [4, 10, 128]
        with Shard(output / "shard-00000.h5") as shard:
            assert shard.content_hashes[0] == hashlib.sha256(arrays["b"].tobytes()).hexdigest()

    @pytest.mark.parametrize("is_first", [False, True])
    def test_maps_are_stored_channels_last(self, is_first, make_params, write, output):
        maps = np.random.default_rng(5).random((4, 10, 3, 3, 8), np.float32)
        raw = write(
            {i: np.moveaxis(m, -1, 1) if is_first else m for i, m in zip(self.IDS, maps, strict=True)}, "visual"
        )
        import_features(make_params("csv", "float32"), "visual", videos_of(self.IDS), raw, output)
        np.testing.assert_array_equal(read_features(output)["a"], maps[1])
        assert facts_of(output)["files"][0]["shape"] == [4, 10, *((8, 3, 3) if is_first else (3, 3, 8))]

    @pytest.mark.parametrize("shape", [(8,), (5, 8)])
    def test_vectors_are_of_parsing_alone(self, shape, make_params, write, output):
        features = np.random.default_rng(5).random((4, 10, *shape), np.float32)
        raw = write(dict(zip(self.IDS, features, strict=True)), "visual")
        import_features(make_params("csv", "float32", task="parsing"), "visual", videos_of(self.IDS), raw, output)
        np.testing.assert_array_equal(read_features(output)["a"], features[1])
        with pytest.raises(ShardError, match=r"visual b: expected visual features \(T, H, W, C\) or"):
            import_features(make_params("csv", "float32"), "visual", videos_of(self.IDS), raw, output)

    def test_short_clips_are_masked_and_long_ones_cut(self, make_params, write, arrays, output):
        long = np.concatenate([arrays["d"], arrays["b"][:2] + 7])
        raw = write({**arrays, "a": arrays["a"][:7], "d": long})
        import_features(make_params("csv", "float32"), "audio", videos_of(self.IDS), raw, output)
        ledger = {row.video_id: row for row in load_ledger(output / "ledger.csv")}
        assert ledger["a"] == LedgerRow("a", "partial", "short", "1111111000", "", "7 of 10 segments")
        assert ledger["d"] == LedgerRow("d", "ok", "ok", "1" * 10, "", "the first 10 of 12 segments")
        imported = read_features(output)
        np.testing.assert_array_equal(imported["a"][:7], arrays["a"][:7])
        assert not imported["a"][7:].any()
        np.testing.assert_array_equal(imported["d"], arrays["d"])
        assert facts_of(output)["files"][0]["num_zero_segments"] == 0, "what is masked was not released"
        assert facts_of(output)["files"][0]["maximum"] < 1, "what is cut was not used"

    @pytest.mark.parametrize(("modality", "shape"), [("audio", (128,)), ("visual", (3, 3, 8))])
    def test_the_last_segment_of_short_clips_is_repeated_where_that_is_asked_for(
        self, modality, shape, make_params, write, output
    ):
        features = np.random.default_rng(7).random((4, 10, *shape), np.float32)
        raw = write(dict(zip(self.IDS, features, strict=True)) | {"a": features[1, :7], "d": features[3, :1]}, modality)
        params = make_params("csv", "float32", short_clips="repeat")
        import_features(params, modality, videos_of(self.IDS), raw, output)
        ledger = {row.video_id: row for row in load_ledger(output / "ledger.csv")}
        assert ledger["a"] == LedgerRow("a", "ok", "ok", "1" * 10, "", "7 of 10 segments, the last repeated")
        imported = read_features(output)
        np.testing.assert_array_equal(imported["a"], features[1, [0, 1, 2, 3, 4, 5, 6, 6, 6, 6]])
        np.testing.assert_array_equal(imported["d"], features[3, [0] * 10])
        np.testing.assert_array_equal(imported["b"], features[0])
        with Shard(output / "shard-00000.h5") as shard:
            assert shard.valid.all()
        other = released_recipe(make_params("csv", "float32"), modality)
        assert load_index(output).recipe != other, "else a change would import nothing"

    @pytest.mark.parametrize("is_archive", [False, True])
    @pytest.mark.parametrize("format", ["ave", "synthetic"])
    def test_maps_of_ave_may_be_a_file_per_video(self, format, is_archive, make_params, write, output):
        maps = np.random.default_rng(8).random((4, 10, 8, 3, 3), np.float32)
        raw = write(dict(zip(self.IDS, maps, strict=True)), "visual", is_archive=is_archive)
        write_annotations(raw, [*self.IDS, "b"])
        params = make_params(format, "float32", max_failed_fraction=0.0)
        noisy = VideoFile("noisy-000", "", None, None)
        index = import_features(params, "visual", [*videos_of(self.IDS), noisy], raw, output)
        assert index.num_videos == 4
        np.testing.assert_array_equal(read_features(output)["a"], np.moveaxis(maps[1], 1, -1))
        assert load_ledger(output / "ledger.csv")[4].reason == "missing", "a background clip, which may be missing"
        assert facts_of(output)["row_order"] is None

    def test_two_forms_of_one_modality_are_refused(self, make_params, write, arrays, output):
        raw = write(arrays)
        write_h5(raw / "audio_feature.h5", np.stack(list(arrays.values())))
        match = r"expected the released audio features in one form, found audio_feature.h5 and features/audio; move one"
        refuse(match, make_params(), raw, output)

    def test_quantised_audio_is_read(self, make_params, write, output):
        levels = np.random.default_rng(6).integers(0, 256, (4, 10, 128), np.uint8)
        raw = write(dict(zip(self.IDS, levels, strict=True)))
        import_features(make_params("csv"), "audio", videos_of(self.IDS), raw, output)
        np.testing.assert_array_equal(read_features(output)["c"], levels[2])
        assert facts_of(output)["files"][0]["rounding"]["largest_error"] == 0

    def test_negative_values_are_told_not_refused(self, make_params, write, arrays, output, caplog):
        raw = write({**arrays, "c": -arrays["c"]})
        import_features(make_params("csv"), "audio", videos_of(self.IDS), raw, output)
        assert "these features were not taken after a ReLU" in caplog.text

    def test_videos_without_a_file_are_missing(self, make_params, write, arrays, output):
        raw = write({video_id: arrays[video_id] for video_id in ("a", "c", "d")})
        params = make_params("csv", max_failed_fraction=0.25)
        index = import_features(params, "audio", videos_of(self.IDS), raw, output)
        assert index.num_videos == 3
        assert load_ledger(output / "ledger.csv")[0] == LedgerRow("b", "failed", "missing", "", "", "no such file")

    def test_too_many_of_them_are_refused(self, make_params, write, arrays, output):
        raw = write({video_id: arrays[video_id] for video_id in ("a", "c", "d")})
        match = r"expected a file for each of 4 videos, with at most 5\.00% missing or damaged, found none for 1: b;"
        refuse(match, make_params("csv"), raw, output, videos=videos_of(self.IDS), kind=PipelineError)

    def test_features_of_no_video_are_refused_whatever_may_be_missing(self, make_params, write, arrays, output):
        raw, params = write(arrays), make_params("csv", max_failed_fraction=1.0)
        match = r"found none for 12: x0, .*x9 and 2 more"
        videos = videos_of([f"x{number}" for number in range(12)])
        refuse(match, params, raw, output, videos=videos, kind=PipelineError)

    def test_a_folder_and_an_archive_are_one_too_many(self, make_params, write, arrays, output):
        raw = write(arrays)
        (raw / "features" / "audio.zip").write_bytes(b"")
        refuse("as a folder or as audio.zip beside it, found both; move", make_params("csv"), raw, output)
        refuse("the released visual .* found neither; put", make_params("csv"), raw, output, modality="visual")

    @pytest.mark.parametrize(
        ("array", "found"),
        [
            (np.ones((10, 64)), r"\(10, 64\) float64"),
            (np.ones((0, 128)), r"\(0, 128\) float64"),
            (np.ones((10, 128), bool), r"\(10, 128\) bool"),
        ],
    )
    def test_a_file_of_another_shape_than_the_first_is_refused(self, array, found, make_params, write, arrays, output):
        raw = write({**arrays, "d": array})
        match = rf"features/audio d: expected numbers of shape \(T, 128\), as in the first file, found {found}; use"
        refuse(match, make_params("csv"), raw, output, videos=videos_of(self.IDS))

    def test_maps_that_cannot_be_told_apart_are_refused(self, make_params, write, output):
        raw = write({"b": np.ones((10, 7, 7, 7))}, "visual")
        match = r"features/visual b: expected visual features .*, found \(10, 7, 7, 7\)"
        refuse(match, make_params("csv"), raw, output, modality="visual", videos=videos_of(["b"]))

    def test_broken_and_hostile_files_stop_the_import_where_they_are_too_many(self, make_params, write, arrays, output):
        raw = write(arrays)
        (raw / "features" / "audio" / "d.npy").unlink()
        (raw / "features" / "audio" / "d.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
        match = r"found none for 1: d; 1 of them damaged, .*d\.pkl.*os\.system"
        refuse(match, make_params("csv"), raw, output, videos=videos_of(self.IDS), kind=PipelineError)

    def test_few_damaged_files_are_failures_like_missing_ones(self, make_params, write, arrays, output, caplog):
        raw = write(arrays)
        (raw / "features" / "audio" / "b.npy").write_bytes(b"cut")  # the one that would have shown the shape
        params = make_params("csv", max_failed_fraction=0.25)
        index = import_features(params, "audio", videos_of(self.IDS), raw, output)
        assert index.num_videos == 3
        row = load_ledger(output / "ledger.csv")[0]
        assert (row.video_id, row.status, row.reason, row.valid) == ("b", "failed", "bad_array", "")
        assert "b.npy: expected one array of plain numbers" in row.detail
        assert "1 files cannot be used, such as" in caplog.text
        assert "b" not in read_features(output)

    def test_a_value_that_is_not_finite_is_refused_by_file_and_segment(self, make_params, write, arrays, output):
        arrays["c"][4, 100] = np.nan
        match = "features/audio c segment 4: expected finite values, found nan"
        refuse(match, make_params("csv"), write(arrays), output, videos=videos_of(self.IDS))


class TestLlp:
    """LLP's three folders of one file per clip, as its authors distribute them."""

    IDS = ("BjCEufrlXm4", "7nSYwyaP4QE", "-VWVECUju4w", "4O9rI-FpqLg")
    SHAPES: ClassVar = {"vggish": (10, 128), "res152": (80, 2048), "r2plus1d_18": (10, 512)}

    @pytest.fixture
    def arrays(self) -> dict[str, dict[str, np.ndarray]]:
        rng = np.random.default_rng(9)
        return {
            folder: {video_id: rng.random(shape, np.float32) for video_id in self.IDS}
            for folder, shape in self.SHAPES.items()
        }

    @pytest.fixture
    def write(self, tmp_path) -> Callable[..., Path]:
        def write(
            arrays: dict[str, dict[str, np.ndarray]],
            *,
            archives: Sequence[str] = (),
        ) -> Path:
            features = tmp_path / "raw" / "features"
            for folder, of_folder in arrays.items():
                (features / folder).mkdir(parents=True, exist_ok=True)
                for video_id, array in of_folder.items():
                    np.save(features / folder / f"{video_id}.npy", array)
                if folder in archives:
                    with zipfile.ZipFile(features / f"{folder}.zip", "w") as archive:
                        for path in sorted((features / folder).iterdir()):
                            archive.write(path, f"feats/{folder}/{path.name}")
                            path.unlink()
                    (features / folder).rmdir()
            return tmp_path / "raw"

        return write

    @staticmethod
    def expected(arrays: dict[str, dict[str, np.ndarray]], video_id: str) -> np.ndarray:
        """Return a clip's vectors, put together in a loop over segments and frames."""
        segments = []
        for segment in range(10):
            frames = [arrays["res152"][video_id][8 * segment + frame] for frame in range(8)]
            segments.append(np.concatenate([*frames, arrays["r2plus1d_18"][video_id][segment]]))
        return np.stack(segments)

    @pytest.mark.parametrize("archives", [(), ("res152",), ("vggish", "res152", "r2plus1d_18")])
    def test_a_segment_is_its_frames_and_then_its_motion(self, archives, make_params, write, arrays, output):
        raw, params = write(arrays, archives=archives), make_params("llp", "float32", shard_size=3)
        index = import_features(params, "visual", videos_of(self.IDS), raw, output)
        imported = read_features(output)
        assert tuple(imported) == self.IDS
        for video_id in self.IDS:
            np.testing.assert_array_equal(imported[video_id], self.expected(arrays, video_id))
        assert imported[self.IDS[0]].shape[1:] == LLP_LAYOUT.feature_shape
        assert index.recipe == released_recipe(params, "visual")
        files = facts_of(output)["files"]
        assert [file["name"] for file in files] == [
            f"features/{folder}{'.zip' * (folder in archives)}" for folder in ("res152", "r2plus1d_18")
        ]
        assert [file["shape"] for file in files] == [[4, 80, 2048], [4, 10, 512]]
        assert files[0]["maximum"] == max(float(array.max()) for array in arrays["res152"].values())
        with Shard(output / "shard-00000.h5") as shard:
            both = arrays["res152"][self.IDS[0]].tobytes() + arrays["r2plus1d_18"][self.IDS[0]].tobytes()
            assert shard.content_hashes[0] == hashlib.sha256(both).hexdigest()
            assert shard.valid.all()

    def test_sound_is_the_vectors_of_vggish(self, make_params, write, arrays, output):
        import_features(make_params("llp", "float32"), "audio", videos_of(self.IDS), write(arrays), output)
        imported = read_features(output)
        for video_id in self.IDS:
            np.testing.assert_array_equal(imported[video_id], arrays["vggish"][video_id])
        assert facts_of(output)["files"][0]["name"] == "features/vggish"

    def test_a_clip_without_a_file_in_either_folder_is_missing(self, make_params, write, arrays, output):
        del arrays["res152"][self.IDS[1]], arrays["r2plus1d_18"][self.IDS[3]]
        params = make_params("llp", max_failed_fraction=0.5)
        index = import_features(params, "visual", videos_of(self.IDS), write(arrays), output)
        assert index.num_videos == 2
        ledger = load_ledger(output / "ledger.csv")
        assert ledger[1] == LedgerRow(self.IDS[1], "failed", "missing", "", "", "no such file in res152")
        assert ledger[3] == LedgerRow(self.IDS[3], "failed", "missing", "", "", "no such file in r2plus1d_18")

    def test_too_many_of_them_are_refused_with_both_folders(self, make_params, write, arrays, output):
        del arrays["res152"][self.IDS[1]]
        match = rf"features/res152 and .*features/r2plus1d_18: expected a file for each of 4 .* for 1: {self.IDS[1]};"
        params, videos = make_params("llp"), videos_of(self.IDS)
        refuse(match, params, write(arrays), output, modality="visual", videos=videos, kind=PipelineError)

    def test_a_folder_that_is_not_there_is_named(self, make_params, write, arrays, output):
        del arrays["r2plus1d_18"]
        match = (
            r"features/r2plus1d_18: expected the released visual features, as a folder or as r2plus1d_18\.zip .*neither"
        )
        refuse(match, make_params("llp"), write(arrays), output, modality="visual", videos=videos_of(self.IDS))

    @pytest.mark.parametrize(
        ("folder", "array", "match"),
        [
            (
                "res152",
                np.ones((10, 2048)),
                r"res152 4O9rI-FpqLg: .* \(8 T, 2048\), as res152 .* \(10, 2048\) float64",
            ),
            ("res152", np.ones((80, 512)), r"found \(80, 512\) float64; use"),
            ("res152", np.ones((10, 8, 2048)), r"found \(10, 8, 2048\)"),
            ("r2plus1d_18", np.ones((10, 2048)), r"expected numbers of shape \(T, 512\), as r2plus1d_18 of LLP has"),
            ("r2plus1d_18", np.ones((10, 512), bool), r"found \(10, 512\) bool"),
            ("r2plus1d_18", np.float32(3), r"found \(\) float32"),
        ],
    )
    def test_arrays_of_another_shape_are_refused(self, folder, array, match, make_params, write, arrays, output):
        arrays[folder][self.IDS[3]] = array
        refuse(match, make_params("llp"), write(arrays), output, modality="visual", videos=videos_of(self.IDS))

    def test_a_value_that_is_not_finite_is_refused_by_its_segment(self, make_params, write, arrays, output):
        arrays["res152"][self.IDS[2]][8 * 4 + 7, 2000] = np.inf
        match = "features/res152 -VWVECUju4w segment 4: expected finite values, found inf"
        refuse(match, make_params("llp"), write(arrays), output, modality="visual", videos=videos_of(self.IDS))

    def test_a_damaged_file_is_a_failure_of_its_clip_alone(self, make_params, write, arrays, output):
        raw = write(arrays)
        (raw / "features" / "r2plus1d_18" / "7nSYwyaP4QE.npy").write_bytes(b"cut")
        params = make_params("llp", max_failed_fraction=0.25)
        assert import_features(params, "visual", videos_of(self.IDS), raw, output).num_videos == 3
        row = load_ledger(output / "ledger.csv")[1]
        assert (row.video_id, row.status, row.reason) == (self.IDS[1], "failed", "bad_array")
        assert "r2plus1d_18/7nSYwyaP4QE.npy" in row.detail

    def test_a_short_clip_is_as_long_as_the_shorter_of_its_arrays(self, make_params, write, arrays, output):
        name = self.IDS[0]
        arrays["res152"][name], arrays["r2plus1d_18"][name] = np.ones((72, 2048)), np.ones((7, 512))
        import_features(make_params("llp", "float32"), "visual", videos_of(self.IDS), write(arrays), output)
        row = load_ledger(output / "ledger.csv")[0]
        assert row == LedgerRow(name, "partial", "short", "1111111000", "", "7 of 10 segments")
        assert read_features(output)[name].any(axis=1).tolist() == [True] * 7 + [False] * 3


@pytest.fixture(scope="module")
def real_ave() -> Path:
    folder = Path(os.environ.get("AVEL_REAL_DIR", REPOSITORY.parent / "shared" / "real")) / "ave"
    if not (folder / "audio_feature_noisy.h5").is_file():
        pytest.skip(f"no real AVE features in {folder}; set AVEL_REAL_DIR")
    return folder


def test_the_released_background_features_come_in_as_they_are(real_ave, make_params, raw, output):
    (raw / "audio_feature_noisy.h5").symlink_to(real_ave / "audio_feature_noisy.h5")
    background = [VideoFile(f"noisy-{row:03d}", "", None, None) for row in range(178)]
    videos = [*videos_of(make_video_ids()), *background]
    import_features(make_params(), "audio", videos, raw, output)
    with h5py.File(real_ave / "audio_feature_noisy.h5") as file:
        released = file["avadataset"][:]
    imported = read_features(output)
    for row, video in enumerate(background):
        np.testing.assert_array_equal(imported[video.video_id], released[row].astype(np.float16))
    file = facts_of(output)["files"][1]
    assert (file["shape"], file["dtype"], file["minimum"]) == ([178, 10, 128], "float64", 0)
    assert file["share_of_zeros"] == pytest.approx(0.65, abs=0.01)
    assert 0 < file["rounding"]["largest_error_by_largest_magnitude"] < 2**-11


def test_an_import_does_without_torch_whose_memory_would_be_most_of_it() -> None:
    code = "import sys, pipeline.released.stage; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0

"""Every clip's array is found by its id in a folder or an archive; what else is there is named or left alone."""

import io
import os
import pickle
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avel_testing.arrays import assert_same, npy
from pipeline.core.errors import ShardError
from pipeline.store import clip_arrays
from pipeline.store.clip_arrays import ClipArrays

AUDIO = np.arange(1280, dtype=np.float32).reshape(10, 128) / 7
SMALL = np.array([[1, 2, 3], [4, 5, 6]], "<f4")


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore", category=UserWarning), zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of files into one folder, which it returns."""

    def write_files(**contents: bytes) -> Path:
        (tmp_path / "arrays").mkdir(exist_ok=True)
        for name, content in contents.items():
            (tmp_path / "arrays" / name).write_bytes(content)
        return tmp_path / "arrays"

    return write_files


def test_a_folder_holds_zips_pickles_and_saved_arrays(write) -> None:
    folder = write(
        **{
            "-a_b.zip": zipped(("x/y.pkl", pickle.dumps(AUDIO)), ("notes.txt", b"?"), ("__MACOSX/x/._y.pkl", b"?")),
            "b.c.npy": npy(AUDIO + 1),
            "d.pkl": pickle.dumps(AUDIO + 2),
            "readme.txt": b"?",
            "._d.pkl": b"?",
            ".npy": b"?",
            "zip": b"?",
        }
    )
    with ClipArrays(folder) as arrays:
        assert len(arrays) == 3
        assert not any(name in arrays for name in ("d.pkl", "readme", "", "x/y"))
        for number, name in enumerate(("-a_b", "b.c", "d")):
            assert name in arrays
            assert_same(arrays.read(name), AUDIO + number)


@pytest.mark.parametrize("folder", ["", "labels/", "/labels/", "../../labels/"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_holds_pickles_and_saved_arrays_in_any_folder(tmp_path: Path, folder: str, method: int) -> None:
    path = tmp_path / "labels.zip"
    path.write_bytes(
        zipped(
            ("empty/", b""),
            (f"{folder}a.pkl", pickle.dumps(AUDIO)),
            (f"{folder}b.npy", npy(AUDIO + 1)),
            (f"__MACOSX/{folder}._a.pkl", b"?"),
            (f"{folder}readme.txt", b"?"),
            method=method,
        )
    )
    with ClipArrays(path) as arrays:
        assert ("a" in arrays, "b" in arrays, "readme" in arrays, len(arrays)) == (True, True, False, 2)
        assert_same(arrays.read("b"), AUDIO + 1)
        assert_same(arrays.read("a"), AUDIO)
    assert list(tmp_path.iterdir()) == [path]


def test_an_archive_is_closed_at_the_end(write) -> None:
    folder = write(**{"all.zip": zipped(("a.pkl", pickle.dumps(AUDIO)))})
    with ClipArrays(folder / "all.zip") as arrays:
        pass
    with pytest.raises(ShardError, match=r"all\.zip member 'a\.pkl': expected a whole zip archive, found .*closed"):
        arrays.read("a")


@pytest.mark.parametrize("video_id", ["b", "", "../a", "a.npy", "folder/a"])
@pytest.mark.parametrize("name", [".", "all.zip"])
def test_an_id_that_is_not_there_is_named(write, name: str, video_id: str) -> None:
    folder = write(**{"a.npy": npy(AUDIO), "all.zip": zipped(("folder/a.npy", npy(AUDIO)))})
    with ClipArrays(folder / name) as arrays, pytest.raises(ShardError, match="expected an array of video ") as error:
        arrays.read(video_id)
    assert str(error.value).startswith(f"{folder / name}: expected an array of video '{video_id}', found none; ")


@pytest.mark.parametrize(
    ("contents", "found"),
    [
        ({"a.npy": b"", "a.zip": b""}, r"expected one file per video, found 'a\.npy' and 'a\.zip'; delete one"),
        ({"a.txt": b""}, r"expected files named <video_id>\.zip or \.pkl or \.npy, found none; put them right there"),
        ({}, r"expected files named <video_id>\.zip or \.pkl or \.npy, found none"),
    ],
)
def test_a_folder_that_cannot_be_meant_is_refused(write, contents: dict[str, bytes], found: str) -> None:
    folder = write(**contents)
    with pytest.raises(ShardError, match=found) as error:
        ClipArrays(folder)
    assert str(error.value).startswith(f"{folder}: ")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (zipped(("x/a.pkl", b""), ("y/a.pkl", b"")), r"one file per video, found 'x/a\.pkl' and 'y/a\.pkl'"),
        (zipped(("a.pkl", b""), ("a.pkl", b"")), r"one file per video, found 'a\.pkl' and 'a\.pkl'"),
        (zipped(("a.zip", b"")), r"expected files named <video_id>\.pkl or \.npy, found none"),
        (zipped(), r"expected files named <video_id>\.pkl or \.npy, found none"),
        (b"", "expected a zip archive, found File is not a zip file; fetch it again"),
        (zipped(("a.pkl", b"abc"))[:-30], "expected a zip archive, found File is not a zip file"),
    ],
    ids=["two folders", "one name twice", "archive in it", "nothing in it", "empty", "cut off"],
)
def test_an_archive_that_cannot_be_meant_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "all.zip"
    path.write_bytes(content)
    with pytest.raises(ShardError, match=found) as error:
        ClipArrays(path)
    assert str(error.value).startswith(f"{path}: ")


def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"labels: expected a folder or a zip archive of arrays, found neither"):
        ClipArrays(tmp_path / "labels")


ONE = zipped(("a.pkl", pickle.dumps(AUDIO)))
STATED_SIZE = ONE.index(b"PK\1\2") + 24
FLAGS = ONE.index(b"PK\1\2") + 8


def with_value(data: bytes, position: int, value: bytes) -> bytes:
    return data[:position] + value + data[position + len(value) :]


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.zip", zipped(), r"expected one member whose name ends in \.pkl or \.npy, found 0: none"),
        ("a.zip", zipped(("a.txt", b"")), r"one member whose name ends in \.pkl or \.npy, found 0: 'a\.txt'"),
        ("a.zip", zipped(("a.pkl", b""), ("b.pkl", b"")), r"one member .*, found 2: 'a\.pkl', 'b\.pkl'"),
        ("a.zip", b"PK", "expected a zip archive, found File is not a zip file"),
        ("a.zip", ONE[:-1], "expected a zip archive, found File is not a zip file"),
        ("a.zip", with_value(ONE, 35, b"XXXX"), "expected a whole zip archive, found Error -3 while decompressing"),
        ("a.zip", with_value(ONE, 0, b"XXXX"), "expected a whole zip archive, found Bad magic number for file header"),
        (
            "a.zip",
            with_value(ONE, FLAGS, b"\1"),
            "expected a whole zip archive, found .*is encrypted, password required",
        ),
        ("a.zip", with_value(ONE, STATED_SIZE, b"\1\0\0\0"), "expected a whole zip archive, found Bad CRC-32"),
        ("a.zip", with_value(ONE, STATED_SIZE, b"\0\0\1\0"), "expected 65536 bytes, as the archive says, found 5"),
        (
            "a.zip",
            with_value(ONE, STATED_SIZE, b"\0\0\0\x7f"),
            "expected at most 268435456 bytes for a clip, found 2130706432",
        ),
        (
            "a.zip",
            zipped(("a.pkl", pickle.dumps(AUDIO)), method=zipfile.ZIP_BZIP2),
            "expected a member that is stored or deflated, found method 12",
        ),
        ("a.zip", zipped(("a.pkl", b"cos\nsystem\n.")), "expected one array .*, found .*'os.system', which is no part"),
        ("a.pkl", b"cos\nsystem\n.", "expected one array .*, found .*'os.system', which is no part of an array"),
        ("a.npy", npy(AUDIO)[:-1], "expected one array .*, found 5119 bytes where shape"),
    ],
)
def test_a_damaged_or_foreign_file_of_a_clip_is_named(write, name: str, content: bytes, found: str) -> None:
    folder = write(**{name: content})
    with pytest.raises(ShardError, match=found) as error:
        ClipArrays(folder).read("a")
    assert str(error.value).startswith(f"{folder / name}: expected ")
    assert str(error.value).isprintable()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_that_hides_its_size_takes_no_memory(write, peak_of_at_most, method: int) -> None:
    bomb = zipped(("a.pkl", bytes(2**25)), method=method)
    folder = write(**{"a.zip": with_value(bomb, bomb.index(b"PK\1\2") + 24, b"\x40\0\0\0")})
    del bomb
    with peak_of_at_most(2**20), pytest.raises(ShardError, match="expected a whole zip archive, found Bad CRC-32"):
        ClipArrays(folder).read("a")


def test_a_large_file_is_not_read(write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(**{"a.npy": npy(AUDIO), "b.npy": npy(SMALL)})
    monkeypatch.setattr(clip_arrays, "MAX_BYTES", len(npy(AUDIO)) - 1)
    with pytest.raises(ShardError, match=r"a\.npy: expected at most 5247 bytes for a clip, found 5248"):
        ClipArrays(folder).read("a")
    assert_same(ClipArrays(folder).read("b"), SMALL)


def test_what_went_or_is_no_file_is_named(write) -> None:
    folder = write(**{"a.npy": b"", "b.zip": b""})
    (folder / "c.pkl").mkdir()
    os.mkfifo(folder / "d.npy")
    arrays = ClipArrays(folder)
    (folder / "a.npy").unlink()
    (folder / "b.zip").unlink()
    for video_id, expected in zip("abcd", ("a file", "a folder or a zip archive", "a file", "a file"), strict=True):
        with pytest.raises(ShardError, match=rf"/{video_id}\.\w+: expected {expected}.*; fetch it again"):
            arrays.read(video_id)


def test_reading_arrays_needs_no_torch() -> None:
    code = "import sys, pipeline.store.clip_arrays; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[4])

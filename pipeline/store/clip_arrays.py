"""Arrays stored one per clip: a folder of ``<video_id>.zip``, ``.npy`` or ``.pkl``, or one zip archive of them.

So the code of VGGSound-AVEL's authors reads features and labels: zip files of pickles. Nothing is unpickled here, see
:mod:`pipeline.store.arrays`, and at most :data:`MAX_BYTES` are read for a clip.
"""

import os
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from pipeline.core.errors import ShardError, explain, one_line, shorten
from pipeline.store.arrays import read_array

MAX_BYTES = 256 * 2**20
"""Of one clip's array, unpacked; the largest known ones, (10, 1024, 7, 7) in float64, take 4 MB."""

_SUFFIXES = (".pkl", ".npy")
_PLAIN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others are unpacked without a limit


class ClipArrays:
    """The arrays of a data set's clips, by video id; a context manager, which closes the archive if it is one.

    What is there is listed once. Ids are looked up in that list and never become paths, and members of archives are
    read into memory and never unpacked to a disk, so that no name leads anywhere else.

    Parameters
    ----------
    path : Path
        A folder of ``<video_id>.zip`` (one array each, whose member ends in ``.pkl`` or ``.npy``),
        ``<video_id>.pkl`` or ``<video_id>.npy``; or a zip archive of members so named but ``.zip``, in any folder.

    Raises
    ------
    ShardError
        If there is nothing of the kind, or two files are of one id.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive: zipfile.ZipFile | None = None
        if path.is_dir():
            with os.scandir(path) as entries:
                self._names = self._by_id(sorted(entry.name for entry in entries), (".zip", *_SUFFIXES))
        else:
            self._archive = _open_archive(path)
            try:
                self._names = self._by_id(self._archive.namelist(), _SUFFIXES)
            except ShardError:
                self._archive.close()
                raise

    def _by_id(self, names: Iterable[str], suffixes: tuple[str, ...]) -> dict[str, str]:
        by_id: dict[str, str] = {}
        for name in names:
            video_id, dot, suffix = name.rpartition("/")[2].rpartition(".")
            if dot + suffix not in suffixes or not video_id or video_id.startswith("."):
                continue
            if video_id in by_id:
                raise ShardError(
                    explain(
                        self.path,
                        expected="one file per video",
                        found=f"{shorten(by_id[video_id])} and {shorten(name)}",
                        remedy="delete one of them",
                    )
                )
            by_id[video_id] = name
        if not by_id:
            raise ShardError(
                explain(
                    self.path,
                    expected=f"files named <video_id>{' or '.join(suffixes)}",
                    found="none",
                    remedy="put them right there, or correct the path",
                )
            )
        return by_id

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the archive; a folder has nothing open."""
        if self._archive is not None:
            self._archive.close()

    def __contains__(self, video_id: object) -> bool:
        return video_id in self._names

    def __len__(self) -> int:
        return len(self._names)

    def read(self, video_id: str) -> np.ndarray:
        """Return the array of a video, see :func:`.read_array`.

        Raises
        ------
        ShardError
            If there is none, or its file is damaged, too large, or holds anything but one array of plain numbers.
        """
        name = self._names.get(video_id)
        if name is None:
            raise ShardError(
                explain(
                    self.path,
                    expected=f"an array of video {shorten(video_id)}",
                    found="none",
                    remedy="add its file, or leave the video out of the annotations",
                )
            )
        if self._archive is not None:
            subject = f"{self.path} member {shorten(name)}"
            return read_array(_read_member(self._archive, self._archive.getinfo(name), subject), subject)
        path = self.path / name
        return read_array(_read_only_member(path) if name.endswith(".zip") else _read_file(path), path)


def _read_file(path: Path) -> bytes:
    if not path.is_file():
        raise _unreadable(path, "a file", "none")
    _require_small(path, path.stat().st_size)
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, "a readable file", error.strerror) from error


def _read_only_member(path: Path) -> bytes:
    """Return the content of the one array in a zip archive of one."""
    with _open_archive(path) as archive:
        members = [
            member
            for member in archive.infolist()
            if member.filename.endswith(_SUFFIXES) and not member.filename.rpartition("/")[2].startswith(".")
        ]
        if len(members) != 1:
            names = ", ".join(shorten(name) for name in archive.namelist()[:3]) or "none"
            raise _unreadable(
                path, f"one member whose name ends in {' or '.join(_SUFFIXES)}", f"{len(members)}: {names}"
            )
        return _read_member(archive, members[0], path)


def _open_archive(path: Path) -> zipfile.ZipFile:
    if not path.is_file():
        raise _unreadable(path, "a folder or a zip archive of arrays", "neither")
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, ValueError, RuntimeError) as error:
        raise _unreadable(path, "a zip archive", error) from error


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, subject: object) -> bytes:
    _require_small(subject, member.file_size)
    if member.compress_type not in _PLAIN_METHODS:
        raise _unreadable(subject, "a member that is stored or deflated", f"method {member.compress_type}")
    try:
        with archive.open(member) as file:
            data = file.read(member.file_size)  # without a number it would unpack 2 GB and then look at the size
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, ValueError, RuntimeError) as error:
        raise _unreadable(subject, "a whole zip archive", error) from error
    if len(data) != member.file_size:
        raise _unreadable(subject, f"{member.file_size} bytes, as the archive says", f"{len(data)}")
    return data


def _require_small(subject: object, num_bytes: int) -> None:
    if num_bytes > MAX_BYTES:
        raise _unreadable(subject, f"at most {MAX_BYTES} bytes for a clip", f"{num_bytes}")


def _unreadable(subject: object, expected: str, found: object) -> ShardError:
    return ShardError(explain(subject, expected=expected, found=one_line(found), remedy="fetch it again"))

"""Arrays stored one per clip: a folder of ``<video_id>.zip``, ``.npy`` or ``.pkl``, or one zip archive of them.

So the code of VGGSound-AVEL's authors reads features and labels: zip files of pickles. Nothing is unpickled here. A
pickle is a program for a stack machine, which may call whatever it names; the machine of this module calls nothing::

    opcodes                                                  what is kept
    GLOBAL numpy…_reconstruct, (ndarray, (0,), b), REDUCE    a call that was asked for, with its arguments
    (1, (10, 128), dtype, False, bytes), BUILD               the state that was asked for

A name other than the few that NumPy writes for an array, or an opcode that an array does not need, is refused where it
stands. From what is kept an array is made only if it is one of plain numbers and has exactly the bytes that its shape
claims. At most :data:`MAX_BYTES` are read for a clip, and at most :data:`MAX_STEPS` opcodes run, so that memory stays
within a small multiple of what is read.
"""

import io
import math
import os
import pickle
import pickletools
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from pipeline.core.errors import ShardError, explain, one_line, shorten

MAX_BYTES = 256 * 2**20
"""Of one clip's array, unpacked; the largest known ones, (10, 1024, 7, 7) in float64, take 4 MB."""

MAX_STEPS = 1000
"""Opcodes of a pickle; NumPy writes some 60 for an array."""

MAX_DIMENSIONS = 64

NUMBER_CODES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
"""Types as NumPy names them, without byte order."""

_SUFFIXES = (".pkl", ".npy")
_PLAIN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others are unpacked without a limit
_NPY_MAGIC = b"\x93NUMPY"


class _Global(Enum):
    """What a pickled array may name."""

    RECONSTRUCT = "multiarray._reconstruct"
    FROM_BUFFER = "numeric._frombuffer"
    ARRAY = "numpy.ndarray"
    DTYPE = "numpy.dtype"
    ENCODE = "_codecs.encode"  # bytes, before pickles had them
    BYTES = "bytes"


_GLOBALS = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Global.RECONSTRUCT for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Global.FROM_BUFFER for core in ("core", "_core")},
    ("numpy", "ndarray"): _Global.ARRAY,
    ("numpy", "dtype"): _Global.DTYPE,
    ("_codecs", "encode"): _Global.ENCODE,
    ("__builtin__", "bytes"): _Global.BYTES,
    ("builtins", "bytes"): _Global.BYTES,
}


@dataclass(eq=False)
class _Call:
    """A call that a pickle asks for, and the state it gives to the result; neither is ever carried out."""

    function: _Global
    arguments: tuple[object, ...]
    state: object = None


class _UnreadableError(Exception):
    """What was found instead of an array, in words."""


def read_array(data: bytes, subject: object) -> np.ndarray:
    """Return the one array in `data`, which is a pickle (protocols 0 to 5, also of Python 2) or a ``.npy`` file.

    Parameters
    ----------
    data : bytes
    subject : object
        What errors call it: the file.

    Returns
    -------
    ndarray
        Of booleans, integers or floats, any shape; C order, native byte order, writable.

    Raises
    ------
    ShardError
        If it is anything else: another object, values that are no plain numbers, fewer or more bytes than the
        shape claims, a pickle that names anything or uses any opcode that an array does not need.
    """
    try:
        return _array_of_npy(data) if data.startswith(_NPY_MAGIC) else _array_of_pickle(data)
    except _UnreadableError as error:
        raise ShardError(
            explain(
                subject,
                expected="one array of plain numbers, as a pickle or .npy",
                found=error,
                remedy="fetch it again, or write it with numpy.save",
            )
        ) from error


def _array_of_npy(data: bytes) -> np.ndarray:
    file = io.BytesIO(data)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, is_fortran, dtype = readers[np.lib.format.read_magic(file)](file)
    except Exception as error:  # whatever evaluating a literal can raise
        raise _UnreadableError("a .npy header that is damaged, or of no plain numbers") from error
    byte_order, code = dtype.str[0], dtype.str[1:]
    return _array(shape, code, byte_order, memoryview(data)[file.tell() :], order="F" if is_fortran else "C")


def _array_of_pickle(data: bytes) -> np.ndarray:
    try:
        result = _Machine(data).run()
    except (IndexError, KeyError, ValueError) as error:
        raise _UnreadableError("a damaged pickle, or none") from error
    order: object
    axes: list[object] = []
    match result:
        case _Call(
            _Global.RECONSTRUCT, (_Global.ARRAY, *_), (int(), tuple() as shape, dtype, bool() as fortran, values)
        ):
            order = "F" if fortran else "C"
        case _Call(_Global.FROM_BUFFER, (values, dtype, tuple() as shape, str() as order, *axes), None):
            pass
        case _:
            raise _UnreadableError("a pickle of something else")
    match dtype:
        case _Call(_Global.DTYPE, (code, *_), (_, byte_order, None, None, None, *_)):
            array = _array(shape, _short_text(code), _short_text(byte_order), _buffer(values), order=order)
        case _:
            raise _UnreadableError("values of several parts, or of no stated type")
    match axes:
        case [] if order in ("C", "F"):
            return array
        case [tuple(axis_order)] if order == "K" and _is_permutation(axis_order, array.ndim):
            return np.array(array.transpose(axis_order), order="C")
        case _:
            raise _UnreadableError("axes in no stated order")


def _is_permutation(axis_order: tuple[object, ...], num_axes: int) -> bool:
    axes = [axis for axis in axis_order if type(axis) is int]
    return len(axes) == len(axis_order) and sorted(axes) == list(range(num_axes))


def _short_text(value: object) -> str:
    """Return a text of a few characters; Python 2 wrote them as bytes."""
    if isinstance(value, memoryview) and len(value) <= 8:
        return str(value, "latin1")
    if isinstance(value, str) and len(value) <= 8:
        return value
    raise _UnreadableError("values of no plain type")


def _buffer(values: object) -> bytes | memoryview:
    match values:
        case memoryview():
            return values
        case _Call(_Global.ENCODE, (str() as text, "latin1"), None):
            try:
                return text.encode("latin1")
            except UnicodeEncodeError as error:
                raise _UnreadableError("an array without bytes") from error
        case _Call(_Global.BYTES, (), None):
            return b""
    raise _UnreadableError("an array without bytes")


def _array(
    shape: tuple[object, ...], code: str, byte_order: str, data: bytes | memoryview, *, order: object
) -> np.ndarray:
    """Return a copy of `data` as an array, if shape and type are such that it can be one."""
    if code not in NUMBER_CODES or byte_order not in ("<", ">", "=", "|"):
        raise _UnreadableError(f"values of type {shorten(byte_order + code)}, which are no plain numbers")
    lengths = [length for length in shape if type(length) is int and 0 <= length < 2**63]
    if len(lengths) != len(shape) or len(shape) > MAX_DIMENSIONS:
        raise _UnreadableError("a shape that no array has")
    dtype = np.dtype(byte_order + code)
    num_bytes = math.prod(lengths) * dtype.itemsize
    if num_bytes != len(data):
        raise _UnreadableError(f"{len(data)} bytes where shape {tuple(lengths)} of {dtype} takes {num_bytes}")
    try:
        array = np.ndarray(lengths, dtype, data, order="F" if order == "F" else "C")
    except ValueError as error:  # no elements, but lengths beyond what an index can be
        raise _UnreadableError("a shape that no array has") from error
    return np.array(array, dtype.newbyteorder("="), order="C")


_TEXTS = {pickle.SHORT_BINUNICODE: 1, pickle.BINUNICODE: 4, pickle.BINUNICODE8: 8}
_BYTES = {
    pickle.SHORT_BINBYTES: 1,
    pickle.BINBYTES: 4,
    pickle.BINBYTES8: 8,
    pickle.BYTEARRAY8: 8,
    pickle.SHORT_BINSTRING: 1,
    pickle.BINSTRING: 4,
}
_LONGS = {pickle.LONG1: 1, pickle.LONG4: 4}
_UNSIGNED = {pickle.BININT1: 1, pickle.BININT2: 2}
_CONSTANTS = {pickle.NONE: None, pickle.NEWTRUE: True, pickle.NEWFALSE: False, pickle.EMPTY_TUPLE: ()}
_TUPLES = {pickle.TUPLE1: 1, pickle.TUPLE2: 2, pickle.TUPLE3: 3}
_PUTS = {pickle.BINPUT: 1, pickle.LONG_BINPUT: 4}
_GETS = {pickle.BINGET: 1, pickle.LONG_BINGET: 4}
_IGNORED = {pickle.PROTO: 1, pickle.FRAME: 8}
_NAMES = {opcode.code.encode("latin1"): opcode.name for opcode in pickletools.opcodes}
_MARK = object()


class _Machine:
    """Runs the opcodes that make arrays; values are numbers, texts, tuples, views of `data`, and calls asked for."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._view = memoryview(data)
        self._position = 0
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}

    def run(self) -> object:
        """Return what the pickle makes.

        Raises
        ------
        _UnreadableError
            If it asks for anything that an array does not need.
        IndexError, KeyError, ValueError
            If it is damaged.
        """
        for _ in range(MAX_STEPS):
            opcode = self._data[self._position : self._position + 1]
            self._position += 1
            if opcode == pickle.STOP:
                break
            self._step(opcode)
        else:
            raise _UnreadableError("a pickle of more steps than an array needs")
        (result,) = self._stack
        if self._position != len(self._data):
            raise _UnreadableError(f"a pickle with {len(self._data) - self._position} bytes behind its end")
        return result

    def _step(self, opcode: bytes) -> None:
        push = self._stack.append
        if opcode == pickle.MEMOIZE:
            self._memo[len(self._memo)] = self._stack[-1]
        elif opcode in _PUTS:
            self._memo[self._number(_PUTS[opcode])] = self._stack[-1]
        elif opcode == pickle.PUT:
            self._memo[int(self._line())] = self._stack[-1]
        elif opcode in _IGNORED:
            self._take(_IGNORED[opcode])
        elif opcode in _CONSTANTS:
            push(_CONSTANTS[opcode])
        elif opcode in _UNSIGNED:
            push(self._number(_UNSIGNED[opcode]))
        elif opcode == pickle.BININT:
            push(int.from_bytes(self._take(4), "little", signed=True))
        elif opcode in _LONGS:
            push(int.from_bytes(self._take(self._number(_LONGS[opcode])), "little", signed=True))
        elif opcode == pickle.INT:
            text = self._line()
            push(text == "01" if text in ("00", "01") else int(text))
        elif opcode == pickle.LONG:
            push(int(self._line().removesuffix("L")))
        elif opcode in _TEXTS:
            push(str(self._take(self._number(_TEXTS[opcode])), "utf-8"))
        elif opcode == pickle.UNICODE:
            push(self._line("raw_unicode_escape"))
        elif opcode in _BYTES:
            push(self._take(self._number(_BYTES[opcode])))
        elif opcode == pickle.STRING:
            push(memoryview(_unescaped(self._line("unicode_escape"))))
        elif opcode == pickle.MARK:
            push(_MARK)
        elif opcode in _TUPLES:
            push(self._pop(_TUPLES[opcode]))
        elif opcode == pickle.TUPLE:
            values = []
            while (value := self._stack.pop()) is not _MARK:
                values.append(value)
            push(tuple(reversed(values)))
        elif opcode in _GETS:
            push(self._memo[self._number(_GETS[opcode])])
        elif opcode == pickle.GET:
            push(self._memo[int(self._line())])
        elif opcode == pickle.GLOBAL:
            push(_global(self._line(), self._line()))
        elif opcode == pickle.STACK_GLOBAL:
            push(_global(*self._pop(2)))
        elif opcode == pickle.REDUCE:
            function, arguments = self._pop(2)
            if not isinstance(function, _Global) or not isinstance(arguments, tuple):
                raise _UnreadableError("a pickle that calls something else than NumPy's functions")
            push(_Call(function, arguments))
        elif opcode == pickle.BUILD:
            target, state = self._pop(2)
            if not isinstance(target, _Call):
                raise _UnreadableError("a pickle that gives a state to something else than an array")
            target.state = state
            push(target)
        elif not opcode:
            raise _UnreadableError("a pickle that ends too early")
        elif opcode in _NAMES:
            raise _UnreadableError(f"a pickle with the opcode {_NAMES[opcode]}, which no array needs")
        else:
            raise ValueError(opcode)

    def _take(self, num_bytes: int) -> memoryview:
        start, self._position = self._position, self._position + num_bytes
        if self._position > len(self._data):
            raise _UnreadableError("a pickle that ends too early")
        return self._view[start : self._position]

    def _number(self, num_bytes: int) -> int:
        return int.from_bytes(self._take(num_bytes), "little")

    def _line(self, encoding: str = "utf-8") -> str:
        end = self._data.find(b"\n", self._position)
        if end < 0:
            raise _UnreadableError("a pickle that ends too early")
        line = str(self._take(end - self._position), encoding)
        self._take(1)
        return line

    def _pop(self, count: int) -> tuple[object, ...]:
        """Remove the last `count` values; a mark is none."""
        values = tuple(self._stack[-count:])
        if len(values) < count or any(value is _MARK for value in values):
            raise IndexError(count)
        del self._stack[-count:]
        return values


def _global(module: object, name: object) -> _Global:
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("a name that is no text")
    if (module, name) not in _GLOBALS:
        raise _UnreadableError(f"a pickle that asks for {shorten(f'{module}.{name}')}, which is no part of an array")
    return _GLOBALS[module, name]


def _unescaped(literal: str) -> bytes:
    """Return the bytes of a literal of Python 2 whose escapes are resolved."""
    if len(literal) < 2 or literal[0] != literal[-1] or literal[0] not in "'\"":
        raise ValueError("no quotes")
    return literal[1:-1].encode("latin1")


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
        """Return the array of a video, see :func:`read_array`.

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

"""One array from the bytes of a pickle or of a ``.npy`` file. Nothing is unpickled.

A pickle is a program for a stack machine, which may call whatever it names; the machine of this module calls nothing::

    opcodes                                                  what is kept
    GLOBAL numpy…_reconstruct, (ndarray, (0,), b), REDUCE    a call that was asked for, with its arguments
    (1, (10, 128), dtype, False, bytes), BUILD               the state that was asked for

A name other than the few that NumPy writes for an array, or an opcode that an array does not need, is refused where it
stands. From what is kept an array is made only if it is one of plain numbers and has exactly the bytes that its shape
claims. At most :data:`MAX_STEPS` opcodes run, so that memory stays within a small multiple of what is read.
"""

import io
import math
import pickle
import pickletools
from dataclasses import dataclass
from enum import Enum

import numpy as np

from pipeline.core.errors import ShardError, explain, shorten

MAX_STEPS = 1000
"""Opcodes of a pickle; NumPy writes some 60 for an array."""

MAX_DIMENSIONS = 64

NUMBER_CODES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
"""Types as NumPy names them, without byte order."""

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

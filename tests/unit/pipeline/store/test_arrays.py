"""Honest arrays of every protocol are read; whatever else a file can hold is refused, and nothing of it is done."""

import copyreg
import os
import pickle
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avel_testing.arrays import assert_same, npy
from pipeline.core.errors import ShardError
from pipeline.store.arrays import NUMBER_CODES, read_array

AUDIO = np.arange(1280, dtype=np.float32).reshape(10, 128) / 7
SMALL = np.array([[1, 2, 3], [4, 5, 6]], "<f4")
PROTOCOLS = range(6)

ARRAYS = {
    "audio": AUDIO,
    "fortran": np.asfortranarray(AUDIO),
    "transposed": np.arange(24, dtype=np.float64).reshape(2, 3, 4).transpose(1, 2, 0),
    "strided": AUDIO[::3, ::-2],
    "other byte order": AUDIO.astype(">f4"),
    "fortran in other byte order": np.asfortranarray(AUDIO.astype(">f8")),
    "labels": np.array([[0, 1, 1, 0, 1, 1, 1, 1, 0, 1]]),
    "no axes": np.array(2.5),
    "no rows": np.zeros((0, 128), np.float32),
    **{code: (np.arange(300) % 251).astype(code) for code in NUMBER_CODES},
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_array_pickled_by_any_protocol_is_read(array: np.ndarray, protocol: int) -> None:
    assert_same(read_array(pickle.dumps(array, protocol), "x"), array)


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_an_array_saved_by_numpy_is_read(array: np.ndarray) -> None:
    assert_same(read_array(npy(array), "x"), array)


def test_a_read_only_array_is_read() -> None:
    array = AUDIO.copy()
    array.flags.writeable = False
    assert_same(read_array(pickle.dumps(array, 5), "x"), array)


def by_numpy_1(array: np.ndarray, protocol: int) -> bytes:
    """Return the pickle that NumPy 1 writes, in which a module has another name."""
    data = pickle.dumps(array, protocol)
    for part in (b"multiarray", b"numeric"):
        old, new = b"numpy.core." + part, b"numpy._core." + part
        data = data.replace(bytes([len(new)]) + new, bytes([len(old)]) + old).replace(b"c" + new, b"c" + old)
    if protocol >= 4:
        data = data[:3] + struct.pack("<Q", len(data) - 11) + data[11:]
    return data


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_numpy_1_are_read(protocol: int) -> None:
    data = by_numpy_1(SMALL, protocol)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        np.testing.assert_array_equal(pickle.loads(data), SMALL)
    assert b"numpy.core" in data
    assert_same(read_array(data, "x"), SMALL)


PYTHON_2 = {
    "protocol 2": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85q\x03U\x01bq\x04"
    b"\x87q\x05Rq\x06(K\x01K\x02\x8a\x01\x03\x86q\x07cnumpy\ndtype\nq\x08U\x02f4q\tK\x00K\x01\x87q\nRq\x0b(K\x03U\x01<q\x0c"
    b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\rb\x89T\x18\x00\x00\x00" + SMALL.tobytes() + b"q\x0etq\x0fb.",
    "protocol 0": b"cnumpy.core.multiarray\n_reconstruct\np1\n(cnumpy\nndarray\np2\n(I0\ntp3\nS'b'\np4\ntp5\nRp6\n"
    b"(I1\n(L2L\nI3\ntp7\ncnumpy\ndtype\np8\n(S'f4'\np9\nI0\nI1\ntp10\nRp11\n(I3\nS'<'\np12\nNNNI-1\nI-1\nI0\ntp13\nbI00\n"
    + b"S"
    + ascii(SMALL.tobytes())[1:].encode()
    + b"\np14\ntp15\nb.",
}


@pytest.mark.parametrize("data", PYTHON_2.values(), ids=PYTHON_2)
def test_arrays_pickled_by_python_2_are_read(data: bytes) -> None:
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        np.testing.assert_array_equal(pickle.loads(data, encoding="latin1"), SMALL)
    assert_same(read_array(data, "x"), SMALL)


def test_every_byte_survives_the_escapes_of_python_2() -> None:
    values = bytes(range(256)) + b"'"
    data = PYTHON_2["protocol 0"].replace(b"S'f4'", b"S'u1'").replace(b"(L2L\nI3\n", b"(I257\n")
    data = data.replace(ascii(SMALL.tobytes())[1:].encode(), ascii(values)[1:].encode())
    assert read_array(data, "x").tobytes() == values


class Harmful:
    """Pickles as a call of `function`."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("after_an_array", [False, True])
def test_nothing_that_a_pickle_calls_is_called(tmp_path: Path, protocol: int, after_an_array: bool) -> None:
    marker = tmp_path / "marker"
    harmful = Harmful(os.system, f"touch {marker}")
    data = pickle.dumps((AUDIO, harmful) if after_an_array else harmful, protocol)
    with pytest.raises(ShardError, match=rf"^clip\.zip: .*'{os.name}\.system', which is no part of an array"):
        read_array(data, "clip.zip")
    assert not marker.exists()
    pickle.loads(data)
    assert marker.exists(), "harmless"


def test_an_extension_that_the_process_knows_is_refused(tmp_path: Path) -> None:
    """Python looks known codes up in a cache and asks no `find_class` for them."""
    marker = tmp_path / "marker"
    data = b"\x80\x02\x82\xf0" + text(str(marker)) + b"\x85R."
    copyreg.add_extension("os", "mkdir", 240)
    try:
        with pytest.raises(ShardError, match="the opcode EXT1, which no array needs"):
            read_array(data, "x")
        assert not marker.exists()
        pickle.loads(data)
        assert marker.exists(), "harmless"
    finally:
        copyreg.remove_extension("os", "mkdir", 240)


def text(value: str) -> bytes:
    return pickle.BINUNICODE + struct.pack("<I", len(value)) + value.encode()


def raw(value: bytes) -> bytes:
    return pickle.BINBYTES + struct.pack("<I", len(value)) + value


NDARRAY = b"cnumpy\nndarray\n"
DTYPE_STATE = b"(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"


def dtype(code: bytes, state: bytes = DTYPE_STATE) -> bytes:
    return b"cnumpy\ndtype\n(" + code + b"\x89\x88tR" + state + b"b"


def crafted(
    *,
    shape: bytes = b"K\x02K\x03\x86",
    kind: bytes = dtype(text("f4")),
    is_fortran: bytes = b"\x89",
    values: bytes = raw(SMALL.tobytes()),
) -> bytes:
    """Return a pickle of `SMALL`, or of what the given pieces of it say instead."""
    start = b"cnumpy.core.multiarray\n_reconstruct\n(" + NDARRAY + b"K\x00\x85" + raw(b"b") + b"tR"
    return start + b"(K\x01" + shape + kind + is_fortran + values + b"tb."


def from_buffer(order: bytes) -> bytes:
    pieces = raw(SMALL.tobytes()) + dtype(text("f4")) + b"K\x02K\x03\x86" + order
    return b"cnumpy._core.numeric\n_frombuffer\n(" + pieces + b"tR."


def test_the_crafted_pickles_are_read_where_nothing_is_wrong() -> None:
    assert_same(read_array(crafted(), "x"), SMALL)
    assert_same(read_array(from_buffer(text("C")), "x"), SMALL)
    assert_same(read_array(from_buffer(text("K") + b"K\x01K\x00\x86"), "x"), SMALL.T)


def saved(*, shape: str = "(2, 3)", version: int = 1) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + SMALL.tobytes()


@pytest.mark.parametrize("version", [1, 2])
def test_both_formats_of_npy_are_read(version: int) -> None:
    assert_same(read_array(saved(version=version), "x"), SMALL)


REFUSED = {
    "eval": (pickle.dumps(Harmful(eval, "1 + 1")), r"'builtins\.eval', which is no part of an array"),
    "path of attributes": (text("numpy") + text("ndarray.tofile") + b"\x93.", r"'numpy\.ndarray\.tofile', which is no"),
    "path of attributes in a line": (b"cnumpy\nndarray.tofile\n.", r"'numpy\.ndarray\.tofile', which is no part"),
    "other function of numpy": (b"cnumpy\nload\n.", r"'numpy\.load', which is no part of an array"),
    "name of several lines": (text("os\nx: y") + text("system\0") + b"\x93.", r"'os\\nx: y\.system\\x00', which is"),
    "long name": (text("a" * 200) + text("b") + b"\x93.", r"'a{60}'…, which is no part of an array"),
    "name that is no text": (b"K\x01K\x02\x93.", "a damaged pickle, or none"),
    "persistent id": (b"Pos.system\n.", "the opcode PERSID, which no array needs"),
    "binary persistent id": (b"K\x01Q.", "the opcode BINPERSID, which no array needs"),
    "extension": (b"\x84\xf0\x00\x00\x00.", "the opcode EXT4, which no array needs"),
    "instance": (b"(S'true'\nios\nsystem\n.", "the opcode INST, which no array needs"),
    "object": (b"(" + NDARRAY + b"o.", "the opcode OBJ, which no array needs"),
    "new object": (NDARRAY + b")\x81.", "the opcode NEWOBJ, which no array needs"),
    "buffer from elsewhere": (b"\x80\x05\x97.", "the opcode NEXT_BUFFER, which no array needs"),
    "dictionary": (pickle.dumps({"a": AUDIO}), "the opcode EMPTY_DICT, which no array needs"),
    "list": (pickle.dumps([0, 1]), "the opcode EMPTY_LIST, which no array needs"),
    "number": (b"K\x01.", "a pickle of something else"),
    "call of a number": (b"K\x01)R.", "that calls something else than NumPy's functions"),
    "call of a text": (text("os.system") + b")R.", "that calls something else than NumPy's functions"),
    "call of what was called": (NDARRAY + b")R)R.", "that calls something else than NumPy's functions"),
    "call without arguments": (NDARRAY + b"NR.", "that calls something else than NumPy's functions"),
    "state of a function": (NDARRAY + b")b.", "that gives a state to something else than an array"),
    "state of a number": (b"K\x01)b.", "that gives a state to something else than an array"),
    "array by its type": (NDARRAY + b"(K\x0a\x85" + dtype(text("f4")) + b"tR.", "a pickle of something else"),
    "array without a state": (crafted().partition(b"(K\x01")[0] + b".", "a pickle of something else"),
    "subclass": (pickle.dumps(np.ma.array([1, 2])), r"numpy\.ma\.core\._mareconstruct', which is no part"),
    "subclass of ours": (crafted().replace(NDARRAY, b"cnumpy\nmatrix\n"), r"'numpy\.matrix', which is no part"),
    "array of another kind": (crafted().replace(NDARRAY, b"cbuiltins\nbytes\n"), "a pickle of something else"),
    "scalar": (pickle.dumps(np.float64(1)), r"multiarray\.scalar', which is no part of an array"),
    "two values": (b"K\x01K\x02.", "a damaged pickle, or none"),
    "nothing": (b"", "a pickle that ends too early"),
    "text": (b"video_id,label\n", "a damaged pickle, or none"),
    "mark as a value": (b"(\x85.", "a damaged pickle, or none"),
    "memo of nothing": (b"h\x07.", "a damaged pickle, or none"),
    "number of many digits": (b"L" + b"9" * 5000 + b"L\n.", "a damaged pickle, or none"),
    "literal without quotes": (b"Sab\n.", "a damaged pickle, or none"),
    "bytes behind the end": (pickle.dumps(AUDIO) * 2, r"a pickle with \d+ bytes behind its end"),
    "objects": (pickle.dumps(np.array([None, 1], object)), "the opcode EMPTY_LIST, which no array needs"),
    "pointers": (crafted(kind=dtype(text("O8"))), r"values of type '<O8', which are no plain numbers"),
    "texts": (pickle.dumps(np.array(["ab"]), 5), r"values of type '<U2', which are no plain numbers"),
    "bytes": (pickle.dumps(np.array([b"ab"]), 5), r"values of type '\|S2', which are no plain numbers"),
    "complex numbers": (pickle.dumps(np.array([1j])), r"values of type '<c16', which are no plain numbers"),
    "dates": (pickle.dumps(np.array(["2020-01-01"], "M8[D]"), 2), r"values of type '<M8', which are no plain numbers"),
    "fields": (pickle.dumps(np.zeros(2, "i4,f4")), "the opcode EMPTY_DICT, which no array needs"),
    "fields in words": (crafted(kind=dtype(text("f4,f4"))), r"values of type '<f4,f4', which are no plain numbers"),
    "parts": (crafted(kind=dtype(text("f4"), DTYPE_STATE.replace(b"NNN", b"N)N"))), "values of several parts"),
    "type without a state": (crafted(kind=dtype(text("f4")).replace(DTYPE_STATE + b"b", b"")), "of no stated type"),
    "type that is a number": (crafted(kind=b"K\x04"), "of no stated type"),
    "long name of a type": (crafted(kind=dtype(text("(1000,)f4"))), "values of no plain type"),
    "name of a type that is a number": (crafted(kind=dtype(b"K\x04")), "values of no plain type"),
    "odd byte order": (crafted(kind=dtype(text("4"), DTYPE_STATE.replace(b"<", b"f"))), r"values of type 'f4', which"),
    "more claimed": (crafted(shape=b"K\x02K\x04\x86"), r"24 bytes where shape \(2, 4\) of float32 takes 32"),
    "less claimed": (crafted(shape=b"K\x02K\x02\x86"), r"24 bytes where shape \(2, 2\) of float32 takes 16"),
    "huge shape": (
        crafted(shape=b"J\xff\xff\xff\x7f" * 3 + b"\x87"),
        r"24 bytes where shape \(2147483647, .* takes 39",
    ),
    "lengths beyond any": (crafted(shape=b"K\x06\x8a\x09" + b"\xff" * 8 + b"\x00\x86"), "a shape that no array has"),
    "negative lengths": (crafted(shape=b"J\xfe\xff\xff\xffJ\xfe\xff\xff\xff\x86"), "a shape that no array has"),
    "lengths that are no numbers": (crafted(shape=b"\x88K\x06\x86"), "a shape that no array has"),
    "many axes": (crafted(shape=b"(" + b"K\x01" * 65 + b"t"), "a shape that no array has"),
    "empty but endless": (
        crafted(shape=b"K\x00" + b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f" * 2 + b"\x87", values=raw(b"")),
        "a shape that no array has",
    ),
    "shape of lists": (crafted(shape=b"K\x06"), "a pickle of something else"),
    "order that is a number": (crafted(is_fortran=b"K\x07"), "a pickle of something else"),
    "no values": (crafted(values=b"N"), "an array without bytes"),
    "values in another encoding": (
        crafted(values=b"c_codecs\nencode\n" + text("a" * 24) + text("utf-16") + b"\x86R"),
        "an array without bytes",
    ),
    "values that are no bytes": (
        crafted(values=b"c_codecs\nencode\n" + pickle.UNICODE + rb"\u0100" + b"\n" + text("latin1") + b"\x86R"),
        "an array without bytes",
    ),
    "unknown order": (from_buffer(text("A")), "axes in no stated order"),
    "order of no axes": (from_buffer(text("K")), "axes in no stated order"),
    "order of too few axes": (from_buffer(text("K") + b"K\x00\x85"), "axes in no stated order"),
    "order of other axes": (from_buffer(text("K") + b"NK\x00K\x01\x87"), "axes in no stated order"),
    "saved objects": (npy(np.array([None, 1], object)), r"values of type '\|O', which are no plain numbers"),
    "saved fields": (npy(np.zeros(2, "i4,f4")), r"values of type '\|V8', which are no plain numbers"),
    "saved by a later format": (saved(version=3), r"a \.npy header that is damaged, or of no plain numbers"),
    "saved and cut": (npy(SMALL)[:-1], r"23 bytes where shape \(2, 3\) of float32 takes 24"),
    "saved with more": (npy(SMALL) + b"\0", r"25 bytes where shape \(2, 3\) of float32 takes 24"),
    "saved as huge": (saved(shape="(2000000, 3000000)"), r"24 bytes where shape .* takes 24000000000000"),
    "saved as less than nothing": (saved(shape="(-2, -3)"), "a shape that no array has"),
    "saved with a call": (saved(shape="open('x')"), r"a \.npy header that is damaged, or of no plain numbers"),
    "saved with a deep header": (saved(shape="(" * 5000), r"a \.npy header that is damaged, or of no plain numbers"),
    "cut header": (npy(SMALL)[:40], r"a \.npy header that is damaged, or of no plain numbers"),
}


@pytest.mark.parametrize(("data", "found"), REFUSED.values(), ids=REFUSED)
def test_anything_but_one_array_of_plain_numbers_is_refused(data: bytes, found: str) -> None:
    with pytest.raises(
        ShardError, match=f"^clip.zip: expected one array of plain numbers, as a pickle or .npy, found .*{found}"
    ) as error:
        read_array(data, "clip.zip")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 250


@pytest.mark.parametrize(
    "data",
    [
        pickle.BYTEARRAY8 + struct.pack("<Q", 2**40) + b"x.",
        pickle.BINUNICODE8 + struct.pack("<Q", 2**62) + b"x.",
        pickle.FRAME + struct.pack("<Q", 2**62) + b"N.",
        b"N" * 200_000 + b".",
        b"N" + pickle.MEMOIZE * 200_000 + b".",
        b")" + b"2\x86" * 100_000 + b".",
        crafted(shape=b"J\xff\xff\xff\x7f" * 2 + b"\x86"),
        saved(shape="(200000, 300000)"),
    ],
    ids=["bytes", "text", "frame", "stack", "memo", "tuples", "shape", "saved shape"],
)
def test_what_a_file_claims_takes_no_memory(peak_of_at_most, data: bytes) -> None:
    with peak_of_at_most(2**20), pytest.raises(ShardError):
        read_array(data, "x")


def test_a_high_number_in_the_memo_takes_no_memory(peak_of_at_most) -> None:
    """Python itself makes room for all numbers below it."""
    data = crafted(shape=b"K\x02K\x03\x86" + pickle.LONG_BINPUT + b"\xff\xff\xff\xff")
    with peak_of_at_most(2**20):
        assert_same(read_array(data, "x"), SMALL)


WHOLE = {
    **{f"protocol {protocol}": pickle.dumps(SMALL, protocol) for protocol in PROTOCOLS},
    **{f"Python 2, {name}": data for name, data in PYTHON_2.items()},
    "npy": npy(SMALL),
}


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_a_file_cut_anywhere_is_refused(data: bytes) -> None:
    for length in range(len(data)):
        with pytest.raises(ShardError):
            read_array(data[:length], "x")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_a_file_changed_anywhere_is_an_array_or_refused(data: bytes) -> None:
    rng = np.random.default_rng(0)
    num_refused = 0
    for position in range(len(data)):
        for value in rng.integers(256, size=12).astype(np.uint8):
            changed = data[:position] + bytes([value]) + data[position + 1 :]
            try:
                assert read_array(changed, "x").size in (0, 6, 12, 24)
            except ShardError:
                num_refused += 1
    assert num_refused > 6 * len(data)

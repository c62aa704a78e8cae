"""Make the copy of the golden vectors in this folder: ``python pack.py FOLDER``. README.md says what is left out."""

import argparse
import io
import json
import lzma
import re
import shutil
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
UNREAD = "manifest"
"""How the name of the file begins that no test reads: hashes of what is not here."""
LEFT_OUT = ("thr0.095", "thr0.12")
"""How the names of arrays begin that no test reads, and of two thresholds of the PSP block out of five."""
WHOLE = {"fully_psp", "psp_block", "cmran_weakly_res", "avsdn_fully_vgg", "avel_fully_vgg"}
"""The models, one of each network, that keep every step on the way."""
SMALL_BYTES = 20_000
"""The other models keep what they return and what is small."""
EXPECTED = re.compile(r"models/.*|train_\w+/fusion|vggish_network/(features|flat)_\w+|losses/.*\.grad_\w+")
"""Arrays, as ``file/array``, that tests only compare, with an absolute tolerance of 1e-9."""
QUANTUM = 2.0**-35
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 3, "pb": 3}]
"""LZMA for numbers of eight bytes."""


def is_kept(file: str, array: str, values: np.ndarray) -> bool:
    """Return whether an array belongs to the copy."""
    if array.startswith(LEFT_OUT):
        return False
    folder, _, model = file.rpartition("/")
    return not folder or model in WHOLE or array.startswith("out") or values.nbytes <= SMALL_BYTES


def rounded(values: np.ndarray) -> np.ndarray:
    """Return double precision to the nearest multiple of the quantum, and what is not double as it is."""
    return np.round(values / QUANTUM) * QUANTUM if values.dtype == np.float64 else values


def pack_arrays(source: Path, file: str) -> bytes:
    """Return the arrays of ``<file>.npz`` that the copy keeps, as a compressed npz."""
    with np.load(source / f"{file}.npz", allow_pickle=False) as stored:
        arrays = {
            name: rounded(values) if EXPECTED.fullmatch(f"{file}/{name}") else values
            for name, values in stored.items()
            if is_kept(file, name, values)
        }
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return lzma.compress(content.getvalue(), filters=FILTERS)


def pack(source: Path) -> None:
    """Write the copy of the set in `source`: arrays as ``.npz.xz``, descriptions as JSON, the README by its side."""
    for path in sorted([*source.glob("*.*"), *source.glob("models/*.*")]):
        name = path.relative_to(source).as_posix()
        file = name.removesuffix(path.suffix)
        target = HERE / name
        target.parent.mkdir(exist_ok=True)
        if name == "README.md":
            shutil.copyfile(path, HERE / "VECTORS.md")
        elif file.startswith(UNREAD):
            continue
        elif path.suffix == ".json":
            content = json.dumps(json.loads(path.read_text(encoding="utf-8")), separators=(",", ":"))
            target.write_text(f"{content}\n", encoding="utf-8")
        elif path.suffix == ".npz":
            target.with_name(f"{target.name}.xz").write_bytes(pack_arrays(source, file))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="folder of the whole set")
    pack(parser.parse_args().source)

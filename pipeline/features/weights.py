"""Network weights: published ones by name and hash, local files, or seeded random ones.

Published files are fetched once into ``data/weights``, verified, and never trusted by name alone. Nothing is
unpickled: ``.pth`` files are read with ``weights_only=True``, Keras files with h5py, ``.npz`` files with
``allow_pickle=False``.
"""

import hashlib
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import h5py
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from tqdm import tqdm

from pipeline.backbones.sources import NETWORK_LAYOUTS, Layout, Source, weights_layout
from pipeline.core.errors import WeightsError, explain, one_line
from pipeline.core.files import atomic_write, repository_root, sha256_of_file

StateDict = dict[str, Tensor]
KerasArrays = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Weights:
    """The weights that a `weights` parameter stands for, and their hash, which is written beside every result of them.

    Parameters
    ----------
    content : dict
        Arrays as the file has them: a state dict, or Keras layers; empty for random weights, which the network
        draws from its seed.
    layout : str
        ``keras``, ``torch``, ``numpy`` or ``random``; it decides the preprocessing of images.
    sha256 : str
        Of the file; ``random:<seed>`` for random weights.
    """

    content: dict[str, Any]
    layout: Layout
    sha256: str


def load_weights(
    weights: str,
    sources: dict[str, Source],
    *,
    sha256: str | None,
    seed: int,
    layouts: tuple[Layout, ...] = NETWORK_LAYOUTS,
) -> Weights:
    """Return the weights a `weights` parameter names, fetched and verified.

    Parameters
    ----------
    weights : str
        ``random``, a key of `sources`, or the path of a local file.
    sources : dict
        Published files by name.
    sha256 : str or None
        First digits (8 or more) of the file's hash; None accepts any local file.
    seed : int
        Names random weights.
    layouts : tuple of str, optional
        What a local file may hold, see :func:`weights_layout`.

    Raises
    ------
    WeightsError
        If a file is missing and cannot be fetched, has another hash, or cannot be read without unpickling.
    """
    layout = weights_layout(weights, sources, layouts)
    if layout == "random":
        return Weights({}, layout, f"random:{seed}")
    if weights in sources:
        path = fetch(sources[weights])
    else:
        path = Path(weights) if Path(weights).is_absolute() else repository_root() / weights
        if not path.is_file():
            raise WeightsError(
                explain(path, expected="a weights file", found="no file", remedy="correct the path in params.yaml")
            )
    if sha256 is not None:
        _verify(path, f"sha256:{sha256}", path)
    readers: dict[Layout, Callable[[Path], dict[str, Any]]] = {
        "keras": read_keras,
        "torch": read_torch,
        "numpy": read_numpy,
    }
    return Weights(readers[layout](path), layout, sha256_of_file(path))


def fetch(source: Source) -> Path:
    """Return the verified local copy of `source`, downloading it if it is not there.

    Raises
    ------
    WeightsError
        If the host cannot be reached or the file has another hash; a file with another hash is never kept.
    """
    path = repository_root() / "data" / "weights" / source.file
    if path.is_file():
        _verify(path, source.digest, path)
        return path
    try:
        with atomic_write(path) as temporary:
            _download(source.url, temporary)
            _verify(temporary, source.digest, source.url)
    except WeightsError:
        raise
    except (OSError, HTTPException) as error:
        raise WeightsError(
            explain(
                f"data/weights/{source.file}",
                expected=f"a download from {source.url}",
                found=one_line(error),
                remedy="fetch it on a machine with network access and copy it to that place",
            )
        ) from error
    return path


def _download(url: str, path: Path) -> None:
    with urllib.request.urlopen(url, timeout=60) as response, path.open("wb") as file:
        total = int(response.headers.get("Content-Length") or 0) or None
        with tqdm(total=total, unit="B", unit_scale=True, desc=path.name, disable=None) as progress:
            while block := response.read(1 << 20):
                file.write(block)
                progress.update(len(block))


def _verify(path: Path, digest: str, subject: object) -> None:
    algorithm, expected = digest.split(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if not found.startswith(expected):
        raise WeightsError(
            explain(
                subject,
                expected=f"{algorithm} {expected}",
                found=found,
                remedy="do not use this file; delete it and fetch it again",
            )
        )


def read_torch(path: Path) -> StateDict:
    """Read a state dict from a ``.pth`` or ``.safetensors`` file without unpickling anything but tensors.

    Arrays of floats count as tensors: the PCA parameters of torchvggish were saved before they were converted.

    Raises
    ------
    WeightsError
        If the file holds anything else.
    """
    if not path.is_file():
        raise WeightsError(explain(path, expected="a file of weights", found="no file", remedy="name one that exists"))
    try:
        with torch.serialization.safe_globals(_array_globals()):
            state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        if isinstance(state, dict):
            state = {key: _as_tensor(value) for key, value in state.items()}
    except Exception as error:  # torch raises UnpicklingError, RuntimeError, EOFError, KeyError …
        # Torch's own text advises to unpickle the file after all.
        is_pickle = isinstance(error, UnpicklingError)
        raise WeightsError(
            explain(
                path,
                expected="a state dict of tensors",
                found="other Python objects, which are not loaded" if is_pickle else "a damaged or foreign file",
                remedy="name a file that holds only tensors",
            )
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise WeightsError(
            explain(
                path,
                expected="a state dict of tensors",
                found=type(state).__name__,
                remedy="save `model.state_dict()` alone",
            )
        )
    return state


def _array_globals() -> list[Any]:
    """Return what torch may call to rebuild an array of floats, under the names that NumPy 1 and 2 give it."""
    rebuild: Any = np.empty(0).__reduce__()[0]
    names = [f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")]
    return [*((rebuild, name) for name in names), np.ndarray, np.dtype, np.dtypes.Float32DType, np.dtypes.Float64DType]


def _as_tensor(value: object) -> object:
    return torch.from_numpy(value) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value


def read_numpy(path: Path) -> StateDict:
    """Read the arrays of an ``.npz`` file as a state dict, float64, without unpickling anything.

    Raises
    ------
    WeightsError
        If the file holds anything but numbers.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(file[name].astype(np.float64, casting="same_kind")) for name in file.files}
    except Exception as error:  # NumPy raises ValueError, BadZipFile, EOFError, TypeError, MemoryError …
        # NumPy's own text advises to unpickle the file after all; it takes whatever it does not know for a pickle.
        raise WeightsError(
            explain(
                path,
                expected="arrays of numbers in an .npz file",
                found="a damaged or foreign file, or other Python objects, which are not loaded",
                remedy="name a file that holds only numbers",
            )
        ) from error


def read_keras(path: Path) -> KerasArrays:
    """Read the convolutions of a Keras ``.h5`` weights file with h5py alone.

    Returns
    -------
    dict
        Layer name to kernel (height, width, in, out) and bias (out,), float32, for every group of the file that
        holds, at any depth, exactly one array of four axes and one of one.

    Raises
    ------
    WeightsError
        If the file is no HDF5.
    """
    layers: KerasArrays = {}
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            for layer, group in root.items() if isinstance(root, h5py.Group) else ():
                arrays: list[np.ndarray] = []
                if isinstance(group, h5py.Group):
                    group.visititems(lambda _, item, into=arrays: _collect(item, into))
                if sorted(array.ndim for array in arrays) == [1, 4]:
                    bias, kernel = sorted(arrays, key=lambda array: array.ndim)
                    layers[layer] = kernel, bias
    except OSError as error:
        raise WeightsError(
            explain(path, expected="a Keras weights file", found="no readable HDF5 file", remedy="fetch it again")
        ) from error
    return layers


def _collect(item: h5py.Dataset | h5py.Group, into: list[np.ndarray]) -> None:
    if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
        into.append(np.asarray(item[()], dtype=np.float32))


def load_into(network: nn.Module, state: StateDict) -> None:
    """Load a state dict into `network`.

    Older files lack the number of batches that batch normalisation was trained on; no value depends on it.

    Raises
    ------
    WeightsError
        If a parameter is missing, unknown or of another shape; the first one is named.
    """
    own = network.state_dict()
    for key in [*own, *state]:
        if key not in state and key.endswith(".num_batches_tracked"):
            continue
        expected = tuple(own[key].shape) if key in own else "no such parameter"
        found = tuple(state[key].shape) if key in state else "none"
        if expected != found:
            raise WeightsError(
                explain(
                    f"parameter {key} of {type(network).__name__}",
                    expected=expected,
                    found=found,
                    remedy="name the weights of this network",
                )
            )
    network.load_state_dict(state)

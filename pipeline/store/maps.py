"""Maps of a network: its attention and the segments it connected, clip by clip, as a file beside the predictions.

``maps.safetensors`` holds arrays ``<split>/<map>`` in float16; their first axis is the clips, in the order in which
``predictions.csv`` (test) and ``predictions_val.csv`` name them. ``attention`` (N, T, P) is the weight of each position
of the visual map, row by row; methods with positive sample propagation also have the matrices (N, T, T) of
:class:`models.localization.propagation.Propagation` that
:data:`pipeline.training.localization.decisions.MATRICES` names. Of parsing there are the probabilities of segments and
clips, see :mod:`pipeline.evaluation.parsing`.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pipeline.core.errors import PipelineError, explain, one_line
from pipeline.core.files import atomic_write


def save_maps(path: Path, maps_of_split: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Write the maps of each split, by name."""
    arrays = {
        f"{split}/{name}": np.ascontiguousarray(array)  # of transposed ones, the bytes would be written as they lie
        for split, maps in maps_of_split.items()
        for name, array in maps.items()
    }
    with atomic_write(path) as temporary:
        save_file(arrays, temporary)


def load_maps(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Read what :func:`save_maps` wrote: split to name to array.

    Raises
    ------
    PipelineError
        If the file is missing or damaged.
    """
    try:
        arrays = load_file(path)
    except (OSError, SafetensorError) as error:
        raise PipelineError(
            explain(
                path,
                expected="the maps that the evaluate stage wrote",
                found="no file" if isinstance(error, FileNotFoundError) else one_line(error),
                remedy="run `dvc repro evaluate`",
            )
        ) from error
    maps: dict[str, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        split, _, name = key.partition("/")
        maps.setdefault(split, {})[name] = array
    return maps

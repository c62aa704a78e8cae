"""What networks say about the clips of a split, whatever the task: arrays with a row per clip."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from torch import Tensor

from pipeline.core.errors import TrainingError, explain


@dataclass(frozen=True)
class Outputs:
    """The outputs of a network about clips; a subclass per task has the decisions, each an array of N rows.

    Attributes
    ----------
    maps : dict of str to np.ndarray, float16
        The steps that led there, where they were asked for.
    """

    maps: dict[str, np.ndarray] = field(default_factory=dict, kw_only=True)


O = TypeVar("O", bound=Outputs)  # noqa: E741


def join_outputs(parts: Sequence[O]) -> O:
    """Return the outputs about several batches as those about all of their clips."""
    first = parts[0]
    names = [each.name for each in dataclasses.fields(first) if each.name != "maps"]
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    maps = {name: np.concatenate([part.maps[name] for part in parts]) for name in first.maps}
    return dataclasses.replace(first, **arrays, maps=maps)


def finite_numbers(tensor: Tensor) -> np.ndarray:
    """Return a network's answer as an array in double precision.

    Raises
    ------
    TrainingError
        If it is infinite or NaN.
    """
    values: np.ndarray = tensor.double().cpu().numpy()
    if not np.isfinite(values).all():
        raise TrainingError(
            explain(
                "answers of the network",
                expected="finite numbers",
                found="infinity or NaN",
                remedy="lower the learning rate, and train again",
            )
        )
    return values

"""Weights from elsewhere: the authors' checkpoints, under our names and with our description beside them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from models.localization.released import TranslatedWeights, translate
from pipeline.core.errors import CheckpointError, explain
from pipeline.features.weights import read_torch
from pipeline.params.schema import TrainParams
from pipeline.training.checkpoints import build_network, new_checkpoint, save_checkpoint
from pipeline.training.dataset import Dataset


@dataclass(frozen=True)
class Imported:
    """The outcome of importing a released checkpoint.

    Parameters
    ----------
    num_used : int
        Tensors that went into the network.
    ignored : list of str
        Released names of the tensors that did not: layers without influence on any output.
    precision : str
        ``float32`` or ``float64``, as the tensors are.
    """

    num_used: int
    ignored: list[str]
    precision: str


def import_checkpoint(path: Path, params: TrainParams, dataset: Dataset, target: Path) -> Imported:
    """Write a released state dict as a checkpoint of ours.

    The file says nothing of what it was trained on: method, supervision and their settings are those of `params`,
    categories and features those of `dataset`, and its shapes must fit them.

    Parameters
    ----------
    path : Path
        State dict in the authors' format: names with or without ``module.``, float32 or float64, with or without
        layers that nothing depends on. Nothing but tensors is unpickled.
    params : TrainParams
    dataset : Dataset
    target : Path
        The ``.safetensors`` file to write.

    Raises
    ------
    WeightsError
        If the file holds anything but tensors.
    CheckpointError
        If parameters are missing, of another shape, or not finite; each is named.
    """
    released = read_torch(path)
    is_double = any(tensor.dtype == torch.float64 for tensor in released.values())
    precision, dtype = ("float64", torch.float64) if is_double else ("float32", torch.float32)
    checkpoint = replace(new_checkpoint(params, dataset), precision=precision, seed=None)
    subject = f"{path} as {params.method} ({params.supervision})"
    network = build_network(checkpoint)
    try:
        translated = translate(released, network)
    except ValueError as error:
        raise CheckpointError(
            explain(subject, expected="one tensor per parameter", found=error, remedy="name the authors' file itself")
        ) from error
    _require_whole(subject, translated, params)
    weights = {name: translated.state[name] for name, _ in network.named_parameters()}
    odd = [name for name, tensor in weights.items() if not tensor.is_floating_point()]
    if odd:
        raise CheckpointError(
            explain(subject, expected="floating-point weights", found=_first(odd), remedy="name another file")
        )
    weights = {name: tensor.to(dtype) for name, tensor in weights.items()}
    faulty = [name for name, tensor in weights.items() if not tensor.isfinite().all()]
    if faulty:
        raise CheckpointError(
            explain(subject, expected="finite weights", found=_first(faulty), remedy="name another file")
        )
    save_checkpoint(target, checkpoint, translated.state | weights)
    return Imported(len(weights), translated.ignored, precision)


def _require_whole(subject: str, translated: TranslatedWeights, params: TrainParams) -> None:
    found = []
    if translated.mismatched:
        shapes = [f"{name} of shape {has} instead of {should}" for name, has, should in translated.mismatched]
        found.append(_first(shapes))
    if translated.missing:
        found.append(f"no {_first(translated.missing)}")
        if translated.ignored:
            found.append(f"unknown {_first(translated.ignored)}")
    if translated.unbuilt:
        found.append(f"{_first(translated.unbuilt)}, for which there is no such feature or setting here")
    if found:
        raise CheckpointError(
            explain(
                subject,
                expected="the parameters of that network, for these categories and features",
                found="; ".join(found),
                remedy="name its method and supervision, and the data set and features it was trained on",
            )
        )


def _first(names: Sequence[str], limit: int = 3) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more

"""Trained weights as files: safetensors with everything needed to use them, and nothing that is executed on load."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from pipeline.core.errors import CheckpointError, explain, one_line
from pipeline.core.files import atomic_write
from pipeline.core.references import resolve
from pipeline.methods.registry import METHODS
from pipeline.methods.settings import Supervision
from pipeline.params.schema import TrainParams
from pipeline.training.dataset import Dataset

SCHEMA = "avel-weights/3"
SELECTIONS = {"val": "weights.safetensors", "test": "weights_test_selected.safetensors"}
"""What the weights of a run are called, by the split on which their epoch was the best."""


def seed_folder(output: Path, seed: int) -> Path:
    """Return the folder of a further seed's weights; those of the first seed are in `output` itself."""
    return output / f"seed-{seed}"


def seed_folders(output: Path) -> list[Path]:
    """Return the folders with weights of all seeds of a run, the first one's first."""
    further = [path for path in output.glob("seed-*") if re.fullmatch(r"seed-\d+", path.name) and path.is_dir()]
    return [output, *sorted(further, key=lambda path: int(path.name.removeprefix("seed-")))]


@dataclass(frozen=True)
class Checkpoint:
    """The description that stands beside the weights.

    Parameters
    ----------
    method, supervision : str
    network : dict
        Settings of the method that shape its network.
    categories : list of str
        In class order, without background.
    inputs : dict
        Sizes of the features it was trained on, as its network is told them.
    visual_recipe, audio_recipe : dict
        Recipes of those features.
    precision : str
        Precision of the arithmetic it was trained in, and is evaluated in.
    epoch : int or None
        From 1; None where it is not known, as of imported weights. So are `score` and `seed`.
    selected_on : str
        ``val`` or ``test``: the split on which this epoch was the best; empty where that is not known.
    score : float or None
        On that split, in percent: of localization the accuracy of segments, of parsing Type@AV per segment.
    seed : int or None
    """

    method: str
    supervision: Supervision
    network: dict[str, Any]
    categories: list[str]
    inputs: dict[str, Any]
    visual_recipe: dict[str, Any]
    audio_recipe: dict[str, Any]
    precision: str
    epoch: int | None
    selected_on: str
    score: float | None
    seed: int | None


def new_checkpoint(params: TrainParams, dataset: Dataset) -> Checkpoint:
    """Return the description of what these params train on this data set, before any epoch."""
    return Checkpoint(
        method=params.method,
        supervision=params.supervision,
        network=params.settings.network_settings(params.conduct),
        categories=list(dataset.categories),
        inputs=dataset.network_inputs,
        visual_recipe=dataset.visual.index.recipe,
        audio_recipe=dataset.audio.index.recipe,
        precision=params.precision,
        epoch=None,
        selected_on="",
        score=None,
        seed=params.seed,
    )


def build_network(checkpoint: Checkpoint) -> nn.Module:
    """Return the network a checkpoint describes, with fresh weights from the global generator, as released."""
    network: nn.Module = resolve(METHODS[checkpoint.method].networks[checkpoint.supervision])(
        num_categories=len(checkpoint.categories), **checkpoint.inputs, **checkpoint.network
    )
    return network


def save_checkpoint(path: Path, checkpoint: Checkpoint, state: dict[str, Tensor]) -> None:
    """Write weights and description atomically; equal ones give equal bytes."""
    # One metadata key: the order in which the format writes several is not defined.
    description = json.dumps({"schema": SCHEMA, **asdict(checkpoint)}, sort_keys=True)
    with atomic_write(path) as temporary:
        save_file({name: tensor.contiguous().cpu() for name, tensor in state.items()}, temporary, {"avel": description})


def load_checkpoint(path: Path, device: torch.device) -> tuple[Checkpoint, nn.Module]:
    """Read weights and build their network, in evaluation mode.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, not ours, or its weights do not fit the network it describes.
    """
    try:
        with safe_open(path, framework="pt") as file:
            description = json.loads((file.metadata() or {})["avel"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if description.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        checkpoint = Checkpoint(**description)
        network = build_network(checkpoint)
        dtype = next(tensor.dtype for tensor in state.values() if tensor.is_floating_point())
        network.to(dtype).load_state_dict(state)
    except FileNotFoundError as error:
        raise CheckpointError(
            explain(path, expected="trained weights", found="no file", remedy="run `dvc repro train`")
        ) from error
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, StopIteration) as error:
        raise CheckpointError(
            explain(path, expected=f"trained weights ({SCHEMA})", found=one_line(error), remedy="train again")
        ) from error
    return checkpoint, network.eval().to(device)

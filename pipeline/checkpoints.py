"""Trained weights as files: safetensors with everything needed to use them, and nothing that is executed on load."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.psp import PSPNet
from pipeline.errors import CheckpointError, explain
from pipeline.files import atomic_write

SCHEMA = "avel-weights/1"


@dataclass(frozen=True)
class Checkpoint:
    """What stands beside the weights.

    Parameters
    ----------
    method, supervision : str
    tau : float
    categories : list of str
        In class order, without background.
    visual_channels, audio_features : int
        Of the features it was trained on.
    visual_recipe, audio_recipe : dict
        What made those features.
    epoch : int
        From 1.
    selected_on : str
        ``val`` or ``test``: the split on which this epoch was the best.
    accuracy : float
        On that split, percent of segments.
    seed : int
    """

    method: str
    supervision: str
    tau: float
    categories: list[str]
    visual_channels: int
    audio_features: int
    visual_recipe: dict[str, Any]
    audio_recipe: dict[str, Any]
    epoch: int
    selected_on: str
    accuracy: float
    seed: int


def build_network(checkpoint: Checkpoint) -> PSPNet:
    """Return the network a checkpoint describes, with fresh weights from the global generator."""
    return PSPNet(
        num_categories=len(checkpoint.categories),
        visual_channels=checkpoint.visual_channels,
        audio_features=checkpoint.audio_features,
        tau=checkpoint.tau,
    )


def save_checkpoint(path: Path, checkpoint: Checkpoint, state: dict[str, Tensor]) -> None:
    """Write weights and description atomically; equal ones give equal bytes."""
    # One metadata key: the order in which the format writes several is not defined.
    description = json.dumps({"schema": SCHEMA, **asdict(checkpoint)}, sort_keys=True)
    with atomic_write(path) as temporary:
        save_file({name: tensor.contiguous().cpu() for name, tensor in state.items()}, temporary, {"avel": description})


def load_checkpoint(path: Path, device: torch.device) -> tuple[Checkpoint, PSPNet]:
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
        network.to(next(iter(state.values())).dtype).load_state_dict(state)
    except FileNotFoundError as error:
        raise CheckpointError(
            explain(path, expected="trained weights", found="no file", remedy="run `dvc repro train`")
        ) from error
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, StopIteration) as error:
        raise CheckpointError(
            explain(
                path,
                expected=f"trained weights ({SCHEMA})",
                found=" ".join(str(error).split())[:200],
                remedy="train again",
            )
        ) from error
    return checkpoint, network.eval().to(device)

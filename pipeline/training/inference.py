"""Inference: a network is run over clips in the precision it was trained in, and the same way each time."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pipeline.core.precision import exact_float32
from pipeline.training.dataset import ClipBatch, Clips
from pipeline.training.loading import FeatureStore
from pipeline.training.outputs import Outputs, join_outputs

PREDICTION_BATCH_SIZE = 64


class Arithmetic(NamedTuple):
    """The meaning of a precision: the type of the weights and losses, and the type the network computes in."""

    weights: torch.dtype
    network: torch.dtype


ARITHMETIC = {
    "float32": Arithmetic(torch.float32, torch.float32),
    "bfloat16": Arithmetic(torch.float32, torch.bfloat16),
    "float64": Arithmetic(torch.float64, torch.float64),
}
"""By ``train.precision``."""


def answer(network: nn.Module, batch: ClipBatch, arithmetic: Arithmetic) -> Any:
    """Run the network over a batch; the tensors of its answer come in the type of the weights."""
    if arithmetic.network == arithmetic.weights:
        return network(batch.visual, batch.audio)
    with torch.autocast(batch.visual.device.type, arithmetic.network):
        output = network(batch.visual, batch.audio)
    tensors = {
        field.name: value.to(arithmetic.weights)
        for field in dataclasses.fields(output)
        if isinstance(value := getattr(output, field.name), Tensor)
    }
    return dataclasses.replace(output, **tensors)


@contextmanager
def reproducible() -> Iterator[None]:
    """Make equal seeds give equal bytes inside of this context, also on a GPU, and compute float32 without TF32."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS may add in any order
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    was_warning = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    was_filled = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False  # for finding faults; all memory here is written
    try:
        with exact_float32():
            yield
    finally:
        memory.fill_uninitialized_memory = was_filled
        torch.use_deterministic_algorithms(was_deterministic, warn_only=was_warning)


def predict(network: nn.Module, clips: Clips, store: FeatureStore, arithmetic: Arithmetic) -> Any:
    """Run the network over clips, in their order, without dropout."""
    return predict_each([network], clips, store, arithmetic)[0]


@torch.inference_mode()
def predict_each(
    networks: Sequence[nn.Module],
    clips: Clips,
    store: FeatureStore,
    arithmetic: Arithmetic,
    *,
    num_with_maps: int = 0,
) -> list[Any]:
    """Run several networks over clips, which are read once; of the first `num_with_maps`, keep the maps too."""
    batches = [positions.tolist() for positions in torch.arange(len(clips)).split(PREDICTION_BATCH_SIZE)]
    parts: list[list[Outputs]] = [[] for _ in networks]
    for network in networks:
        network.eval()
    for batch in store.batches(clips, batches):
        for number, network in enumerate(networks):
            given = answer(network, batch, arithmetic)
            parts[number].append(clips.decide(given, with_maps=number < num_with_maps))
    return [join_outputs(of_network) for of_network in parts]

"""Inference: a network is run over clips in the precision it was trained in, and the same way each time."""

import dataclasses
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from models.localization.answers import GatedLocalization, Localization, SegmentLocalization
from pipeline.core.errors import TrainingError, explain
from pipeline.core.precision import exact_float32
from pipeline.metrics.labels import predict_classes, predict_segments
from pipeline.training.dataset import ClipBatch, Clips
from pipeline.training.loading import FeatureStore

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


@dataclass(frozen=True)
class Outputs:
    """The decisions of a network about the clips of a split, whichever rule its answers are read by.

    Attributes
    ----------
    labels : np.ndarray, shape (N, T), int64
        Category of each segment, C for background; where a modality has no media the caller makes it background.
    relevance : np.ndarray, shape (N, T), float64
        Probability that the segment holds an event: the sigmoid of the event logit, or one less that of background.
    category_scores : np.ndarray, shape (N, C), float64
        Logits of the clip's category: as the network gives them, or the logarithm of each category's mean probability
        over the segments.
    maps : dict of str to np.ndarray, float16
        The steps that led there, where they were asked for: ``attention`` (N, T, P) of every network; of networks that
        propagate, also the matrices (N, T, T) that :data:`MATRICES` names.
    """

    labels: np.ndarray
    relevance: np.ndarray
    category_scores: np.ndarray
    maps: dict[str, np.ndarray] = field(default_factory=dict)


MATRICES = ("visual_similarity", "audio_similarity", "visual_connections", "audio_connections")
"""Of :class:`models.localization.propagation.Propagation`: similarities of all pairs, before and after pruning."""


def localize(network: nn.Module, batch: ClipBatch, arithmetic: Arithmetic) -> Localization:
    """Run the network over a batch; the tensors of its answer come in the type of the weights."""
    if arithmetic.network == arithmetic.weights:
        plain: Localization = network(batch.visual, batch.audio)
        return plain
    with torch.autocast(batch.visual.device.type, arithmetic.network):
        output: Localization = network(batch.visual, batch.audio)
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


def predict(network: nn.Module, clips: Clips, store: FeatureStore, arithmetic: Arithmetic) -> Outputs:
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
) -> list[Outputs]:
    """Run several networks over clips, which are read once; of the first `num_with_maps`, keep the maps too."""
    batches = [positions.tolist() for positions in torch.arange(len(clips)).split(PREDICTION_BATCH_SIZE)]
    parts: list[list[Outputs]] = [[] for _ in networks]
    for network in networks:
        network.eval()
    for batch in store.batches(clips, batches):
        for number, network in enumerate(networks):
            answer = localize(network, batch, arithmetic)
            parts[number].append(decide(answer, clips.num_categories, with_maps=number < num_with_maps))
    return [_joined(of_network) for of_network in parts]


def decide(answer: Localization, num_categories: int, *, with_maps: bool = False) -> Outputs:
    """Return what a network's answer means, by the rule of its kind.

    Parameters
    ----------
    answer : Localization
    num_categories : int
        C.
    with_maps : bool, optional
        Whether to keep attention and connections.

    Raises
    ------
    TrainingError
        If an answer is infinite or NaN.
    """
    if isinstance(answer, GatedLocalization):
        decisions = _decide_gated(answer, num_categories)
    else:
        assert isinstance(answer, SegmentLocalization)
        decisions = _decide_per_segment(answer)
    return dataclasses.replace(decisions, maps=_maps(answer)) if with_maps else decisions


def _decide_gated(answer: GatedLocalization, num_categories: int) -> Outputs:
    event_logits, category_logits = _numbers(answer.event_logits), _numbers(answer.category_logits)
    labels = predict_segments(event_logits, category_logits, num_categories=num_categories)
    relevance = torch.sigmoid(torch.from_numpy(event_logits)).numpy()
    return Outputs(labels, relevance, category_logits[:, :num_categories])


def _decide_per_segment(answer: SegmentLocalization) -> Outputs:
    segment_logits = _numbers(answer.segment_logits)
    log_probabilities = torch.log_softmax(torch.from_numpy(segment_logits), dim=2)
    of_categories = log_probabilities[:, :, :-1]
    # Logarithms until the end: a category that no segment shows any sign of still has a finite score.
    scores = of_categories.logsumexp(dim=1) - math.log(of_categories.shape[1])
    relevance = of_categories.logsumexp(dim=2).exp().clamp(max=1.0)
    return Outputs(predict_classes(segment_logits), relevance.numpy(), scores.numpy())


def _numbers(tensor: Tensor) -> np.ndarray:
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


def _maps(answer: Localization) -> dict[str, np.ndarray]:
    maps = {"attention": answer.attention}
    propagation = getattr(answer, "propagation", None)
    if propagation is not None:
        maps |= {name: getattr(propagation, name) for name in MATRICES}
    return {name: value.half().cpu().numpy() for name, value in maps.items()}


def _joined(parts: Sequence[Outputs]) -> Outputs:
    return Outputs(
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.relevance for part in parts]),
        np.concatenate([part.category_scores for part in parts]),
        {name: np.concatenate([part.maps[name] for part in parts]) for name in parts[0].maps},
    )

"""What a network's answers mean in localization: labels of segments, by the rule of the kind of answer."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch

from models.localization.answers import GatedLocalization, Localization, SegmentLocalization
from pipeline.metrics.labels import predict_classes, predict_segments
from pipeline.training.outputs import Outputs, finite_numbers


@dataclass(frozen=True)
class Decisions(Outputs):
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


MATRICES = ("visual_similarity", "audio_similarity", "visual_connections", "audio_connections")
"""Of :class:`models.localization.propagation.Propagation`: similarities of all pairs, before and after pruning."""


def decide(answer: Localization, num_categories: int, *, with_maps: bool = False) -> Decisions:
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


def _decide_gated(answer: GatedLocalization, num_categories: int) -> Decisions:
    event_logits, category_logits = finite_numbers(answer.event_logits), finite_numbers(answer.category_logits)
    labels = predict_segments(event_logits, category_logits, num_categories=num_categories)
    relevance = torch.sigmoid(torch.from_numpy(event_logits)).numpy()
    return Decisions(labels, relevance, category_logits[:, :num_categories])


def _decide_per_segment(answer: SegmentLocalization) -> Decisions:
    segment_logits = finite_numbers(answer.segment_logits)
    log_probabilities = torch.log_softmax(torch.from_numpy(segment_logits), dim=2)
    of_categories = log_probabilities[:, :, :-1]
    # Logarithms until the end: a category that no segment shows any sign of still has a finite score.
    scores = of_categories.logsumexp(dim=1) - math.log(of_categories.shape[1])
    relevance = of_categories.logsumexp(dim=2).exp().clamp(max=1.0)
    return Decisions(predict_classes(segment_logits), relevance.numpy(), scores.numpy())


def _maps(answer: Localization) -> dict[str, np.ndarray]:
    maps = {"attention": answer.attention}
    propagation = getattr(answer, "propagation", None)
    if propagation is not None:
        maps |= {name: getattr(propagation, name) for name in MATRICES}
    return {name: value.half().cpu().numpy() for name, value in maps.items()}

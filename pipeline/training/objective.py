"""The parts of an objective: the labels of a supervision, terms that compare answers with them, their sum."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.localization.answers import Localization


@dataclass(frozen=True)
class ClipLabels:
    """The labels of weak training, one category per clip.

    Parameters
    ----------
    categories : torch.Tensor
        Shape (B,), int64; :data:`models.localization.losses.BACKGROUND_CLIP` for a clip known to be background
        throughout.
    """

    categories: Tensor


@dataclass(frozen=True)
class SegmentLabels(ClipLabels):
    """The labels of full training: those of weak training, and the events per segment.

    Parameters
    ----------
    events : torch.Tensor
        Shape (B, T), bool.
    """

    events: Tensor


class Term(NamedTuple):
    """One term of an objective: its name in the logs, its weight, and how it is computed."""

    name: str
    weight: float
    compute: Callable[[Any, Any], Tensor]


@dataclass(frozen=True)
class Losses:
    """The terms of one batch, unweighted, and their weighted sum, which is what training descends."""

    terms: Mapping[str, Tensor]
    total: Tensor


def weigh(terms: Sequence[Term], output: Localization, labels: ClipLabels) -> Losses:
    """Compute the terms of a batch and their weighted sum."""
    values = {term.name: term.compute(output, labels) for term in terms}
    total = torch.stack([term.weight * values[term.name] for term in terms]).sum()
    return Losses(values, total)

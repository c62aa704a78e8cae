"""The parts of an objective: the labels of a supervision, terms that compare answers with them, their sum."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from models.localization.answers import Localization
from models.localization.losses import BACKGROUND_CLIP


@dataclass(frozen=True)
class ClipLabels:
    """The labels of weak training, one category per clip.

    Parameters
    ----------
    categories : torch.Tensor
        Shape (B,), int64; :data:`models.localization.losses.BACKGROUND_CLIP` for a clip known to be background
        throughout.
    num_categories : int
        C; as a class, background is number C.
    """

    categories: Tensor
    num_categories: int

    @property
    def classes(self) -> Tensor:
        """The class of each clip, (B,) int64: its category, C for one known to be background throughout."""
        return torch.where(self.categories == BACKGROUND_CLIP, self.num_categories, self.categories)


@dataclass(frozen=True)
class ShareLabels(ClipLabels):
    """The labels of weak training that knows how much of each clip is its event.

    Parameters
    ----------
    event_shares : torch.Tensor
        Shape (B,), share of the segments that hold the clip's event, 0 to 1.
    """

    event_shares: Tensor


@dataclass(frozen=True)
class SegmentLabels(ClipLabels):
    """The labels of full training: those of weak training, and the events per segment.

    Parameters
    ----------
    events : torch.Tensor
        Shape (B, T), bool.
    """

    events: Tensor

    @property
    def segment_classes(self) -> Tensor:
        """The class of each segment, (B, T) int64: the clip's category where its event is, else C."""
        return torch.where(self.events, self.categories.unsqueeze(1), self.num_categories)


@dataclass(frozen=True)
class Term:
    """One term of an objective.

    Parameters
    ----------
    name : str
        In the logs.
    weight : float
    compute : callable
        From answers and labels to a scalar.
    first_epoch : int, optional
        The first epoch, counted from 1, in which it counts.
    state : dict of str to torch.Tensor, optional
        What it remembers from batch to batch; it is part of the state of a run.
    """

    name: str
    weight: float
    compute: Callable[[Any, Any], Tensor]
    first_epoch: int = 1
    state: dict[str, Tensor] = field(default_factory=dict)


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

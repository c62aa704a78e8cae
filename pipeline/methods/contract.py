"""What a method is to the trainer: a network, and the losses of either supervision.

A method is a file in this folder, a network in ``models/`` (its own or a shared one), a block of params, a line in
:mod:`pipeline.methods.registry` and a parity test.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.localization.answers import Localization
from pipeline.params.schema import Supervision


@dataclass(frozen=True)
class InputShape:
    """What a network is given, and how many categories it tells apart (background is not one of them)."""

    num_categories: int
    visual_channels: int
    num_positions: int
    audio_features: int


@dataclass(frozen=True)
class ClipLabels:
    """All that weak training knows.

    Parameters
    ----------
    categories : torch.Tensor
        Shape (B,), int64; :data:`models.localization.losses.BACKGROUND_CLIP` for a clip known to be background
        throughout.
    """

    categories: Tensor


@dataclass(frozen=True)
class SegmentLabels(ClipLabels):
    """What full training knows besides.

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


@dataclass(frozen=True)
class Method:
    """A method.

    Parameters
    ----------
    network : callable
        Builds the network from an :class:`InputShape`, spread out, and from `network_settings`.
    network_settings : callable
        From the method's params and the supervision, those that shape the network. JSON: a checkpoint holds them.
    full, weak : callable
        From the method's params, the terms of the objective. A term of weight 0 is not computed.
    weak_background_clips : bool
        Whether the method's authors add clips of background alone to weak training.
    """

    network: Callable[..., nn.Module]
    network_settings: Callable[[Any, Supervision], dict[str, Any]]
    full: Callable[[Any], Sequence[Term]]
    weak: Callable[[Any], Sequence[Term]]
    weak_background_clips: bool = False

    def build(self, shape: InputShape, settings: Mapping[str, Any]) -> nn.Module:
        """Return the network with fresh weights from torch's global generator."""
        return self.network(**asdict(shape), **settings)

    def terms(self, settings: Any, supervision: Supervision) -> tuple[Term, ...]:
        """Return the terms that count under these params."""
        terms = self.full(settings) if supervision == "full" else self.weak(settings)
        return tuple(term for term in terms if term.weight > 0)


def weigh(terms: Sequence[Term], output: Localization, labels: ClipLabels) -> Losses:
    """Compute the terms of a batch and their weighted sum."""
    values = {term.name: term.compute(output, labels) for term in terms}
    total = torch.stack([term.weight * values[term.name] for term in terms]).sum()
    return Losses(values, total)

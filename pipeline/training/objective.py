"""The parts of an objective: terms that compare answers with labels, and their sum. The terms are up to the task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pipeline.core.references import resolve
from pipeline.methods.registry import METHODS
from pipeline.methods.settings import ScheduleParams, Supervision


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


def weigh(terms: Sequence[Term], output: Any, labels: Any) -> Losses:
    """Compute the terms of a batch and their weighted sum."""
    values = {term.name: term.compute(output, labels) for term in terms}
    total = torch.stack([term.weight * values[term.name] for term in terms]).sum()
    return Losses(values, total)


def terms_of(method: str, supervision: Supervision, settings: ScheduleParams) -> tuple[Term, ...]:
    """Return the terms of a method under these settings; a term of weight 0 is left out."""
    chosen = METHODS[method]
    named: Mapping[str, Callable[[Any], Term]] = resolve(f"{chosen.terms_module}:TERMS")
    terms = (named[name](settings) for name in chosen.terms[supervision])
    return tuple(term for term in terms if term.weight > 0)

"""The conduct of a training run: what surrounds the optimisation, as the authors of a method did it, or as all do."""

from dataclasses import dataclass, field
from typing import Literal

RecipeName = Literal["authors", "common"]

Order = Literal["shuffled", "as_listed", "first_batch_drawn"]
"""Of the training clips in an epoch: a new random order; always that of the data set; or that of the data set but for
the first batch, which is drawn from all clips (and repeats some, while the rest of it never comes)."""


@dataclass(frozen=True)
class Selection:
    """Which epoch is the best on a split.

    Parameters
    ----------
    every : int, optional
        Epochs between two that are candidates.
    first : int, optional
        The first candidate, counted from 1.
    takes_later : bool, optional
        Whether the later one of equally good epochs counts.
    keeps_last : bool, optional
        Whether the last candidate counts on validation, however good it is.
    """

    every: int = 1
    first: int = 1
    takes_later: bool = False
    keeps_last: bool = False

    def is_candidate(self, epoch: int) -> bool:
        """Tell whether an epoch, counted from 1, may be chosen.

        >>> [epoch for epoch in range(1, 12) if Selection(every=5, first=6).is_candidate(epoch)]
        [6, 11]
        """
        return epoch >= self.first and (epoch - self.first) % self.every == 0

    def describe_kept(self, num_epochs: int) -> str:
        """Return in words which of `num_epochs` epochs is kept on validation.

        >>> Selection(first=6).describe_kept(5)
        'the last, as training ended before any could be chosen'
        """
        if num_epochs < self.first:
            return "the last, as training ended before any could be chosen"
        return "the last validated" if self.keeps_last else "the best on validation"


@dataclass(frozen=True)
class Recipe:
    """The conduct of training under one supervision.

    Parameters
    ----------
    background_clips : bool, optional
        Whether weak training adds the clips of the split `background`, where the data set has some.
    background_class : bool, optional
        Whether a network that judges the category of the clip has a class for background.
    order : {"shuffled", "as_listed", "first_batch_drawn"}, optional
        Of the clips in an epoch, see :data:`Order`.
    drops_last_batch : bool, optional
        Whether an epoch ends before a batch that is not full.
    selection : Selection, optional
    """

    background_clips: bool = False
    background_class: bool = False
    order: Order = "shuffled"
    drops_last_batch: bool = False
    selection: Selection = field(default_factory=Selection)


COMMON = Recipe()
"""The conduct of the CPSP release on localization, and of every method under the common recipe."""

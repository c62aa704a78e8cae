"""The labels that the terms of localization compare answers with: per clip, or per segment too."""

from dataclasses import dataclass

import torch
from torch import Tensor

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

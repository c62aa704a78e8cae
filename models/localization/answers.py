"""The answers that every network of this task gives about a batch of clips.

Axes: B clip, T segment, P position of the map, D feature, C category.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Localization:
    """The answers of a network, and its visual attention; subclasses add the intermediate steps.

    Attributes
    ----------
    event_logits : torch.Tensor, shape (B, T)
        Event relevance; positive where an event is more likely than background.
    category_logits : torch.Tensor, shape (B, C)
        Category of the clip.
    clip_probabilities : torch.Tensor, shape (B, C)
        Prediction of the weak head, see :func:`models.localization.heads.weak_clip_probabilities`.
    fusion : torch.Tensor, shape (B, T, D)
        Both modalities in one vector per segment, the input of the heads.
    attention : torch.Tensor, shape (B, T, P)
        Weight of each position of the visual map, row by row.
    """

    event_logits: torch.Tensor
    category_logits: torch.Tensor
    clip_probabilities: torch.Tensor
    fusion: torch.Tensor
    attention: torch.Tensor

"""The answers that every network of this task gives about a batch of clips.

There are two kinds of networks. Most judge the relevance of each segment and the category of the clip
(:class:`GatedLocalization`); those of AVE (2018) and of PSP (2021) judge the class of each segment, background being
one of the classes (:class:`SegmentLocalization`).

Axes: B clip, T segment, P position of the map, D feature, C category (background is not one of them), K class: the
categories, and behind them background where the network has a class for it (K is C or C + 1).
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Localization:
    """The answers of any network, and its visual attention; subclasses add the intermediate steps.

    Attributes
    ----------
    clip_probabilities : torch.Tensor, shape (B, K)
        Prediction about the whole clip, which weak supervision trains.
    fusion : torch.Tensor, shape (B, T, D)
        Both modalities in one vector per segment, the input of the heads.
    attention : torch.Tensor, shape (B, T, P)
        Weight of each position of the visual map, row by row.
    """

    clip_probabilities: torch.Tensor
    fusion: torch.Tensor
    attention: torch.Tensor


@dataclass(frozen=True)
class GatedLocalization(Localization):
    """The answers of a network whose segments share the category of their clip.

    Attributes
    ----------
    event_logits : torch.Tensor, shape (B, T)
        Event relevance; positive where an event is more likely than background.
    category_logits : torch.Tensor, shape (B, K)
        Category of the clip.
    """

    event_logits: torch.Tensor
    category_logits: torch.Tensor


@dataclass(frozen=True)
class SegmentLocalization(Localization):
    """The answers of a network that gives every segment a class of its own.

    Attributes
    ----------
    segment_logits : torch.Tensor, shape (B, T, C + 1)
        Class of the segment, background last.
    """

    segment_logits: torch.Tensor

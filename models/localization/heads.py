"""The heads: from fused segments to those that hold an event and the category of the clip, or to a class of each.

Axes: B clip, T segment, D feature, C category (background is not one of them), K class: the categories, and behind
them background where the network has a class for it (K is C or C + 1).
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import nn

Pooling = Literal["mean", "max"]


class LocalizationHeads(nn.Module):
    """Event relevance of each segment and category of each clip, both linear in the fused features.

    Parameters
    ----------
    num_features : int
        D, of the fused features.
    num_categories : int
        C.
    pooling : {"mean", "max"}, optional
        How segments are pooled over time before the category is judged.
    background_class : bool, optional
        Whether background is one of the clip's classes (K = C + 1), the last.

    Raises
    ------
    ValueError
        If the pooling is unknown or there is no category.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        "event_classifier.0": "relevance",
        "category_classifier.0": "category",
    }

    def __init__(
        self, *, num_features: int, num_categories: int, pooling: Pooling = "mean", background_class: bool = False
    ) -> None:
        super().__init__()
        if pooling not in ("mean", "max"):
            raise ValueError(f"pooling: expected 'mean' or 'max', found {pooling!r}")
        require_categories(num_categories)
        self.pooling = pooling
        self.relevance = nn.Linear(num_features, 1)
        self.category = nn.Linear(num_features, num_categories + background_class)

    def forward(self, fusion: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Judge the fused features (B, T, D).

        Returns
        -------
        event_logits : torch.Tensor, shape (B, T)
            Positive where an event is more likely than background.
        category_logits : torch.Tensor, shape (B, K)
            Of the clip.
        """
        return self.judge_segments(fusion), self.judge_clips(fusion)

    def judge_segments(self, fusion: torch.Tensor) -> torch.Tensor:
        """Return the event relevance, (B, T), of fused features (B, T, D)."""
        return in_full_precision(self.relevance, fusion).squeeze(-1)

    def judge_clips(self, fusion: torch.Tensor) -> torch.Tensor:
        """Return the category logits, (B, C), of fused features (B, T, D)."""
        fusion = fusion.to(self.category.weight.dtype)
        pooled = fusion.mean(dim=1) if self.pooling == "mean" else fusion.max(dim=1).values
        return in_full_precision(self.category, pooled)


def in_full_precision(layer: nn.Module, features: torch.Tensor) -> torch.Tensor:
    """Apply a layer in the precision of its weights: answers keep all their digits where autocast rounds the rest."""
    with torch.autocast(features.device.type, enabled=False):
        answers: torch.Tensor = layer(features.to(next(layer.parameters()).dtype))
        return answers


def segment_head(*, num_features: int, num_categories: int, bias: bool = True) -> nn.Linear:
    """Return the layer from D features of a segment to its C + 1 classes, background last.

    It is applied :func:`in_full_precision`, as the other heads are.

    Parameters
    ----------
    num_features : int
        D, of the features.
    num_categories : int
        C.
    bias : bool, optional
        Whether the classes have a bias.

    Raises
    ------
    ValueError
        If there is no category.
    """
    require_categories(num_categories)
    return nn.Linear(num_features, num_categories + 1, bias=bias)


def weak_clip_probabilities(event_logits: torch.Tensor, category_logits: torch.Tensor) -> torch.Tensor:
    """Combine both heads into one prediction per clip, which clip labels alone can train.

    For class c: the softmax over classes of max_t sigmoid(event_logits[t]) · category_logits[c]. The
    maximum is taken per class, so that a negative category logit picks the *least* eventful segment.

    Parameters
    ----------
    event_logits : torch.Tensor, shape (B, T)
        Event relevance.
    category_logits : torch.Tensor, shape (B, K)
        Category of the clip.

    Returns
    -------
    torch.Tensor, shape (B, K)
        Probabilities; they sum to one over the classes.
    """
    return gated_clip_probabilities(torch.sigmoid(event_logits), category_logits)


def gated_clip_probabilities(relevance: torch.Tensor, category_logits: torch.Tensor) -> torch.Tensor:
    """Combine both answers as :func:`weak_clip_probabilities` does, where the relevance (B, T) is 0 to 1 already."""
    segment_logits = relevance.unsqueeze(-1) * category_logits.unsqueeze(1)
    return torch.softmax(segment_logits.max(dim=1).values, dim=-1)


def require_categories(num_categories: int) -> None:
    """Check that there is something to recognise.

    Raises
    ------
    ValueError
        If there is no category.
    """
    if num_categories < 1:
        raise ValueError(f"num_categories: expected at least 1, found {num_categories}")

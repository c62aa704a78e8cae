"""The answers that every network of parsing gives about a batch of clips.

Axes: B clip, T segment, M modality (audio 0, visual 1), C category, D feature. Probabilities of different categories
are independent of each other: a clip may hold several.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Parsing:
    """The answers of any network of parsing; subclasses add the intermediate steps.

    Attributes
    ----------
    segment_probabilities : torch.Tensor, shape (B, T, M, C)
        Probability that a category is heard, or seen, in the segment.
    audio_probabilities, visual_probabilities : torch.Tensor, shape (B, C)
        Probability that it is heard, or seen, in the clip: pooled over the segments of the modality.
    global_probabilities : torch.Tensor, shape (B, C)
        Probability that the clip holds it: pooled over segments and modalities, which the clip's tags train. It may
        exceed 1, see :class:`models.parsing.pooling.MMILPooling`.
    """

    segment_probabilities: torch.Tensor
    audio_probabilities: torch.Tensor
    visual_probabilities: torch.Tensor
    global_probabilities: torch.Tensor


@dataclass(frozen=True)
class PropagatedParsing(Parsing):
    """The answers of a network with positive sample propagation, and what its contrasts compare.

    Attributes
    ----------
    features : torch.Tensor, shape (B, T, M, D)
        The propagated features of both modalities.
    visual_inputs : torch.Tensor, shape (B, T, D)
        The visual features before the LSTMs and the propagation.
    """

    features: torch.Tensor
    visual_inputs: torch.Tensor

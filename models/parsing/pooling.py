"""Multimodal multiple-instance learning (MMIL): the tags of a clip, pooled from its segments in either modality.

Tian et al., *Unified Multisensory Perception: Weakly-Supervised Audio-Visual Video Parsing* (ECCV 2020), attentive
MMIL pooling; the parsing code of CPSP has it too.

Axes: B clip, T segment, M modality (audio 0, visual 1), D feature, C category.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from models.localization.heads import in_full_precision, require_categories
from models.parsing.answers import Parsing


class MMILPooling(nn.Module):
    """Judge every segment of either modality, and pool what is found by attention, category by category.

    With x the features of a segment in one modality, three linear layers give for each category::

        p = sigmoid(W_p x),   w_t = softmax over T of W_t x,   w_m = softmax over M of W_m x

        audio, visual probability of the clip:   Σ_t w_t p            of the modality
        global probability:                      Σ_t Σ_m w_t w_m p

    The weights of a modality sum to one over its segments, those of both modalities together do not: where sound and
    picture attend to different segments, the global probability may exceed 1, and reach 2. As released; the loss of
    tags takes it for 1.

    All of it is computed in the precision of the weights, also where autocast rounds the rest.

    Parameters
    ----------
    num_features : int
        D.
    num_categories : int
        C.

    Raises
    ------
    ValueError
        If there is no category.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        "fc_prob": "probability",
        "fc_frame_att": "segment_attention",
        "fc_av_att": "modality_attention",
    }

    def __init__(self, *, num_features: int, num_categories: int) -> None:
        super().__init__()
        require_categories(num_categories)
        self.probability = nn.Linear(num_features, num_categories)
        self.segment_attention = nn.Linear(num_features, num_categories)
        self.modality_attention = nn.Linear(num_features, num_categories)

    def forward(self, features: torch.Tensor) -> Parsing:
        """Judge and pool features (B, T, M, D)."""
        probabilities = torch.sigmoid(in_full_precision(self.probability, features))
        of_segments = torch.softmax(in_full_precision(self.segment_attention, features), dim=1)
        of_modalities = torch.softmax(in_full_precision(self.modality_attention, features), dim=2)
        weighted = of_segments * probabilities
        audio, visual = weighted.sum(dim=1).unbind(dim=1)
        return Parsing(
            segment_probabilities=probabilities,
            audio_probabilities=audio,
            visual_probabilities=visual,
            global_probabilities=(weighted * of_modalities).sum(dim=(1, 2)),
        )

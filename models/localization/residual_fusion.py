"""Residual fusion: each modality is corrected by what both have in common.

Axes: ... any leading axes (clips and segments, or clips and directions), D feature.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from models.shapes import require_shape


class ResidualFusion(nn.Module):
    """Fuse two vectors of equal size by adding the mean of two perceptrons to each.

    With the visual vector v and the audio vector a::

        m      = (U_visual(v) + U_audio(a)) / 2
        fusion = (tanh(a + m) + tanh(v + m)) / 2

    where U is linear, tanh, linear. The block of the dual multimodal residual network of AVEL (Tian et al., ECCV
    2018), which AVSDN (Lin et al., ICASSP 2019) applies to the states of its LSTMs.

    Parameters
    ----------
    num_features : int
        D, of the inputs, of the hidden layers and of the fusion.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        "U_v": "visual",
        "U_a": "audio",
    }

    def __init__(self, *, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features
        self.visual = _perceptron(num_features)
        self.audio = _perceptron(num_features)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        """Fuse visual (..., D) and audio (..., D).

        Returns
        -------
        torch.Tensor, shape (..., D)
            Between -1 and 1.

        Raises
        ------
        ValueError
            If the two do not have the same shape, with D features.
        """
        require_shape("visual", visual, (*visual.shape[:-1], self.num_features))
        require_shape("audio", audio, tuple(visual.shape))
        common = (self.visual(visual) + self.audio(audio)) / 2
        return (torch.tanh(audio + common) + torch.tanh(visual + common)) / 2


def _perceptron(num_features: int) -> nn.Sequential:
    """Two linear layers with tanh between them."""
    return nn.Sequential(nn.Linear(num_features, num_features), nn.Tanh(), nn.Linear(num_features, num_features))

"""Positive sample propagation: each segment listens to those segments of the other modality that match it.

Axes: B clip, T segment, V visual segment and A audio segment where both meet (V = A = T), D feature.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from models.shapes import require_shape

_NORMALISATION_FLOOR = 1e-8


@dataclass(frozen=True)
class Propagation:
    """The propagated features of a clip, and the steps that lead to them.

    Attributes
    ----------
    pair_similarity : torch.Tensor, shape (B, V, A)
        Similarity of every visual with every audio segment, at least 0 (β).
    visual_similarity : torch.Tensor, shape (B, V, A)
        The same, each row divided by its sum over the audio segments (β_va).
    audio_similarity : torch.Tensor, shape (B, A, V)
        The same seen from the audio, each row divided by its sum over the visual segments (β_av).
    visual_connections : torch.Tensor, shape (B, V, A)
        The entries of ``visual_similarity`` above tau, as the kind of propagation weighs them (γ_va).
    audio_connections : torch.Tensor, shape (B, A, V)
        The entries of ``audio_similarity`` above tau, likewise (γ_av).
    visual, audio : torch.Tensor, shape (B, T, D)
        The propagated features (v_psp, a_psp).
    fusion : torch.Tensor, shape (B, T, D)
        Mean of the two.
    """

    pair_similarity: torch.Tensor
    visual_similarity: torch.Tensor
    audio_similarity: torch.Tensor
    visual_connections: torch.Tensor
    audio_connections: torch.Tensor
    visual: torch.Tensor
    audio: torch.Tensor
    fusion: torch.Tensor


class PlainPropagation(nn.Module):
    """Exchange features between the modalities along the pairs of segments that match best.

    Each modality adds what it gathers to its own features, and both share one layer norm. A row of similarities that
    is zero, or of which nothing exceeds tau, gathers nothing. This is the form of PSP's first release (Zhou et al.,
    CVPR 2021) for weak supervision: the shares that exceed tau are kept as they are, and what is gathered is not
    projected again.

    Parameters
    ----------
    num_features : int, optional
        D, of the inputs, of the similarity space and of the outputs.
    tau : float
        Share of a row that a pair must exceed to be kept, 0 to 1; 1 removes every connection.
    dropout : float, optional
        Probability of dropping, while training, a feature of the four rectified projections.

    Raises
    ------
    ValueError
        If tau is not between 0 and 1.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        "v_L1": "visual_value",
        "v_L2": "visual_key",
        "a_L1": "audio_key",
        "a_L2": "audio_value",
        "layer_norm": "layer_norm",
    }

    def __init__(self, *, num_features: int = 256, tau: float, dropout: float = 0.1) -> None:
        super().__init__()
        if not 0 <= tau <= 1:
            raise ValueError(f"tau: expected a share between 0 and 1, found {tau}")
        self.num_features = num_features
        self.tau = tau
        # Released weights were trained with the root rounded to float32, which shows where D is no square.
        self.scale = torch.tensor(num_features, dtype=torch.float32).sqrt().item()
        self.visual_key = nn.Linear(num_features, num_features, bias=False)
        self.visual_value = nn.Linear(num_features, num_features, bias=False)
        self.audio_key = nn.Linear(num_features, num_features, bias=False)
        self.audio_value = nn.Linear(num_features, num_features, bias=False)
        self.layer_norm = nn.LayerNorm(num_features, eps=1e-6)
        self.dropout = nn.Dropout(dropout)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> Propagation:
        """Propagate between visual (B, T, D) and audio (B, T, D).

        Raises
        ------
        ValueError
            If the two do not have the same shape, with D features.
        """
        require_shape("visual", visual, ("B", "T", self.num_features))
        require_shape("audio", audio, tuple(visual.shape))

        visual_value, visual_key = self._rectify(self.visual_value, visual), self._rectify(self.visual_key, visual)
        audio_key, audio_value = self._rectify(self.audio_key, audio), self._rectify(self.audio_value, audio)
        pair_similarity = torch.relu(visual_key @ audio_key.mT / self.scale)
        visual_similarity = _share_of_row(pair_similarity)
        audio_similarity = _share_of_row(pair_similarity.mT)
        visual_connections = self._prune(visual_similarity)
        audio_connections = self._prune(audio_similarity)
        propagated_visual = self.layer_norm(self._project_visual(visual + visual_connections @ audio_value))
        propagated_audio = self.layer_norm(self._project_audio(audio + audio_connections @ visual_value))
        return Propagation(
            pair_similarity=pair_similarity,
            visual_similarity=visual_similarity,
            audio_similarity=audio_similarity,
            visual_connections=visual_connections,
            audio_connections=audio_connections,
            visual=propagated_visual,
            audio=propagated_audio,
            fusion=(propagated_visual + propagated_audio) / 2,
        )

    def _rectify(self, layer: nn.Linear, features: torch.Tensor) -> torch.Tensor:
        projected: torch.Tensor = self.dropout(torch.relu(layer(features)))
        return projected

    def _prune(self, shares: torch.Tensor) -> torch.Tensor:
        """Drop the shares that do not exceed tau."""
        return torch.where(shares > self.tau, shares, 0.0)

    def _project_visual(self, gathered: torch.Tensor) -> torch.Tensor:
        """Return what is normalised of the visual features and those gathered from the audio."""
        return gathered

    def _project_audio(self, gathered: torch.Tensor) -> torch.Tensor:
        """Return what is normalised of the audio features and those gathered from the picture."""
        return gathered


class PositiveSamplePropagation(PlainPropagation):
    """The propagation of CPSP, in which the kept shares are divided by their sum and what is gathered is projected.

    CPSP (arXiv 2211.09980), section on positive sample propagation, as in the released code; PSP (CVPR 2021) has it
    under full supervision.

    Parameters
    ----------
    num_features : int, optional
        D, of the inputs, of the similarity space and of the outputs.
    tau : float
        Share of a row that a pair must exceed to be kept, 0 to 1; 1 removes every connection.
    dropout : float, optional
        Probability of dropping a feature while training: of the four rectified projections, and of the two
        rectified outputs before the norm.

    Raises
    ------
    ValueError
        If tau is not between 0 and 1.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        **PlainPropagation.released_names,
        "v_fc": "visual_output",
        "a_fc": "audio_output",
    }

    def __init__(self, *, num_features: int = 256, tau: float, dropout: float = 0.1) -> None:
        super().__init__(num_features=num_features, tau=tau, dropout=dropout)
        self.visual_output = nn.Linear(num_features, num_features, bias=False)
        self.audio_output = nn.Linear(num_features, num_features, bias=False)

    def _prune(self, shares: torch.Tensor) -> torch.Tensor:
        """Drop the shares that do not exceed tau and divide the rest by their sum; a row may sum to zero."""
        return _share_of_row(super()._prune(shares))

    def _project_visual(self, gathered: torch.Tensor) -> torch.Tensor:
        return self._rectify(self.visual_output, gathered)

    def _project_audio(self, gathered: torch.Tensor) -> torch.Tensor:
        return self._rectify(self.audio_output, gathered)


def _share_of_row(weights: torch.Tensor) -> torch.Tensor:
    """Divide non-negative weights by their sum over the last axis; a row of zeros stays zero."""
    return weights / (weights.sum(dim=-1, keepdim=True) + _NORMALISATION_FLOOR)

"""AVEL, the first network of this task: audio-guided attention, LSTMs, residual fusion.

Tian et al., *Audio-Visual Event Localization in Unconstrained Videos* (ECCV 2018), in the form that the CPSP code
compares with: the heads of PSP, for full and weak supervision.

Axes: B clip, T segment, H W map, P position (H·W), D feature (256), C category.

::

    audio ───────┬───────── LSTM ─┐
                 ▼                ├─ residual fusion ── relu ── heads
    visual ── attention ─── LSTM ─┘
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from models.localization.answers import GatedLocalization
from models.localization.attention import AudioGuidedAttention
from models.localization.heads import LocalizationHeads, Pooling, weak_clip_probabilities
from models.localization.initialisation import init_as_released
from models.localization.released import inside
from models.localization.residual_fusion import ResidualFusion
from models.localization.temporal import TemporalEncoder


@dataclass(frozen=True)
class AVELLocalization(GatedLocalization):
    """The answers of AVEL and the steps that lead to them.

    Attributes
    ----------
    attended_visual : torch.Tensor, shape (B, T, visual_channels)
        Visual map after the attention.
    visual_sequence, audio_sequence : torch.Tensor, shape (B, T, D)
        After the LSTMs.
    """

    attended_visual: torch.Tensor
    visual_sequence: torch.Tensor
    audio_sequence: torch.Tensor


class AVELNet(nn.Module):
    """Localise audio-visual events by fusing both modalities segment by segment.

    All weights start as PyTorch starts them, as in the CPSP code.

    Parameters
    ----------
    num_categories : int
        C, without background.
    visual_channels : int, optional
        Channels of the visual maps: 512 for VGG-19, 1024 for ResNet.
    audio_features : int, optional
        Size of the audio vector of a segment.
    num_positions : int, optional
        Positions of the visual maps, H·W.
    pooling : {"mean", "max"}, optional
        How segments are pooled for the category.

    Raises
    ------
    ValueError
        As :class:`models.localization.heads.LocalizationHeads`.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        **inside("", "attention", AudioGuidedAttention.released_names),
        **inside("", "temporal", TemporalEncoder.released_names),
        **inside("", "fusion", ResidualFusion.released_names),
        **inside("", "heads", LocalizationHeads.released_names),
    }
    xavier_layers: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        *,
        num_categories: int,
        visual_channels: int = 512,
        audio_features: int = 128,
        num_positions: int = 49,
        pooling: Pooling = "mean",
    ) -> None:
        super().__init__()
        self.attention = AudioGuidedAttention(
            visual_channels=visual_channels, audio_features=audio_features, num_positions=num_positions
        )
        self.temporal = TemporalEncoder(
            visual_features=visual_channels, audio_features=audio_features, hidden_features=128
        )
        self.fusion = ResidualFusion(num_features=256)
        self.heads = LocalizationHeads(num_features=256, num_categories=num_categories, pooling=pooling)
        init_as_released(self)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> AVELLocalization:
        """Localise in maps (B, T, H, W, visual_channels) and audio (B, T, audio_features).

        Raises
        ------
        ValueError
            If the shapes do not fit the network or each other; maps with channels first are refused.
        """
        attended_visual, attention = self.attention(visual, audio)
        visual_sequence, audio_sequence = self.temporal(attended_visual, audio)
        fusion = torch.relu(self.fusion(visual_sequence, audio_sequence))
        event_logits, category_logits = self.heads(fusion)
        return AVELLocalization(
            event_logits=event_logits,
            category_logits=category_logits,
            clip_probabilities=weak_clip_probabilities(event_logits, category_logits),
            fusion=fusion,
            attention=attention,
            attended_visual=attended_visual,
            visual_sequence=visual_sequence,
            audio_sequence=audio_sequence,
        )

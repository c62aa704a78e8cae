"""The networks of the AVE data set as first released: audio-guided attention, LSTMs, and a class for every segment.

Tian et al., *Audio-Visual Event Localization in Unconstrained Videos* (ECCV 2018): the attention network (A+V-att) and
the dual multimodal residual network (DMRN). :mod:`models.localization.avel` has the latter's fusion with other heads.

Axes: B clip, T segment, H W map, P position (H·W), D feature, C category, K class (C + 1, background last).

::

    audio ───────┬───────── LSTM ─┐
                 ▼                ├─ both side by side, or residual fusion ── class of each segment
    visual ── attention ─── LSTM ─┘
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from models.localization.answers import SegmentLocalization
from models.localization.attention import AudioGuidedAttention
from models.localization.heads import in_full_precision, segment_head
from models.localization.initialisation import init_as_released
from models.localization.released import inside
from models.localization.residual_fusion import ResidualFusion
from models.localization.temporal import TemporalEncoder

_HIDDEN_FEATURES = 64


@dataclass(frozen=True)
class AVELocalization(SegmentLocalization):
    """The answers of either network and the steps that lead to them.

    Attributes
    ----------
    attended_visual : torch.Tensor, shape (B, T, visual_channels)
        Visual map after the attention.
    visual_sequence, audio_sequence : torch.Tensor, shape (B, T, 256)
        After the LSTMs.
    """

    attended_visual: torch.Tensor
    visual_sequence: torch.Tensor
    audio_sequence: torch.Tensor


@dataclass(frozen=True)
class AVEAttentionLocalization(AVELocalization):
    """The answers of the attention network.

    Attributes
    ----------
    hidden : torch.Tensor, shape (B, T, 64)
        Hidden layer of the classifier, rectified.
    """

    hidden: torch.Tensor


class _AVENet(nn.Module):
    """What both networks share: the attention and the LSTMs."""

    def __init__(self, *, visual_channels: int, audio_features: int, num_positions: int) -> None:
        super().__init__()
        self.attention = AudioGuidedAttention(
            visual_channels=visual_channels, audio_features=audio_features, num_positions=num_positions
        )
        self.temporal = TemporalEncoder(
            visual_features=visual_channels, audio_features=audio_features, hidden_features=128
        )


class AVEAttentionNet(_AVENet):
    """Localise audio-visual events with a class for every segment, from both modalities side by side.

    The answer about the clip is the softmax of each class's maximum over the segments; weak supervision trains it. The
    linear weights of the attention and of both layers of the classifier start Xavier-uniform, everything else as
    PyTorch starts it.

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

    Raises
    ------
    ValueError
        If there is no category.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        **inside("", "attention", AudioGuidedAttention.released_names),
        **inside("", "temporal", TemporalEncoder.released_names),
        "L1": "hidden",
        "L2": "head",
    }
    xavier_layers: ClassVar[tuple[str, ...]] = ("attention", "hidden", "head")

    def __init__(
        self, *, num_categories: int, visual_channels: int = 512, audio_features: int = 128, num_positions: int = 49
    ) -> None:
        super().__init__(visual_channels=visual_channels, audio_features=audio_features, num_positions=num_positions)
        self.hidden = nn.Linear(512, _HIDDEN_FEATURES)
        self.head = segment_head(num_features=_HIDDEN_FEATURES, num_categories=num_categories)
        init_as_released(self)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> AVEAttentionLocalization:
        """Localise in maps (B, T, H, W, visual_channels) and audio (B, T, audio_features); D is 512.

        Raises
        ------
        ValueError
            If the shapes do not fit the network or each other; maps with channels first are refused.
        """
        attended_visual, attention = self.attention(visual, audio)
        visual_sequence, audio_sequence = self.temporal(attended_visual, audio)
        fusion = torch.relu(torch.cat([audio_sequence, visual_sequence], dim=-1))
        hidden = torch.relu(self.hidden(fusion))
        segment_logits = in_full_precision(self.head, hidden)
        return AVEAttentionLocalization(
            segment_logits=segment_logits,
            clip_probabilities=_pool(segment_logits),
            fusion=fusion,
            attention=attention,
            attended_visual=attended_visual,
            visual_sequence=visual_sequence,
            audio_sequence=audio_sequence,
            hidden=hidden,
        )


class AVEResidualNet(_AVENet):
    """Localise audio-visual events with a class for every segment, from the residual fusion of both modalities (DMRN).

    The authors continued from a trained attention network. The answer about the clip is that of
    :class:`AVEAttentionNet`. The weights of the classifier start Xavier-uniform, everything else, the attention too, as
    PyTorch starts it.

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

    Raises
    ------
    ValueError
        If there is no category.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        **inside("", "attention", AudioGuidedAttention.released_names),
        **inside("", "temporal", TemporalEncoder.released_names),
        **inside("", "fusion", ResidualFusion.released_names),
        "L2": "head",
    }
    xavier_layers: ClassVar[tuple[str, ...]] = ("head",)

    def __init__(
        self, *, num_categories: int, visual_channels: int = 512, audio_features: int = 128, num_positions: int = 49
    ) -> None:
        super().__init__(visual_channels=visual_channels, audio_features=audio_features, num_positions=num_positions)
        self.fusion = ResidualFusion(num_features=256)
        self.head = segment_head(num_features=256, num_categories=num_categories)
        init_as_released(self)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> AVELocalization:
        """Localise in maps (B, T, H, W, visual_channels) and audio (B, T, audio_features); D is 256.

        Raises
        ------
        ValueError
            If the shapes do not fit the network or each other; maps with channels first are refused.
        """
        attended_visual, attention = self.attention(visual, audio)
        visual_sequence, audio_sequence = self.temporal(attended_visual, audio)
        fusion = self.fusion(visual_sequence, audio_sequence)
        segment_logits = in_full_precision(self.head, fusion)
        return AVELocalization(
            segment_logits=segment_logits,
            clip_probabilities=_pool(segment_logits),
            fusion=fusion,
            attention=attention,
            attended_visual=attended_visual,
            visual_sequence=visual_sequence,
            audio_sequence=audio_sequence,
        )


def _pool(segment_logits: torch.Tensor) -> torch.Tensor:
    """Return the probabilities (B, K) of clips from the logits (B, T, K) of their segments."""
    return torch.softmax(segment_logits.max(dim=1).values, dim=-1)

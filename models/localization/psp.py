"""The network of PSP, CPSP and SSPSP, which are the same network trained with other losses.

It serves full and weak supervision (the loss decides which outputs are trained) and any map of P positions:
VGG-19 (512 channels) or ResNet (1024).

Axes: B clip, T segment, H W map, P position (H·W), D feature (256), C category.

::

    audio ── projection ─┬───────────────── LSTM ─┐
                         ▼                        ├─ propagation ── fusion ── heads
    visual ────────── attention ─ projection ─ LSTM ┘
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from models.localization.answers import GatedLocalization
from models.localization.attention import AudioGuidedAttention
from models.localization.heads import LocalizationHeads, Pooling, weak_clip_probabilities
from models.localization.initialisation import init_as_released
from models.localization.propagation import PositiveSamplePropagation, Propagation
from models.localization.released import inside
from models.localization.temporal import TemporalEncoder
from models.shapes import require_shape


@dataclass(frozen=True)
class PSPLocalization(GatedLocalization):
    """The answers of PSP and the steps that lead to them.

    Attributes
    ----------
    similarity : torch.Tensor, shape (B, T)
        Cosine of the two propagated modalities, segment by segment.
    visual, audio : torch.Tensor, shape (B, T, D)
        Propagated features of each modality; ``fusion`` is their mean.
    projected_audio : torch.Tensor, shape (B, T, 128)
        Audio after its projection (``fa``).
    attended_visual : torch.Tensor, shape (B, T, visual_channels)
        Visual map after the attention (``video_att``).
    projected_visual : torch.Tensor, shape (B, T, 128)
        The same after its projection (``fv``).
    visual_sequence, audio_sequence : torch.Tensor, shape (B, T, D)
        After the LSTMs.
    propagation : Propagation
        The connections between the modalities.
    """

    similarity: torch.Tensor
    visual: torch.Tensor
    audio: torch.Tensor
    projected_audio: torch.Tensor
    attended_visual: torch.Tensor
    projected_visual: torch.Tensor
    visual_sequence: torch.Tensor
    audio_sequence: torch.Tensor
    propagation: Propagation


class PSPNet(nn.Module):
    """Localise audio-visual events in clips cut into segments.

    The linear weights of the attention and of the propagation start Xavier-uniform, as in the release of this family;
    the projections, the heads and everything else as PyTorch starts them.

    Parameters
    ----------
    num_categories : int
        C, without background.
    visual_channels : int, optional
        Channels of the visual maps: 512 for VGG-19, 1024 for ResNet.
    audio_features : int, optional
        Size of the audio vector of a segment.
    tau : float
        Share of a row of similarities that a pair of segments must exceed to be connected.
    dropout : float, optional
        Probability of dropping a feature in the propagation while training.
    pooling : {"mean", "max"}, optional
        How segments are pooled for the category.
    num_positions : int, optional
        Positions of the visual maps, H·W.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        "fa": "audio_projection",
        "fv": "visual_projection",
        **inside("attention", "attention", AudioGuidedAttention.released_names),
        **inside("lstm_a_v", "temporal", TemporalEncoder.released_names),
        **inside("psp", "propagation", PositiveSamplePropagation.released_names),
        **inside("", "heads", LocalizationHeads.released_names),
    }
    xavier_layers: ClassVar[tuple[str, ...]] = ("attention", "propagation")

    def __init__(
        self,
        *,
        num_categories: int,
        visual_channels: int = 512,
        audio_features: int = 128,
        tau: float,
        dropout: float = 0.1,
        pooling: Pooling = "mean",
        num_positions: int = 49,
    ) -> None:
        super().__init__()
        self.audio_features = audio_features
        self.audio_projection = projection(audio_features)
        self.visual_projection = projection(visual_channels)
        self.attention = AudioGuidedAttention(
            visual_channels=visual_channels, audio_features=128, num_positions=num_positions
        )
        self.temporal = TemporalEncoder(visual_features=128, audio_features=128, hidden_features=128)
        self.propagation = PositiveSamplePropagation(num_features=256, tau=tau, dropout=dropout)
        self.heads = LocalizationHeads(num_features=256, num_categories=num_categories, pooling=pooling)
        init_as_released(self)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> PSPLocalization:
        """Localise in maps (B, T, H, W, visual_channels) and audio (B, T, audio_features).

        Raises
        ------
        ValueError
            If the shapes do not fit the network or each other; maps with channels first are refused.
        """
        require_shape("audio", audio, ("B", "T", self.audio_features))
        projected_audio = self.audio_projection(audio)
        attended_visual, attention = self.attention(visual, projected_audio)
        projected_visual = self.visual_projection(attended_visual)
        visual_sequence, audio_sequence = self.temporal(projected_visual, projected_audio)
        propagation: Propagation = self.propagation(visual_sequence, audio_sequence)
        event_logits, category_logits = self.heads(propagation.fusion)
        return PSPLocalization(
            event_logits=event_logits,
            category_logits=category_logits,
            clip_probabilities=weak_clip_probabilities(event_logits, category_logits),
            similarity=cosine(propagation.visual.to(event_logits), propagation.audio.to(event_logits)),
            fusion=propagation.fusion,
            visual=propagation.visual,
            audio=propagation.audio,
            attention=attention,
            projected_audio=projected_audio,
            attended_visual=attended_visual,
            projected_visual=projected_visual,
            visual_sequence=visual_sequence,
            audio_sequence=audio_sequence,
            propagation=propagation,
        )


def projection(num_features: int) -> nn.Sequential:
    """Two linear layers without bias or activation, to 256 and then 128 features."""
    return nn.Sequential(nn.Linear(num_features, 256, bias=False), nn.Linear(256, 128, bias=False))


def cosine(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Inner product of the unit-normalised vectors along the last axis; 0 where either is zero."""
    return (functional.normalize(first, dim=-1) * functional.normalize(second, dim=-1)).sum(dim=-1)

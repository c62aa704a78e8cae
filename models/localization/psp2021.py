"""PSP as first released: networks for full and weak supervision that give every segment a class, background included.

Zhou et al., *Positive Sample Propagation along the Audio-Visual Event Line* (CVPR 2021), as in the release of that
year. :mod:`models.localization.psp` is its successor, which judges relevance and category apart.

Axes: B clip, T segment, H W map, P position (H·W), D feature (256), C category, K class (C + 1, background last).

::

    full                                                    weak

    audio ── projection ─┬──────────── LSTM ─┐              audio ───────┬──────────────── LSTM ─┐
                         ▼                   ├─ propagation              ▼                       ├─ propagation
    visual ───────── attention ─ projection ─┘              visual ── attention ─ projection ─ LSTM ┘
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
from models.localization.propagation import PlainPropagation, PositiveSamplePropagation, Propagation
from models.localization.psp import cosine, projection
from models.localization.released import inside
from models.localization.temporal import TemporalEncoder
from models.shapes import require_shape

_HIDDEN_FEATURES = 64


@dataclass(frozen=True)
class PSP2021Localization(SegmentLocalization):
    """The answers of either network and the steps that lead to them.

    Attributes
    ----------
    attended_visual : torch.Tensor, shape (B, T, visual_channels)
        Visual map after the attention (``video_att``).
    projected_visual : torch.Tensor, shape (B, T, 128)
        The same after its projection (``fv``; ``linear_v`` in the weak network).
    visual_sequence, audio_sequence : torch.Tensor, shape (B, T, D)
        After the LSTMs.
    propagation : Propagation
        The connections between the modalities, and the features that they lead to.
    """

    attended_visual: torch.Tensor
    projected_visual: torch.Tensor
    visual_sequence: torch.Tensor
    audio_sequence: torch.Tensor
    propagation: Propagation


@dataclass(frozen=True)
class PSP2021FullLocalization(PSP2021Localization):
    """The answers of the network for full supervision.

    Attributes
    ----------
    similarity : torch.Tensor, shape (B, T)
        Cosine of the two propagated modalities, segment by segment (``avps``).
    projected_audio : torch.Tensor, shape (B, T, 128)
        Audio after its projection (``fa``).
    """

    similarity: torch.Tensor
    projected_audio: torch.Tensor


@dataclass(frozen=True)
class PSP2021WeakLocalization(PSP2021Localization):
    """The answers of the network for weak supervision.

    Attributes
    ----------
    segment_weights : torch.Tensor, shape (B, T)
        Weight of each segment, from 0.5 to below 1.
    unweighted_logits : torch.Tensor, shape (B, T, K)
        Class of the segment before the weight; ``segment_logits`` is their product.
    """

    segment_weights: torch.Tensor
    unweighted_logits: torch.Tensor


class PSP2021FullNet(nn.Module):
    """Localise audio-visual events with a class for every segment, trained with labels of segments.

    The released network has no answer about the whole clip; here it is the softmax of the mean of the segments' logits.
    The linear weights of the attention, of the propagation and of both layers of the classifier start Xavier-uniform,
    everything else as PyTorch starts it.

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
    tau : float
        Share of a row of similarities that a pair of segments must exceed to be connected.
    dropout : float, optional
        Probability of dropping a feature in the propagation while training.

    Raises
    ------
    ValueError
        If there is no category, or tau is not between 0 and 1.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        "fa": "audio_projection",
        "fv": "visual_projection",
        **inside("attention", "attention", AudioGuidedAttention.released_names),
        **inside("lstm_a_v", "temporal", TemporalEncoder.released_names),
        **inside("psp", "propagation", PositiveSamplePropagation.released_names),
        "L1": "hidden",
        "L2": "head",
    }
    xavier_layers: ClassVar[tuple[str, ...]] = ("attention", "propagation", "hidden", "head")

    def __init__(
        self,
        *,
        num_categories: int,
        visual_channels: int = 512,
        audio_features: int = 128,
        num_positions: int = 49,
        tau: float,
        dropout: float = 0.1,
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
        self.hidden = nn.Linear(256, _HIDDEN_FEATURES, bias=False)
        self.head = segment_head(num_features=_HIDDEN_FEATURES, num_categories=num_categories, bias=False)
        init_as_released(self)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> PSP2021FullLocalization:
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
        segment_logits = in_full_precision(self.head, torch.relu(self.hidden(propagation.fusion)))
        return PSP2021FullLocalization(
            segment_logits=segment_logits,
            clip_probabilities=torch.softmax(segment_logits.mean(dim=1), dim=-1),
            similarity=cosine(propagation.visual.to(segment_logits), propagation.audio.to(segment_logits)),
            fusion=propagation.fusion,
            attention=attention,
            projected_audio=projected_audio,
            attended_visual=attended_visual,
            projected_visual=projected_visual,
            visual_sequence=visual_sequence,
            audio_sequence=audio_sequence,
            propagation=propagation,
        )


class PSP2021WeakNet(nn.Module):
    """Localise audio-visual events with a class for every segment, trained with labels of clips.

    With x the logits of a segment, its weight is w = sigmoid(relu(<W, x>)), its answer w x, and that of the clip the
    softmax of the mean of w x over the segments. The audio is not projected. The linear weights of the attention, of
    the propagation and of both layers of the classifier start Xavier-uniform, everything else as PyTorch starts it.

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
    tau : float
        Share of a row of similarities that a pair of segments must exceed to be connected.
    dropout : float, optional
        Probability of dropping a feature in the propagation while training.

    Raises
    ------
    ValueError
        If there is no category, or tau is not between 0 and 1.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        "linear_v": "visual_projection",
        **inside("attention", "attention", AudioGuidedAttention.released_names),
        **inside("lstm_a_v", "temporal", TemporalEncoder.released_names),
        **inside("psp", "propagation", PlainPropagation.released_names),
        "L1": "hidden",
        "L2": "head",
        "W3": "weighting",
    }
    xavier_layers: ClassVar[tuple[str, ...]] = ("attention", "propagation", "hidden", "head")

    def __init__(
        self,
        *,
        num_categories: int,
        visual_channels: int = 512,
        audio_features: int = 128,
        num_positions: int = 49,
        tau: float,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.attention = AudioGuidedAttention(
            visual_channels=visual_channels, audio_features=audio_features, num_positions=num_positions
        )
        self.visual_projection = nn.Linear(visual_channels, 128)
        self.temporal = TemporalEncoder(visual_features=128, audio_features=audio_features, hidden_features=128)
        self.propagation = PlainPropagation(num_features=256, tau=tau, dropout=dropout)
        self.hidden = nn.Linear(256, _HIDDEN_FEATURES, bias=False)
        self.head = segment_head(num_features=_HIDDEN_FEATURES, num_categories=num_categories, bias=False)
        self.weighting = nn.Linear(num_categories + 1, 1, bias=False)
        init_as_released(self)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> PSP2021WeakLocalization:
        """Localise in maps (B, T, H, W, visual_channels) and audio (B, T, audio_features).

        Raises
        ------
        ValueError
            If the shapes do not fit the network or each other; maps with channels first are refused.
        """
        attended_visual, attention = self.attention(visual, audio)
        projected_visual = self.visual_projection(attended_visual)
        visual_sequence, audio_sequence = self.temporal(projected_visual, audio)
        propagation: Propagation = self.propagation(visual_sequence, audio_sequence)
        logits = in_full_precision(self.head, torch.relu(self.hidden(propagation.fusion)))
        weights = torch.sigmoid(torch.relu(in_full_precision(self.weighting, logits))).squeeze(-1)
        segment_logits = weights.unsqueeze(-1) * logits
        return PSP2021WeakLocalization(
            segment_logits=segment_logits,
            clip_probabilities=torch.softmax(segment_logits.mean(dim=1), dim=-1),
            segment_weights=weights,
            unweighted_logits=logits,
            fusion=propagation.fusion,
            attention=attention,
            attended_visual=attended_visual,
            projected_visual=projected_visual,
            visual_sequence=visual_sequence,
            audio_sequence=audio_sequence,
            propagation=propagation,
        )

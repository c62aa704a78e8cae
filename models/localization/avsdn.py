"""AVSDN: an LSTM over both modalities starts from the fused last states of one LSTM per modality.

Lin et al., *Dual-modality Seq2Seq Network for Audio-visual Event Localization* (ICASSP 2019), in the form that the
CPSP code compares with: the heads of PSP, for full and weak supervision.

Axes: B clip, T segment, H W map, P position (H·W), D feature (256), C category, R direction (forward, backward),
K feature of an LSTM's state in one direction (128).

::

    audio ───────┬────────── LSTM ── last state ─┐
                 ▼                               ├─ residual fusion ──┐ start
    visual ── attention ─┬── LSTM ── last state ─┘                    ▼
                         └───────── audio and attended visual ────── LSTM ── relu ── heads
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
from models.localization.temporal import TemporalEncoder, bidirectional_lstm, run_lstm


@dataclass(frozen=True)
class AVSDNLocalization(GatedLocalization):
    """The answers of AVSDN and the steps that lead to them.

    Attributes
    ----------
    attended_visual : torch.Tensor, shape (B, T, visual_channels)
        Visual map after the attention.
    visual_sequence, audio_sequence : torch.Tensor, shape (B, T, D)
        After the LSTMs that read one modality; only their last states are used.
    initial_hidden, initial_cell : torch.Tensor, shape (B, R, K)
        Initial state of the joint LSTM.
    joint_sequence : torch.Tensor, shape (B, T, D)
        After the joint LSTM; rectified, it is ``fusion``.
    """

    attended_visual: torch.Tensor
    visual_sequence: torch.Tensor
    audio_sequence: torch.Tensor
    initial_hidden: torch.Tensor
    initial_cell: torch.Tensor
    joint_sequence: torch.Tensor


class AVSDNNet(nn.Module):
    """Localise audio-visual events by reading both modalities twice: for the clip, then for its segments.

    The linear weights of the attention and of both heads start Xavier-uniform, everything else as PyTorch starts it.

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
        "lstm_a_v": "joint",
        **inside("", "state_fusion", ResidualFusion.released_names),
        **inside("", "heads", LocalizationHeads.released_names),
    }
    xavier_layers: ClassVar[tuple[str, ...]] = ("attention", "heads")

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
        self.state_fusion = ResidualFusion(num_features=128)
        self.joint = bidirectional_lstm(audio_features + visual_channels, 128)
        self.heads = LocalizationHeads(num_features=256, num_categories=num_categories, pooling=pooling)
        init_as_released(self)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> AVSDNLocalization:
        """Localise in maps (B, T, H, W, visual_channels) and audio (B, T, audio_features).

        Raises
        ------
        ValueError
            If the shapes do not fit the network or each other; maps with channels first are refused.
        """
        attended_visual, attention = self.attention(visual, audio)
        seen, heard = self.temporal.run(attended_visual, audio)
        initial_hidden = self.state_fusion(torch.relu(seen.hidden), torch.relu(heard.hidden))
        initial_cell = self.state_fusion(torch.relu(seen.cell), torch.relu(heard.cell))
        joint = run_lstm(self.joint, torch.cat([audio, attended_visual], dim=-1), (initial_hidden, initial_cell))
        fusion = torch.relu(joint.sequence)
        event_logits, category_logits = self.heads(fusion)
        return AVSDNLocalization(
            event_logits=event_logits,
            category_logits=category_logits,
            clip_probabilities=weak_clip_probabilities(event_logits, category_logits),
            fusion=fusion,
            attention=attention,
            attended_visual=attended_visual,
            visual_sequence=seen.sequence,
            audio_sequence=heard.sequence,
            initial_hidden=initial_hidden,
            initial_cell=initial_cell,
            joint_sequence=joint.sequence,
        )

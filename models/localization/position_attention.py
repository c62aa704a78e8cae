"""Visual attention that relates the positions of a map to each other before it weighs them, and may guide the audio.

Axes: B clip, T segment, H W map, P position in the map (row-major, P = H·W), K channel of the projected map (512),
D feature of the audio. In attention among rows, Q asks and M answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from models.localization.attention import ChannelSpatialAttention, sum_positions
from models.localization.released import inside

HIDDEN_CHANNELS = 512
"""K, of the projected map and of what is seen."""

_KEY_FEATURES = 128


@dataclass(frozen=True)
class PositionAttended:
    """The map of each segment as one vector, and the weights that made it.

    Attributes
    ----------
    visual : torch.Tensor, shape (B, T, K)
        What is seen (``visual_vector`` in the golden vectors).
    attention : torch.Tensor, shape (B, T, P)
        Weight of each position by the sound, w' (``spatial_att_1``).
    summary_attention : torch.Tensor, shape (B, T, P)
        Weight of each position by the map itself, w (``spatial_att_0``).
    position_attention : torch.Tensor, shape (B, T, P, P)
        Weight of the second position for the first (``position_att0``).
    """

    visual: torch.Tensor
    attention: torch.Tensor
    summary_attention: torch.Tensor
    position_attention: torch.Tensor


@dataclass(frozen=True)
class AudioGuided:
    """The audio as what is seen guides it, and the weights that led there.

    Attributes
    ----------
    audio : torch.Tensor, shape (B, T, D)
        What is heard (``guided_audio`` in the golden vectors).
    segment_attention : torch.Tensor, shape (B, T, T)
        Weight of the second segment's sound for the first's (``time_att_0``).
    guidance_attention : torch.Tensor, shape (B, T, T)
        Weight of the second segment's sound for the first's map (``time_att_1``).
    position_attention : torch.Tensor, shape (B, T, P, P)
        Weight of the second position for the first (``position_att1``).
    """

    audio: torch.Tensor
    segment_attention: torch.Tensor
    guidance_attention: torch.Tensor
    position_attention: torch.Tensor


class PlainAttention(nn.Module):
    """Let rows gather from rows: softmax over m of <query of q, key of m>, without a scale, times the value of m.

    Parameters
    ----------
    query_features, memory_features : int
        Size of the rows that ask and of those that answer.
    key_features : int
        Size of queries and keys.
    """

    def __init__(self, *, query_features: int, memory_features: int, key_features: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_features, key_features)
        self.key = nn.Linear(memory_features, key_features)
        self.value = nn.Linear(memory_features, memory_features)

    def forward(self, query: torch.Tensor, memory: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Gather for rows (..., Q, query_features) from a memory (..., M, memory_features).

        Returns
        -------
        gathered : torch.Tensor, shape (..., Q, memory_features)
            Weighted sum of the values.
        weights : torch.Tensor, shape (..., Q, M)
            They sum to one over M.
        """
        weights = torch.softmax(self.query(query) @ self.key(memory).mT, dim=-1)
        return weights @ self.value(memory), weights


class PositionAttention(nn.Module):
    """Relate the positions of a map to each other, then weigh its channels and positions by the sound of the segment.

    With x_i the projected map, one vector per position i, and the audio vector a of one segment::

        z_i  = LN(x_i + Σ_j weight_ij value(x_j)),   weight_ij = softmax over j of <query(x_i), key(x_j)>
        u    = relu(W mean over i of z_i)
        w_i  = softmax over i of tanh(<h, relu(W3 z_i) * u> + b),   s = Σ_i w_i z_i
        c    = channels that go with the sound, of z;               y_i = x_i (1 + c)
        w'_i = positions that go with the sound, of y;              g = Σ_i w'_i y_i
        what is seen = g + β sigmoid(s) g

    c and w' are those of :class:`models.localization.attention.ChannelSpatialAttention`. From CMBS (Xia and Zhao, CVPR
    2022). No weight belongs to one position; the number of positions only serves to check the maps.

    Parameters
    ----------
    visual_channels : int
        Channels of the maps.
    audio_features : int
        D.
    num_positions : int, optional
        P, positions per map.
    beta : float
        β, share of what the map says of itself.
    dropout : float
        Probability of dropping a channel of x while training.
    position_dropout : float
        Probability of dropping a channel of what a position gathered while training.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        **inside("", "guided", ChannelSpatialAttention.released_names),
        "video_query": "positions.query",
        "video_key": "positions.key",
        "video_value": "positions.value",
        "affine_video_ave": "summary_mean",
        "affine_video_3": "summary_visual",
        "ave_v_att": "summary_score",
    }

    def __init__(
        self,
        *,
        visual_channels: int,
        audio_features: int,
        num_positions: int = 49,
        beta: float,
        dropout: float,
        position_dropout: float,
    ) -> None:
        super().__init__()
        self.beta = beta
        self.guided = ChannelSpatialAttention(
            visual_channels=visual_channels,
            audio_features=audio_features,
            num_positions=num_positions,
            hidden_features=HIDDEN_CHANNELS,
            dropout=dropout,
        )
        self.positions = _attention_among_positions()
        self.layer_norm = nn.LayerNorm(HIDDEN_CHANNELS)
        self.summary_mean = nn.Linear(HIDDEN_CHANNELS, HIDDEN_CHANNELS // 2)
        self.summary_visual = nn.Linear(HIDDEN_CHANNELS, HIDDEN_CHANNELS // 2)
        self.summary_score = nn.Linear(HIDDEN_CHANNELS // 2, 1)
        self.position_dropout = nn.Dropout(position_dropout)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> PositionAttended:
        """Attend to the maps (B, T, H, W, visual_channels) with the audio (B, T, D).

        Raises
        ------
        ValueError
            As :meth:`models.localization.attention.AudioGuidedAttention.forward`.
        """
        return self.attend(self.guided.project(visual, audio), audio)

    def relate(self, projected: torch.Tensor, positions: PlainAttention) -> tuple[torch.Tensor, torch.Tensor]:
        """Return z, (B, T, P, K), of projected maps x by one attention among positions, and its weights."""
        gathered, weights = positions(projected, projected)
        return self.layer_norm(projected + self.position_dropout(gathered)), weights

    def attend(self, projected: torch.Tensor, audio: torch.Tensor) -> PositionAttended:
        """Attend to projected maps x, (B, T, P, K), with the audio (B, T, D)."""
        related, position_attention = self.relate(projected, self.positions)
        summary, summary_attention = self._summarise(related)
        raised = projected * (1 + self.guided.weigh_channels(related, audio)).unsqueeze(2)
        attended, attention = self.guided.weigh_positions(raised, audio)
        return PositionAttended(
            visual=attended + self.beta * torch.sigmoid(summary) * attended,
            attention=attention,
            summary_attention=summary_attention,
            position_attention=position_attention,
        )

    def _summarise(self, related: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return s, (B, T, K), of related positions z, and the weights w, (B, T, P)."""
        mean = torch.relu(self.summary_mean(related.mean(dim=2)))
        pairs = torch.relu(self.summary_visual(related)) * mean.unsqueeze(2)
        return sum_positions(related, self.summary_score(pairs).squeeze(-1))


class CoGuidedAttention(nn.Module):
    """Weigh the positions of a map by the sound, as :class:`PositionAttention` does, and let the map guide the sound.

    With the audio vectors a of the segments of a clip, and z2 the positions as a second attention relates them::

        t = LN(a + Σ over segments of softmax(<query(a), key(a)>) value(a))
        h = Σ over segments of softmax(<query(mean over i of z2_i), key(t)>) value(t)
        what is heard = a + ψ sigmoid(h) a

    From CACE-Net (He et al., ACM MM 2024). As released, both attentions among positions share one normalisation.

    Parameters
    ----------
    psi : float
        ψ, share of what the map says of the sound.
    visual_channels, audio_features, num_positions, beta, dropout, position_dropout :
        As :class:`PositionAttention`; ``position_dropout`` also applies to what a sound gathered from others.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        **inside("", "visual", PositionAttention.released_names),
        "video_query2": "positions.query",
        "video_key2": "positions.key",
        "video_value2": "positions.value",
        "audio_query": "segments.query",
        "audio_key": "segments.key",
        "audio_value": "segments.value",
        "a_norm": "layer_norm",
        "v_query": "guidance.query",
        "vaudio_key": "guidance.key",
        "vaudio_value": "guidance.value",
    }

    def __init__(
        self,
        *,
        visual_channels: int,
        audio_features: int,
        num_positions: int = 49,
        beta: float,
        psi: float,
        dropout: float,
        position_dropout: float,
    ) -> None:
        super().__init__()
        self.psi = psi
        self.visual = PositionAttention(
            visual_channels=visual_channels,
            audio_features=audio_features,
            num_positions=num_positions,
            beta=beta,
            dropout=dropout,
            position_dropout=position_dropout,
        )
        self.positions = _attention_among_positions()
        self.segments = PlainAttention(
            query_features=audio_features, memory_features=audio_features, key_features=_KEY_FEATURES
        )
        self.guidance = PlainAttention(
            query_features=HIDDEN_CHANNELS, memory_features=audio_features, key_features=_KEY_FEATURES
        )
        self.layer_norm = nn.LayerNorm(audio_features)
        self.segment_dropout = nn.Dropout(position_dropout)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> tuple[PositionAttended, AudioGuided]:
        """Attend to the maps (B, T, H, W, visual_channels) with the audio (B, T, D), and guide the audio by them.

        Raises
        ------
        ValueError
            As :meth:`models.localization.attention.AudioGuidedAttention.forward`.
        """
        projected = self.visual.guided.project(visual, audio)
        return self.visual.attend(projected, audio), self._guide(projected, audio)

    def _guide(self, projected: torch.Tensor, audio: torch.Tensor) -> AudioGuided:
        related, position_attention = self.visual.relate(projected, self.positions)
        gathered, segment_attention = self.segments(audio, audio)
        heard = self.layer_norm(audio + self.segment_dropout(gathered))
        guidance, guidance_attention = self.guidance(related.mean(dim=2), heard)
        return AudioGuided(
            audio=audio + self.psi * torch.sigmoid(guidance) * audio,
            segment_attention=segment_attention,
            guidance_attention=guidance_attention,
            position_attention=position_attention,
        )


def _attention_among_positions() -> PlainAttention:
    return PlainAttention(query_features=HIDDEN_CHANNELS, memory_features=HIDDEN_CHANNELS, key_features=_KEY_FEATURES)

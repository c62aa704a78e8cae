"""Audio-guided visual attention: weigh the places of the picture by what is heard.

Axes: B clip, T segment, H W map, P position in the map (row-major, P = H·W), C channel of the map, D feature
of the audio, K hidden feature.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from models.shapes import require_shape

ROWS_AT_ONCE = 2048
"""Positions that a CPU projects at once. The projections of a whole batch, 64 MiB, are memory that the system has to
provide anew in every step and that no cache holds: a fifth of the time of a step."""


class AudioGuidedAttention(nn.Module):
    """Weigh the positions of a visual map by how well they go with the sound of the same segment.

    With visual vectors V (one per position i) and the audio vector a of one segment::

        S[i, j] = <relu(W_visual V_i + b), Wv_j>        j = 1 ... P hidden units
        u[i]    = <relu(W_audio a + b), Wg_i>
        z[i]    = sum_j wh_j tanh(S[i, j] + u[i])
        weight  = softmax over i of z,   attended = sum_i weight_i V_i

    The audio term u belongs to the *position* i, not to the hidden unit j, so the number of positions is part
    of the network. The sum is over the maps as given, not over their projection. AVEL (Tian et al., ECCV 2018)
    introduced it; PSP and CPSP use it unchanged.

    Parameters
    ----------
    visual_channels : int
        C, channels of the maps.
    audio_features : int
        D, size of the audio vector.
    num_positions : int, optional
        P, positions per map.
    hidden_features : int, optional
        K, size of both projections.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        "affine_audio": "audio_projection",
        "affine_video": "visual_projection",
        "affine_v": "visual_hidden",
        "affine_g": "audio_hidden",
        "affine_h": "score",
    }

    def __init__(
        self, *, visual_channels: int, audio_features: int, num_positions: int = 49, hidden_features: int = 512
    ) -> None:
        super().__init__()
        self.visual_channels = visual_channels
        self.audio_features = audio_features
        self.num_positions = num_positions
        self.rows_at_once = ROWS_AT_ONCE
        self.visual_projection = nn.Linear(visual_channels, hidden_features)
        self.audio_projection = nn.Linear(audio_features, hidden_features)
        self.visual_hidden = nn.Linear(hidden_features, num_positions, bias=False)
        self.audio_hidden = nn.Linear(hidden_features, num_positions, bias=False)
        self.score = nn.Linear(num_positions, 1, bias=False)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Attend to the maps (B, T, H, W, C) with the audio (B, T, D).

        Parameters
        ----------
        visual : torch.Tensor, shape (B, T, H, W, C)
            Maps, channels last.
        audio : torch.Tensor, shape (B, T, D)
            One vector per segment.

        Returns
        -------
        attended : torch.Tensor, shape (B, T, C)
            Weighted sum of the positions.
        weights : torch.Tensor, shape (B, T, P)
            Weight of each position; they sum to one (``alpha`` in the golden vectors).

        Raises
        ------
        ValueError
            If the maps are not channels-last with C channels and P positions, or the audio does not fit. Maps
            with channels first are refused: re-reading them as rows of C numbers would scramble them unseen.
        """
        positions = _positions(
            visual,
            audio,
            visual_channels=self.visual_channels,
            audio_features=self.audio_features,
            num_positions=self.num_positions,
        )
        seen = self._see(positions)
        heard = self.audio_hidden(torch.relu(self.audio_projection(audio)))
        scores = self.score(torch.tanh(seen + heard.unsqueeze(-1))).squeeze(-1)
        weights = torch.softmax(scores, dim=-1)
        return _weighted_sum(weights, positions), weights

    def _see(self, positions: torch.Tensor) -> torch.Tensor:
        """Return S, (B, T, P, P), of the positions (B, T, P, C): the response of each of the P hidden units to each."""
        rows = positions.flatten(0, 2)
        num_rows = self.rows_at_once if rows.device.type == "cpu" else len(rows)
        # In place, which needs rows: of a view, as a layer makes of more axes, autograd would keep a copy.
        parts = [self.visual_hidden(torch.relu_(self.visual_projection(part))) for part in rows.split(num_rows)]
        shown: torch.Tensor = torch.cat(parts).unflatten(0, positions.shape[:3])
        return shown


class ChannelSpatialAttention(nn.Module):
    """Weigh first the channels of a projected visual map, then its positions, by the sound of the same segment.

    With visual vectors V (one per position i) and the audio vector a of one segment::

        x_i      = relu(W V_i + b)
        match    = mean over i of relu(A1 a) * relu(V1 x_i)
        channels = sigmoid(W_out relu(W_in match)),   x'_i = x_i * (1 + channels)
        z_i      = tanh(<w, relu(V2 x'_i) * relu(A2 a)> + b)
        weight   = softmax over i of z,   attended = sum_i weight_i x'_i

    All linear maps have biases. From CMRAN (Xu et al., ACM MM 2020). No weight belongs to one position; the number of
    positions only serves to check the maps.

    Parameters
    ----------
    visual_channels : int
        C, channels of the maps.
    audio_features : int
        D, size of the audio vector.
    num_positions : int, optional
        P, positions per map.
    hidden_features : int, optional
        K, size of the projected maps; the bottleneck and the scores of the positions use half of it.
    dropout : float, optional
        Probability of dropping, while training, a feature of the projected maps x, before either attention sees them.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        "affine_video_1": "visual_channel",
        "affine_audio_1": "audio_channel",
        "affine_bottleneck": "bottleneck",
        "affine_v_c_att": "channel_score",
        "affine_video_2": "visual_spatial",
        "affine_audio_2": "audio_spatial",
        "affine_v_s_att": "spatial_score",
    }

    def __init__(
        self,
        *,
        visual_channels: int,
        audio_features: int,
        num_positions: int = 49,
        hidden_features: int = 512,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.visual_channels = visual_channels
        self.audio_features = audio_features
        self.num_positions = num_positions
        half = hidden_features // 2
        self.visual_projection = nn.Linear(visual_channels, hidden_features)
        self.visual_channel = nn.Linear(hidden_features, hidden_features)
        self.audio_channel = nn.Linear(audio_features, hidden_features)
        self.bottleneck = nn.Linear(hidden_features, half)
        self.channel_score = nn.Linear(half, hidden_features)
        self.visual_spatial = nn.Linear(hidden_features, half)
        self.audio_spatial = nn.Linear(audio_features, half)
        self.spatial_score = nn.Linear(half, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Attend to the maps (B, T, H, W, C) with the audio (B, T, D).

        Parameters
        ----------
        visual : torch.Tensor, shape (B, T, H, W, C)
            Maps, channels last.
        audio : torch.Tensor, shape (B, T, D)
            One vector per segment.

        Returns
        -------
        attended : torch.Tensor, shape (B, T, K)
            Weighted sum of the projected positions (``visual_vector`` in the golden vectors).
        weights : torch.Tensor, shape (B, T, P)
            Weight of each position; they sum to one (``spatial_att``).
        channel_weights : torch.Tensor, shape (B, T, K)
            Share by which each channel is raised, 0 to 1 (``channel_att``).

        Raises
        ------
        ValueError
            As :meth:`AudioGuidedAttention.forward`.
        """
        projected = self.project(visual, audio)
        channel_weights = self.weigh_channels(projected, audio)
        raised = projected * (1 + channel_weights).unsqueeze(2)
        attended, weights = self.weigh_positions(raised, audio)
        return attended, weights, channel_weights

    def project(self, visual: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        """Return the projected map x, (B, T, P, K), of maps that fit; the audio is only checked.

        Raises
        ------
        ValueError
            As :meth:`AudioGuidedAttention.forward`.
        """
        positions = _positions(
            visual,
            audio,
            visual_channels=self.visual_channels,
            audio_features=self.audio_features,
            num_positions=self.num_positions,
        )
        projected: torch.Tensor = self.dropout(torch.relu(self.visual_projection(positions)))
        return projected

    def weigh_channels(self, positions: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        """Return the share, (B, T, K), by which each channel of positions (B, T, P, K) should be raised."""
        # The audio is the same at every position, so it multiplies the mean.
        match = torch.relu(self.audio_channel(audio)) * torch.relu(self.visual_channel(positions)).mean(dim=2)
        return torch.sigmoid(self.channel_score(torch.relu(self.bottleneck(match))))

    def weigh_positions(self, positions: torch.Tensor, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weighted sum, (B, T, K), of positions (B, T, P, K), and their weights (B, T, P)."""
        pairs = torch.relu(self.visual_spatial(positions)) * torch.relu(self.audio_spatial(audio)).unsqueeze(2)
        return sum_positions(positions, self.spatial_score(pairs).squeeze(-1))


def sum_positions(positions: torch.Tensor, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum the positions (B, T, P, C) of each map by the softmax of the hyperbolic tangent of their scores (B, T, P).

    Returns
    -------
    attended : torch.Tensor, shape (B, T, C)
        The sum.
    weights : torch.Tensor, shape (B, T, P)
        Weight of each position; they sum to one.
    """
    weights = torch.softmax(torch.tanh(scores), dim=-1)
    return _weighted_sum(weights, positions), weights


def _positions(
    visual: torch.Tensor, audio: torch.Tensor, *, visual_channels: int, audio_features: int, num_positions: int
) -> torch.Tensor:
    """Check maps (B, T, H, W, C) and audio; return the maps as rows of channels (B, T, P, C)."""
    require_shape(
        "visual",
        visual,
        ("B", "T", "H", "W", visual_channels),
        hint="channels come last; move them with visual.movedim(2, -1) if they come first",
    )
    num_clips, num_segments, height, width, _ = visual.shape
    if height * width != num_positions:
        raise ValueError(
            f"visual: expected maps of {num_positions} positions, found {height} x {width}; "
            "the number of positions is part of the network"
        )
    require_shape("audio", audio, (num_clips, num_segments, audio_features))
    return visual.flatten(2, 3)


def _weighted_sum(weights: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Sum positions (B, T, P, C) by their weights (B, T, P)."""
    return torch.einsum("btp,btpc->btc", weights, positions)

"""Audio-guided visual attention: weigh the places of the picture by what is heard.

Axes: B clip, T segment, H W map, P position in the map (row-major, P = H·W), C channel of the map, D feature
of the audio, K hidden feature.
"""

import torch
from torch import nn

from models.shapes import require_shape


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

    def __init__(
        self, *, visual_channels: int, audio_features: int, num_positions: int = 49, hidden_features: int = 512
    ) -> None:
        super().__init__()
        self.visual_channels = visual_channels
        self.audio_features = audio_features
        self.num_positions = num_positions
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
        require_shape(
            "visual",
            visual,
            ("B", "T", "H", "W", self.visual_channels),
            hint="channels come last; move them with visual.movedim(2, -1) if they come first",
        )
        num_clips, num_segments, height, width, _ = visual.shape
        if height * width != self.num_positions:
            raise ValueError(
                f"visual: expected maps of {self.num_positions} positions, found {height} x {width}; "
                "the number of positions is part of the network"
            )
        require_shape("audio", audio, (num_clips, num_segments, self.audio_features))

        positions = visual.flatten(2, 3)
        seen = self.visual_hidden(torch.relu(self.visual_projection(positions)))
        heard = self.audio_hidden(torch.relu(self.audio_projection(audio)))
        scores = self.score(torch.tanh(seen + heard.unsqueeze(-1))).squeeze(-1)
        weights = torch.softmax(scores, dim=-1)
        attended = torch.einsum("btp,btpc->btc", weights, positions)
        return attended, weights

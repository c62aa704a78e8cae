"""What came before and what comes after: one bidirectional LSTM per modality.

Axes: B clip, T segment, D feature.
"""

import torch
from torch import nn


class TemporalEncoder(nn.Module):
    """Give every segment the context of its clip, separately in each modality.

    Parameters
    ----------
    visual_features, audio_features : int
        D of the two inputs.
    hidden_features : int, optional
        Size of the state in each direction; the outputs have twice as many features.
    """

    def __init__(self, *, visual_features: int, audio_features: int, hidden_features: int = 128) -> None:
        super().__init__()
        self.audio = nn.LSTM(audio_features, hidden_features, batch_first=True, bidirectional=True)
        self.visual = nn.LSTM(visual_features, hidden_features, batch_first=True, bidirectional=True)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode visual (B, T, D) and audio (B, T, D) sequences.

        Returns
        -------
        visual, audio : torch.Tensor, shape (B, T, 2 hidden_features)
            The forward state of each segment, then the backward state.
        """
        visual_sequence, _ = self.visual(visual)
        audio_sequence, _ = self.audio(audio)
        return visual_sequence, audio_sequence

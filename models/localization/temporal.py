"""Context from before and after each segment: bidirectional LSTMs, one per modality.

Axes: B clip, T segment, D feature, R direction (forward, backward), K feature of the state in one direction.
"""

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import nn


class Recurrence(NamedTuple):
    """The output of a bidirectional LSTM.

    Attributes
    ----------
    sequence : torch.Tensor, shape (B, T, 2 K)
        The forward state of each segment, then the backward state.
    hidden, cell : torch.Tensor, shape (B, R, K)
        Final state of each direction: forward after the last segment, backward after the first.
    """

    sequence: torch.Tensor
    hidden: torch.Tensor
    cell: torch.Tensor


class TemporalEncoder(nn.Module):
    """Give every segment the context of its clip, separately in each modality.

    Parameters
    ----------
    visual_features, audio_features : int
        D of the two inputs.
    hidden_features : int, optional
        K, size of the state in each direction; the outputs have twice as many features.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        "lstm_audio": "audio",
        "lstm_video": "visual",
    }

    def __init__(self, *, visual_features: int, audio_features: int, hidden_features: int = 128) -> None:
        super().__init__()
        self.audio = bidirectional_lstm(audio_features, hidden_features)
        self.visual = bidirectional_lstm(visual_features, hidden_features)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode visual (B, T, D) and audio (B, T, D) sequences.

        Returns
        -------
        visual, audio : torch.Tensor, shape (B, T, 2 K)
            The forward state of each segment, then the backward state.
        """
        seen, heard = self.run(visual, audio)
        return seen.sequence, heard.sequence

    def run(self, visual: torch.Tensor, audio: torch.Tensor) -> tuple[Recurrence, Recurrence]:
        """Encode as :meth:`forward` does, and return the final states too."""
        return run_lstm(self.visual, visual), run_lstm(self.audio, audio)


def bidirectional_lstm(num_features: int, hidden_features: int) -> nn.LSTM:
    """Return an LSTM for :func:`run_lstm`: one layer, both directions, batch first."""
    return nn.LSTM(num_features, hidden_features, batch_first=True, bidirectional=True)


def run_lstm(
    lstm: nn.LSTM, features: torch.Tensor, start: tuple[torch.Tensor, torch.Tensor] | None = None
) -> Recurrence:
    """Run a bidirectional LSTM over features (B, T, D).

    Parameters
    ----------
    lstm : torch.nn.LSTM
        From :func:`bidirectional_lstm`.
    features : torch.Tensor, shape (B, T, D)
        Its input.
    start : tuple of torch.Tensor, shapes (B, R, K), optional
        Hidden state and cell that each direction starts from; by default zero.
    """
    # nn.LSTM puts the directions in front of the clips, whatever batch_first says.
    states = None if start is None else tuple(state.transpose(0, 1).contiguous() for state in start)
    sequence, (hidden, cell) = lstm(features, states)
    return Recurrence(sequence, hidden.transpose(0, 1), cell.transpose(0, 1))

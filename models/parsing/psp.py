"""PSP and CPSP for parsing, which are the same network trained with other losses.

The network of the CPSP release on LLP: positive sample propagation between the modalities, then the pooling of HAN.

Axes: B clip, T segment, M modality (audio 0, visual 1), D feature (512), C category.

::

    audio ──── projection ─ LSTM ─┐
                                  ├─ propagation ── MMIL pooling
    visual ─── projection ─ LSTM ─┘
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from models.localization.initialisation import init_as_released
from models.localization.propagation import PositiveSamplePropagation, Propagation
from models.localization.released import inside
from models.localization.temporal import TemporalEncoder
from models.parsing.answers import Parsing, PropagatedParsing
from models.parsing.pooling import MMILPooling
from models.parsing.streams import NUM_FEATURES, InputStreams


@dataclass(frozen=True)
class MMILPSPParsing(PropagatedParsing):
    """The answers of the parsing PSP and the steps that lead to them.

    Attributes
    ----------
    audio_sequence, visual_sequence : torch.Tensor, shape (B, T, D)
        After the LSTMs.
    propagation : Propagation
        The connections between the modalities.
    """

    audio_sequence: torch.Tensor
    visual_sequence: torch.Tensor
    propagation: Propagation


class MMILPSPNet(nn.Module):
    """Parse clips cut into segments: which categories are heard, and which are seen, in each.

    The linear weights of the propagation start Xavier-uniform, as in the release; everything else as PyTorch starts it.

    Parameters
    ----------
    num_categories : int
        C.
    visual_shape, motion_features :
        The visual features of a segment, as :class:`models.parsing.streams.VisualStreams` takes them.
    audio_features : int, optional
        Size of the audio vector of a segment.
    tau : float
        Share of a row of similarities that a pair of segments must exceed to be connected.
    dropout : float, optional
        Probability of dropping a feature in the propagation while training.

    Raises
    ------
    ValueError
        If there is no category, the visual features cannot be of these sizes, or tau is not between 0 and 1.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        **inside("", "streams", InputStreams.released_names),
        **inside("lstm", "temporal", TemporalEncoder.released_names),
        **inside("psp", "propagation", PositiveSamplePropagation.released_names),
        **inside("", "pooling", MMILPooling.released_names),
    }
    xavier_layers: ClassVar[tuple[str, ...]] = ("propagation",)

    def __init__(
        self,
        *,
        num_categories: int,
        visual_shape: Sequence[int],
        motion_features: int = 0,
        audio_features: int = 128,
        tau: float,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.streams = InputStreams(
            visual_shape=visual_shape, motion_features=motion_features, audio_features=audio_features
        )
        self.temporal = TemporalEncoder(
            visual_features=NUM_FEATURES, audio_features=NUM_FEATURES, hidden_features=NUM_FEATURES // 2
        )
        self.propagation = PositiveSamplePropagation(num_features=NUM_FEATURES, tau=tau, dropout=dropout)
        self.pooling = MMILPooling(num_features=NUM_FEATURES, num_categories=num_categories)
        init_as_released(self)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> MMILPSPParsing:
        """Parse visual features, shaped as the streams take them, and audio (B, T, audio_features).

        Raises
        ------
        ValueError
            If the shapes do not fit the network or each other.
        """
        visual_inputs, audio_inputs = self.streams(visual, audio)
        visual_sequence, audio_sequence = self.temporal(visual_inputs, audio_inputs)
        propagation: Propagation = self.propagation(visual_sequence, audio_sequence)
        features = torch.stack([propagation.audio, propagation.visual], dim=2)
        pooled: Parsing = self.pooling(features)
        return MMILPSPParsing(
            **vars(pooled),
            features=features,
            visual_inputs=visual_inputs,
            audio_sequence=audio_sequence,
            visual_sequence=visual_sequence,
            propagation=propagation,
        )

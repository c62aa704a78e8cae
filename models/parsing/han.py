"""HAN, the hybrid attention network: each modality attends to its own segments and to those of the other at once.

Tian et al., *Unified Multisensory Perception: Weakly-Supervised Audio-Visual Video Parsing* (ECCV 2020), as released;
the CPSP release has the same network. There is no LSTM and no positional encoding: if the segments are reordered, the
answers are the same in the new order.

Axes: B clip, T segment, D feature (512), C category.

::

    audio ──── projection ─┬─ hybrid attention ─┐
                           ╳                    ├─ MMIL pooling
    visual ─── projection ─┴─ hybrid attention ─┘
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from models.localization.initialisation import init_as_released
from models.localization.relation import RelationAttention, RelationLayer
from models.localization.released import inside
from models.parsing.answers import Parsing
from models.parsing.pooling import MMILPooling
from models.parsing.streams import NUM_FEATURES, InputStreams


class HybridAttention(RelationAttention):
    """Let every segment gather from the other modality and from its own: LN(q + attention(q, o) + attention(q, q)).

    Parameters
    ----------
    num_features, num_heads, dropout :
        As :class:`models.localization.relation.RelationAttention`, the same for both attentions.
    """

    def __init__(self, *, num_features: int, num_heads: int, dropout: float) -> None:
        super().__init__(num_features=num_features, num_heads=num_heads, dropout=dropout)
        self.self_attention = nn.MultiheadAttention(num_features, num_heads, dropout=dropout, batch_first=True)

    def forward(self, query: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        """Gather for the query (B, T, D) from the memory (B, M, D), the other modality, and from the query itself.

        Returns
        -------
        torch.Tensor, shape (B, T, D)
            The query with what it gathered, normalised.
        """
        crossed = self._gather(self.attention, query, memory)
        own = self._gather(self.self_attention, query, query)
        related: torch.Tensor = self.layer_norm(query + crossed + own)
        return related


class HybridLayer(RelationLayer):
    """One layer of hybrid attention, then LN(q + W2 relu(W1 q)) segment by segment."""

    released_names: ClassVar[Mapping[str, str]] = {
        "cm_attn": "relation.attention",
        "self_attn": "relation.self_attention",
        **RelationLayer.released_names,
    }
    relation_kind = HybridAttention


@dataclass(frozen=True)
class HANParsing(Parsing):
    """The answers of HAN and the steps that lead to them.

    Attributes
    ----------
    audio_inputs, visual_inputs : torch.Tensor, shape (B, T, D)
        Each modality after its projection.
    audio, visual : torch.Tensor, shape (B, T, D)
        Each modality after the hybrid attention.
    """

    audio_inputs: torch.Tensor
    visual_inputs: torch.Tensor
    audio: torch.Tensor
    visual: torch.Tensor


class HANNet(nn.Module):
    """Parse clips cut into segments: which categories are heard, and which are seen, in each.

    One layer of hybrid attention serves both modalities; each reads the other as it comes in, not as that one leaves.
    All layers start as PyTorch starts them, as in the release.

    Parameters
    ----------
    num_categories : int
        C.
    visual_shape, motion_features :
        The visual features of a segment, as :class:`models.parsing.streams.VisualStreams` takes them.
    audio_features : int, optional
        Size of the audio vector of a segment.
    dropout : float, optional
        Probability of dropping while training: a weight of either attention, a feature of what it gathered, a hidden
        and an outgoing feature of the second step.

    Raises
    ------
    ValueError
        If there is no category, or the visual features cannot be of these sizes.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        **inside("", "streams", InputStreams.released_names),
        **inside("hat_encoder.layers.0", "hybrid", HybridLayer.released_names),
        **inside("", "pooling", MMILPooling.released_names),
    }
    xavier_layers: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        *,
        num_categories: int,
        visual_shape: Sequence[int],
        motion_features: int = 0,
        audio_features: int = 128,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.streams = InputStreams(
            visual_shape=visual_shape, motion_features=motion_features, audio_features=audio_features
        )
        self.hybrid = HybridLayer(num_features=NUM_FEATURES, num_heads=1, dropout=dropout, hidden_features=NUM_FEATURES)
        self.pooling = MMILPooling(num_features=NUM_FEATURES, num_categories=num_categories)
        init_as_released(self)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> HANParsing:
        """Parse visual features, shaped as the streams take them, and audio (B, T, audio_features).

        Raises
        ------
        ValueError
            If the shapes do not fit the network or each other.
        """
        visual_inputs, audio_inputs = self.streams(visual, audio)
        related_audio = self.hybrid(audio_inputs, visual_inputs)
        related_visual = self.hybrid(visual_inputs, audio_inputs)
        pooled: Parsing = self.pooling(torch.stack([related_audio, related_visual], dim=2))
        return HANParsing(
            **vars(pooled),
            audio_inputs=audio_inputs,
            visual_inputs=visual_inputs,
            audio=related_audio,
            visual=related_visual,
        )

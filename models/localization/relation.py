"""Relations among segments: transformer layers within one modality and across two.

Axes: B clip, T segment that asks, M segment that answers, D feature.
"""

import copy
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from models.localization.released import inside


class RelationAttention(nn.Module):
    """Let every segment gather from others, and add what it gathered: LN(query + attention(query, memory)).

    Multi-head attention (Vaswani et al., NeurIPS 2017), with the norm after the sum. It has no positional encoding:
    the order of the memory does not matter.

    Parameters
    ----------
    num_features : int
        D.
    num_heads : int
        Heads of the attention; they share the features equally.
    dropout : float
        Probability of dropping, while training: a weight of the attention, and a feature of what was gathered.
    attention_dropout : float, optional
        That of a weight, where it differs.
    """

    def __init__(
        self, *, num_features: int, num_heads: int, dropout: float, attention_dropout: float | None = None
    ) -> None:
        super().__init__()
        of_weights = dropout if attention_dropout is None else attention_dropout
        self.attention = nn.MultiheadAttention(num_features, num_heads, dropout=of_weights, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.layer_norm = nn.LayerNorm(num_features)

    def forward(self, query: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        """Gather for the query (B, T, D) from the memory (B, M, D).

        Returns
        -------
        torch.Tensor, shape (B, T, D)
            The query with what it gathered, normalised.
        """
        related: torch.Tensor = self.layer_norm(query + self._gather(self.attention, query, memory))
        return related

    def _gather(self, attention: nn.MultiheadAttention, query: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        """Return what an attention gathers for the query (B, T, D) from the memory (B, M, D)."""
        # Asking for the weights keeps to plain products: on GPUs, the gradients of the fused attention may differ from
        # run to run.
        gathered, _ = attention(query, memory, memory, need_weights=True)
        kept: torch.Tensor = self.dropout(gathered)
        return kept


class RelationLayer(nn.Module):
    """One transformer layer, norms last: a relation, then LN(q + W2 relu(W1 q)) segment by segment.

    Parameters
    ----------
    num_features, num_heads, dropout :
        As :class:`RelationAttention`; dropout also applies to the hidden and the outgoing features of the second step.
    hidden_features : int, optional
        Rows of W1.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        "linear1": "inner",
        "linear2": "outer",
        "norm1": "relation.layer_norm",
        "norm2": "layer_norm",
    }
    """Of all but the attention, which encoder and decoder call differently."""
    relation_kind: ClassVar[type[RelationAttention]] = RelationAttention

    def __init__(self, *, num_features: int, num_heads: int, dropout: float, hidden_features: int = 2048) -> None:
        super().__init__()
        self.relation = self.relation_kind(num_features=num_features, num_heads=num_heads, dropout=dropout)
        self.inner = nn.Linear(num_features, hidden_features)
        self.outer = nn.Linear(hidden_features, num_features)
        self.dropout = nn.Dropout(dropout)
        self.layer_norm = nn.LayerNorm(num_features)

    def forward(self, query: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        """Relate the query (B, T, D) to the memory (B, M, D); the result has the shape of the query."""
        related = self.relation(query, memory)
        hidden = self.dropout(torch.relu(self.inner(related)))
        updated: torch.Tensor = self.layer_norm(related + self.dropout(self.outer(hidden)))
        return updated


class RelationEncoder(nn.Module):
    """Relate the segments of one modality to each other: a linear projection, then layers of self-attention.

    Parameters
    ----------
    in_features : int
        Size of the input vectors.
    num_features : int
        D, of the output.
    num_heads : int, optional
        Of every layer.
    dropout : float
        Of every layer.
    hidden_features : int, optional
        Of every layer.
    num_layers : int, optional
        How many; all start from the same weights, as the layers of :class:`torch.nn.TransformerEncoder` do.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        "affine_matrix": "projection",
        **inside("encoder.layers.0", "layers.0", {"self_attn": "relation.attention", **RelationLayer.released_names}),
        **inside("encoder.layers.1", "layers.1", {"self_attn": "relation.attention", **RelationLayer.released_names}),
    }

    def __init__(
        self,
        *,
        in_features: int,
        num_features: int,
        num_heads: int = 4,
        dropout: float,
        hidden_features: int = 2048,
        num_layers: int = 2,
    ) -> None:
        super().__init__()
        self.projection = nn.Linear(in_features, num_features)
        layer = RelationLayer(
            num_features=num_features, num_heads=num_heads, dropout=dropout, hidden_features=hidden_features
        )
        self.layers = nn.ModuleList(copy.deepcopy(layer) for _ in range(num_layers))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Encode features (B, T, in_features) as (B, T, D)."""
        encoded: torch.Tensor = self.projection(features)
        for layer in self.layers:
            encoded = layer(encoded, encoded)
        return encoded


class RelationDecoder(nn.Module):
    """Relate the segments of one modality to those of both: a linear projection, then one layer of attention.

    Parameters
    ----------
    in_features : int
        Size of the input vectors.
    num_features : int
        D, of the memory and the output.
    num_heads : int, optional
        Of the layer.
    dropout : float
        Of the layer.
    hidden_features : int, optional
        Of the layer.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        "affine_matrix": "projection",
        **inside("decoder.layers.0", "layer", {"multihead_attn": "relation.attention", **RelationLayer.released_names}),
    }

    def __init__(
        self, *, in_features: int, num_features: int, num_heads: int = 4, dropout: float, hidden_features: int = 2048
    ) -> None:
        super().__init__()
        self.projection = nn.Linear(in_features, num_features)
        self.layer = RelationLayer(
            num_features=num_features, num_heads=num_heads, dropout=dropout, hidden_features=hidden_features
        )

    def forward(self, features: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        """Relate features (B, T, in_features) to the memory (B, M, D) of the other modality and to themselves.

        Returns
        -------
        torch.Tensor, shape (B, T, D)
            The projected features with what they gathered.
        """
        query = self.projection(features)
        decoded: torch.Tensor = self.layer(query, torch.cat([memory, query], dim=1))
        return decoded

"""The interface of feature networks, by which extraction runs them over a data set."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


class FeatureNetwork(nn.Module):
    """A network without its classifier, as extraction uses it.

    A subclass defines ``forward`` as published, and overrides whatever of its features, weights or random weights
    differs.
    """

    def represent(self, inputs: torch.Tensor) -> torch.Tensor:
        """Turn inputs, (N, ...), as they are decoded and preprocessed, into features, (N, ...), channels last."""
        features: torch.Tensor = self(inputs)
        return features

    def state_from(self, layout: str, content: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """Return the state dict of this network that a published file holds.

        Parameters
        ----------
        layout : str
            How the file names and orders its arrays: ``torch`` or ``keras``.
        content : mapping
            Content read from the file.

        Raises
        ------
        ValueError
            If the file is of another network.
        """
        return dict(content)

    def init_random(self, seed: int) -> None:
        """Give the network seeded random weights."""
        raise NotImplementedError

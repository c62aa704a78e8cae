"""The contract between a feature recipe and the engine that runs it over a data set.

A recipe decodes a file into distinct network inputs and says which of them each segment is made of; the engine
batches, averages, masks and stores. One class per recipe: :mod:`pipeline.visual`, :mod:`pipeline.audio`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch


@dataclass(frozen=True)
class Prepared:
    """What one video gives the network.

    Parameters
    ----------
    inputs : torch.Tensor
        Shape (U, ...): each distinct frame or patch once.
    rows : np.ndarray
        Shape (T, K), int: which input each of the K samples of a segment is; -1 where there is no media.
    reason : str
        ``ok`` or a key of :data:`pipeline.media.REASONS`.
    seconds : float
        Duration of the media found.
    detail : str
        For the ledger.
    """

    inputs: torch.Tensor
    rows: np.ndarray
    reason: str
    seconds: float
    detail: str


class Extractor(Protocol):
    """One modality's recipe: how a file becomes network inputs, and inputs become features.

    `recipe` holds every parameter that changes a value; `code` is a hash of the modules whose code does.
    """

    modality: str
    recipe: dict[str, Any]
    weights_sha256: str
    code: str
    storage: np.dtype

    def prepare(self, path: Path) -> Prepared:
        """Decode one file; raises MediaError where nothing of it can be used. Runs in a worker thread."""

    def network(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map inputs (n, ...) to features (n, ...) in float32 on the CPU."""

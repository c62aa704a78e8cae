"""The decoding half of a recipe: from one file to the inputs of a network.

Decoders run in worker processes (:mod:`pipeline.extraction.decode_pool`), which have no use for torch: neither this
module nor anything it imports loads it. Decoders: :mod:`pipeline.features.visual.frames`,
:mod:`pipeline.features.visual.snippets`, :mod:`pipeline.features.visual.two_streams`,
:mod:`pipeline.features.audio.patches`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Prepared:
    """The network inputs of one video.

    Parameters
    ----------
    inputs : np.ndarray
        Shape (U, ...): each distinct frame, snippet or patch once.
    rows : np.ndarray
        Shape (T, K), int: which input each of the K samples of a segment is; -1 where there is no media.
    reason : str
        ``ok`` or a key of :data:`pipeline.media.container.REASONS`.
    seconds : float
        Duration of the media found.
    detail : str
        For the ledger.
    sampling_offset_seconds : float, optional
        Largest distance of a frame chosen by number from the one chosen by time; None where the recipe knows only one
        choice.
    """

    inputs: np.ndarray
    rows: np.ndarray
    reason: str
    seconds: float
    detail: str
    sampling_offset_seconds: float | None = None


class Decoder(Protocol):
    """Turns one file into network inputs. It is pickled into worker processes, so it holds plain values."""

    def __call__(self, path: Path) -> Prepared:
        """Decode one file; raises MediaError where nothing of it can be used."""

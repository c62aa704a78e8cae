"""The contract between a feature recipe and the engine that runs it over a data set.

A recipe has two halves, since they run in different processes: a :class:`pipeline.features.decoding.Decoder` makes
distinct network inputs of a file and says which of them each segment is made of; an :class:`Extractor` holds the
network. The engine batches, combines, masks and stores. Recipes: :mod:`pipeline.features.visual.extractor`,
:mod:`pipeline.features.audio.extractor`.
"""

from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np
import torch

from pipeline.features.decoding import Decoder
from pipeline.media.segments import NO_FRAME, segment_valid

Combination = Literal["mean", "stack"]


class Extractor(Protocol):
    """One modality's recipe on one device: the decoder of its files, and the network for the decoded inputs.

    `recipe` holds every parameter that changes a value; `code` is a hash of the code that does; `feature_shape` is that
    of one segment; `batch_size` suits the device; `combine` says how the K samples of a segment become one feature.
    """

    modality: str
    recipe: dict[str, Any]
    weights_sha256: str
    code: str
    storage: np.dtype
    feature_shape: tuple[int, ...]
    combine: Combination
    device: torch.device
    batch_size: int
    decoder: Decoder

    def network(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map inputs (N, ...) to features (N, ...) in float32, both on `device`."""


BuildExtractor = Callable[[torch.device], Extractor]
"""Makes one modality's extractor for a device; pickled into the processes of several devices."""


def combine_samples(outputs: torch.Tensor, rows: np.ndarray, combine: Combination) -> torch.Tensor:
    """Turn the features of a video's inputs into those of its segments.

    Parameters
    ----------
    outputs : torch.Tensor
        Shape (U, ...), a feature per distinct input.
    rows : np.ndarray
        Shape (T, K), int: which input each sample is; -1 where there is none.
    combine : str
        ``mean``: over the samples a segment has, in float64. ``stack``: all K of them; one that is missing is replaced
        by the nearest earlier one of its segment, or else the nearest later one.

    Returns
    -------
    torch.Tensor
        Shape (T, ...) for ``mean`` and (T, K, ...) for ``stack``; zero in segments that are not valid
        (:func:`pipeline.media.segments.segment_valid`).
    """
    num_segments, num_samples = rows.shape
    shape = (num_segments, *((num_samples,) if combine == "stack" else ()), *outputs.shape[1:])
    features = outputs.new_zeros(shape)
    valid = np.flatnonzero(segment_valid(rows))
    if len(valid) == 0:
        return features
    chosen = []
    for segment in valid:
        existing = np.flatnonzero(rows[segment] != NO_FRAME)
        if combine == "stack":
            existing = existing[np.maximum(np.searchsorted(existing, np.arange(num_samples), side="right") - 1, 0)]
        chosen.append(rows[segment][existing])
    index = torch.from_numpy(np.concatenate(chosen))
    if outputs.is_cuda:  # an index from the host, or from memory that is not pinned, would wait for the GPU
        index = index.pin_memory().to(outputs.device, non_blocking=True)
    samples = outputs[index].split([len(rows_of_segment) for rows_of_segment in chosen])
    for position, of_segment in zip(valid.tolist(), samples, strict=True):
        features[position] = of_segment if combine == "stack" else of_segment.mean(0, dtype=torch.float64)
    return features

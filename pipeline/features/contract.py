"""The contract between a feature recipe and the engine that runs it over a data set.

A recipe has two halves, since they run in different processes: a :class:`pipeline.features.decoding.Decoder` makes
distinct network inputs of a file and says which of them each segment is made of; an :class:`Extractor` holds the
network. The engine batches, combines, masks and stores. A :class:`JointExtractor` has several networks, one for each
stream of what is decoded once. Recipes: :mod:`pipeline.features.visual.extractor`,
:mod:`pipeline.features.audio.extractor`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch

from pipeline.features.decoding import Decoder, Prepared
from pipeline.media.segments import NO_FRAME, segment_valid

Combination = Literal["mean", "stack"]


class BaseExtractor(Protocol):
    """One modality's recipe on one device: the decoder of its files, and what is to be known of the features.

    `recipe` holds every parameter that changes a value; `code` is a hash of the code that does; `feature_shape` is that
    of one segment.
    """

    modality: str
    recipe: dict[str, Any]
    weights_sha256: str
    code: str
    storage: np.dtype
    feature_shape: tuple[int, ...]
    device: torch.device
    decoder: Decoder


class Extractor(BaseExtractor, Protocol):
    """A recipe of one network for the decoded inputs.

    `batch_size` suits the device; `combine` says how the K samples of a segment become one feature.
    """

    combine: Combination
    batch_size: int

    def network(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map inputs (N, ...) to features (N, ...) in float32, both on `device`."""


@runtime_checkable
class JointExtractor(BaseExtractor, Protocol):
    """A recipe of several networks: a segment's feature is those of its `streams`, flattened, one behind the other."""

    streams: tuple[Extractor, ...]

    def split(self, prepared: Prepared) -> tuple[Prepared, ...]:
        """Return the inputs of each stream; segments are valid in all of them or in none."""


AnyExtractor: TypeAlias = Extractor | JointExtractor

BuildExtractor = Callable[[torch.device], AnyExtractor]
"""Makes one modality's extractor for a device; pickled into the processes of several devices."""


def streams_of(extractor: AnyExtractor) -> tuple[Extractor, ...]:
    """Return the extractors of one network that an extractor consists of."""
    return extractor.streams if isinstance(extractor, JointExtractor) else (extractor,)


def split_streams(extractor: AnyExtractor, prepared: Prepared) -> tuple[Prepared, ...]:
    """Return the inputs of each of :func:`streams_of`."""
    return extractor.split(prepared) if isinstance(extractor, JointExtractor) else (prepared,)


def join_streams(extractor: AnyExtractor, features: Sequence[np.ndarray]) -> np.ndarray:
    """Return the features (T, ...) of a video from those of each stream (T, ...)."""
    if not isinstance(extractor, JointExtractor):
        (joined,) = features
        return joined
    return np.concatenate([of_stream.reshape(len(of_stream), -1) for of_stream in features], axis=1)


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

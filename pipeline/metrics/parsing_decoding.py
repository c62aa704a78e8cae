"""From the probabilities of a network of parsing to what is heard and seen in each segment.

Axes are those of :mod:`pipeline.metrics.parsing`.
"""

import numpy as np

from pipeline.core.errors import explain
from pipeline.methods.settings import Gate
from pipeline.metrics.labels import require_mask, require_outputs

THRESHOLD = 0.5
"""Probabilities of segments and gates are positive from here on, 0.5 included (as released)."""

ROUNDING = 0.01
"""By how much a weighted mean of sigmoids may leave 0 … 1 in the coarsest arithmetic, bfloat16."""


def gate_of(
    gate: Gate,
    global_probabilities: np.ndarray,
    audio_probabilities: np.ndarray,
    visual_probabilities: np.ndarray,
) -> np.ndarray:
    """Return the probability of the clip that gates the segments of each modality.

    Parameters
    ----------
    gate : {"global", "own"}
        For both modalities the probability of the whole clip (HAN, Tian et al., ECCV 2020, as released), or for each
        the clip's probability in that modality (PSP and CPSP for parsing, Zhou et al., TPAMI 2022, as released).
    global_probabilities, audio_probabilities, visual_probabilities : np.ndarray, shape (N, C), float
        Of the whole clip, of what is heard and of what is seen in it.

    Returns
    -------
    np.ndarray, shape (N, 2, C), float

    Raises
    ------
    ValueError
        If an array has another shape or type, or holds what is no probability.
    """
    _require_probabilities("global_probabilities", global_probabilities, "(N, C)")
    for name, probabilities in (
        ("audio_probabilities", audio_probabilities),
        ("visual_probabilities", visual_probabilities),
    ):
        _require_probabilities(name, probabilities, "(N, C)", shape=global_probabilities.shape)
    if gate == "global":
        return np.stack([global_probabilities, global_probabilities], axis=1)
    return np.stack([audio_probabilities, visual_probabilities], axis=1)


def decode(segment_probabilities: np.ndarray, gate: np.ndarray, *, valid: np.ndarray | None = None) -> np.ndarray:
    """Return what is heard and seen in each segment: where its probability and the clip's are at least 0.5.

    Parameters
    ----------
    segment_probabilities : np.ndarray, shape (N, T, 2, C), float
        That a category is heard (0) or seen (1) in a segment.
    gate : np.ndarray, shape (N, 2, C), float
        Of the clip, see :func:`gate_of`.
    valid : np.ndarray, shape (N, 2, T), bool, optional
        Where a modality has media; elsewhere nothing is heard, or seen. By default everywhere.

    Returns
    -------
    np.ndarray, shape (N, 2, C, T), bool

    Raises
    ------
    ValueError
        If an array has another shape or type, or holds what is no probability.

    Examples
    --------
    One category in three segments: heard in the first two; not seen, as the clip's probability is too small.

    >>> segments = np.array([[[[0.9], [0.9]], [[0.5], [0.9]], [[0.4], [0.9]]]])
    >>> decode(segments, np.array([[[0.5], [0.4]]])).astype(int)
    array([[[[1, 1, 0]],
    <BLANKLINE>
            [[0, 0, 0]]]])
    """
    _require_probabilities("segment_probabilities", segment_probabilities, "(N, T, 2, C)")
    num_clips, num_segments, num_modalities, num_categories = segment_probabilities.shape
    if num_modalities != 2:
        raise ValueError(
            explain(
                "segment_probabilities",
                expected="shape (N, T, 2, C): of each segment audio, then visual",
                found=f"shape {segment_probabilities.shape}",
                remedy="pass the network's answers about both modalities",
            )
        )
    _require_probabilities("gate", gate, "(N, 2, C)", shape=(num_clips, 2, num_categories))
    is_open = (gate >= THRESHOLD)[..., np.newaxis]
    if valid is not None:
        require_mask(valid, (num_clips, 2, num_segments))
        is_open = is_open & valid[:, :, np.newaxis]
    positive: np.ndarray = (segment_probabilities >= THRESHOLD).transpose(0, 2, 3, 1) & is_open
    return positive


def _require_probabilities(
    name: str, probabilities: np.ndarray, axes: str, *, shape: tuple[int, ...] | None = None
) -> None:
    """Refuse, as `name`, what holds no probabilities along these axes, or has not that shape."""
    require_outputs(name, probabilities, axes)
    if shape is not None and probabilities.shape != shape:
        raise ValueError(
            explain(
                name,
                expected=f"shape {shape}, as the other answers have",
                found=probabilities.shape,
                remedy="pass all answers of one network about the same clips",
            )
        )
    low, high = probabilities.min(), probabilities.max()
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise ValueError(
            explain(name, expected="probabilities", found=f"{low} to {high}", remedy="pass them after the sigmoid")
        )

"""From a video file to snippets: all frames of a segment as one input, for networks that see motion."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.features.decoding import Decoder, Prepared
from pipeline.media.segments import NO_FRAME, segment_valid


@dataclass(frozen=True)
class SnippetDecoder:
    """Stacks the frames of each segment; a :class:`pipeline.features.decoding.Decoder`.

    A missing frame of a segment is replaced by the nearest one, the earlier of two; a segment that lacks more than half
    of its frames is masked::

        sample    0 1 2 3 4 5 6 7        0 1 2 3 4 5 6 7
        found     a b · · e f · ·        · · · · · · g h
        snippet   a b b e e f f f        masked

    Parameters
    ----------
    frames : Decoder
        Chooses the frames and their size: :class:`pipeline.features.visual.frames.FrameDecoder`, or what decodes as it
        does.
    """

    frames: Decoder

    def __call__(self, path: Path) -> Prepared:
        """Decode the frames of `path`; inputs are (U, K, 3, H, W), uint8, RGB, one snippet per valid segment."""
        return stack_snippets(self.frames(path))


def stack_snippets(prepared: Prepared) -> Prepared:
    """Make the frames of each segment one input, as :class:`SnippetDecoder` says.

    Parameters
    ----------
    prepared : Prepared
        Inputs (U, 3, H, W) and rows (T, K).

    Returns
    -------
    Prepared
        Inputs (V, K, 3, H, W), one for each of V valid segments, and rows (T, 1).
    """
    valid = segment_valid(prepared.rows)
    rows = np.full((len(valid), 1), NO_FRAME)
    rows[valid, 0] = np.arange(valid.sum())
    positions = np.array([fill_with_nearest(segment) for segment in prepared.rows[valid]], dtype=np.intp)
    shape = (len(positions), *prepared.rows.shape[1:], *prepared.inputs.shape[1:])
    return replace(prepared, inputs=prepared.inputs[positions].reshape(shape), rows=rows)


def fill_with_nearest(indices: np.ndarray) -> np.ndarray:
    """Replace each missing index of one segment by the nearest that is there, the earlier of two.

    Parameters
    ----------
    indices : np.ndarray, shape (K,), int
        The frame of each sample, or -1; not all of them -1.

    Returns
    -------
    np.ndarray, shape (K,), int

    Examples
    --------
    >>> fill_with_nearest(np.array([5, -1, -1, 6, -1]))
    array([5, 5, 6, 6, 6])
    """
    available = np.flatnonzero(indices != NO_FRAME)
    distances = np.abs(available - np.arange(len(indices))[:, np.newaxis])
    filled: np.ndarray = indices[available[distances.argmin(axis=1)]]
    return filled

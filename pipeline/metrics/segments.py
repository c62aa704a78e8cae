"""Scores that count segments: how many labels are right, background or without media, in all and per video."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.core.errors import explain
from pipeline.metrics.labels import require_labels, require_mask, validate


@dataclass(frozen=True)
class VideoCounts:
    """Segments predicted right, and all segments, per video in the order of `video_ids` (sorted)."""

    video_ids: tuple[str, ...]
    correct: np.ndarray
    total: np.ndarray


def segment_accuracy(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return the percentage of segments whose predicted label is the true one, background included.

    Parameters
    ----------
    predicted, truth : np.ndarray, shape (N, T), int

    Raises
    ------
    ValueError
        As :func:`validate`.

    Examples
    --------
    >>> segment_accuracy(np.array([[2, 0, 0, 2]]), np.array([[2, 0, 0, 0]]))
    75.0
    """
    validate(predicted, truth)
    return 100.0 * int((predicted == truth).sum()) / truth.size


def background_share(truth: np.ndarray, *, num_categories: int) -> float:
    """Return the percentage of segments that are background: the accuracy of always predicting it.

    Parameters
    ----------
    truth : np.ndarray, shape (N, T), int
        Labels in 0 … C.
    num_categories : int
        C, the label of background.

    Raises
    ------
    ValueError
        If `truth` is no such array.
    """
    require_labels("truth", truth, num_categories)
    return 100.0 * int((truth == num_categories).sum()) / truth.size


def masked_segment_share(valid: np.ndarray) -> float:
    """Return the percentage of segments of which a modality is missing.

    Parameters
    ----------
    valid : np.ndarray, shape (N, T), bool
        Where both modalities have media; N and T positive.

    Raises
    ------
    ValueError
        If `valid` is no such array.
    """
    valid = np.asarray(valid)
    if valid.ndim != 2 or valid.size == 0:
        raise ValueError(
            explain(
                "valid",
                expected="shape (N, T), N and T positive",
                found=f"shape {valid.shape}",
                remedy="pass one truth value per segment",
            )
        )
    require_mask(valid, valid.shape)
    return 100.0 * int((~valid).sum()) / valid.size


def video_counts(predicted: np.ndarray, truth: np.ndarray, video_ids: Sequence[str]) -> VideoCounts:
    """Return correct and all segments per video, the unit that :mod:`pipeline.metrics.statistics` resamples.

    Parameters
    ----------
    predicted, truth : np.ndarray, shape (N, T), int
    video_ids : sequence of str, length N
        The video of each clip; clips that share one are counted together.

    Returns
    -------
    VideoCounts
        In sorted order of the ids, whatever the order of the clips.

    Raises
    ------
    ValueError
        As :func:`validate`, or if the ids are not one per clip.

    Examples
    --------
    >>> counts = video_counts(np.array([[0, 1], [0, 0], [1, 1]]), np.array([[0, 1], [0, 1], [0, 1]]), ["b", "a", "b"])
    >>> counts.video_ids, counts.correct, counts.total
    (('a', 'b'), array([1, 3]), array([2, 4]))
    """
    validate(predicted, truth)
    if len(video_ids) != len(truth):
        raise ValueError(
            explain(
                "video_ids",
                expected=f"one for each of {len(truth)} clips",
                found=len(video_ids),
                remedy="pass the ids in the order of the clips",
            )
        )
    names, video = np.unique(np.asarray(video_ids, dtype=str), return_inverse=True)
    correct = np.zeros(len(names), dtype=np.int64)
    np.add.at(correct, video, (predicted == truth).sum(axis=1))
    total = np.bincount(video) * truth.shape[1]
    return VideoCounts(video_ids=tuple(names.tolist()), correct=correct, total=total)

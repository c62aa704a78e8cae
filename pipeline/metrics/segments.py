"""Scores that count segments: how many labels are right, background or without media, in all and per video."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.core.errors import explain
from pipeline.metrics.labels import require_labels, require_mask, validate


@dataclass(frozen=True)
class VideoCounts:
    """What is `correct` of a `total`, per video in the order of `video_ids` (sorted).

    Segments predicted right and all segments, int64, or the sum of the scores of its clips, float64, and their number.
    """

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
    return per_video((predicted == truth).sum(axis=1), video_ids, most=truth.shape[1])


def per_video(values: np.ndarray, video_ids: Sequence[str], *, most: int = 1) -> VideoCounts:
    """Return the sum of the values of each video's clips, and what it could be at the most.

    Parameters
    ----------
    values : np.ndarray, shape (N,), int or float
        Of each clip, 0 … `most`: a count, or a score such as an F-score of parsing.
    video_ids : sequence of str, length N
        The video of each clip; clips that share one are summed.
    most : int, optional
        The largest value a clip may have, positive; 1 of a score.

    Returns
    -------
    VideoCounts
        In sorted order of the ids, whatever the order of the clips; `total` is a whole number.

    Raises
    ------
    ValueError
        If the values are no numbers within 0 … `most`, or the ids are not one per clip.

    Examples
    --------
    >>> counts = per_video(np.array([0.5, 1.0, 0.25]), ["b", "a", "b"])
    >>> counts.video_ids, counts.correct, counts.total
    (('a', 'b'), array([1.  , 0.75]), array([1, 2]))
    """
    has_shape = values.ndim == 1 and values.size > 0
    if not has_shape or not ((values >= 0) & (values <= most)).all():
        raise ValueError(
            explain(
                "values",
                expected=f"a number from 0 to {most} per clip",
                found=f"{values.min()} to {values.max()}" if has_shape else f"shape {values.shape}",
                remedy="pass the counts or scores of single clips, not in percent",
            )
        )
    if len(video_ids) != len(values):
        raise ValueError(
            explain(
                "video_ids",
                expected=f"one for each of {len(values)} clips",
                found=len(video_ids),
                remedy="pass the ids in the order of the clips",
            )
        )
    names, video = np.unique(np.asarray(video_ids, dtype=str), return_inverse=True)
    correct = np.zeros(len(names), dtype=np.float64 if np.issubdtype(values.dtype, np.floating) else np.int64)
    np.add.at(correct, video, values)
    return VideoCounts(video_ids=tuple(names.tolist()), correct=correct, total=most * np.bincount(video))

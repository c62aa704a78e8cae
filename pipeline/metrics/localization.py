"""Scores of audio-visual event localization.

A clip of T segments shows one category, or none, in some of its segments; the rest is background. A network gives
an event logit per segment and category logits per clip; a segment is predicted background when
``sigmoid(event logit) <= 0.5``, else the category of the clip's largest category logit.

Conventions
-----------
- Axes: N clips, T segments, C categories. Labels are integers; 0 … C - 1 are categories, C is background.
- Accuracies, shares and F1 are in percent, counts are whole numbers.
- A segment of which a modality is missing is predicted background; its truth stays what the annotation says.
- Degenerate input has a decided answer. No clip or no segment at all is refused. Where a score has nothing to
  count, ``category_accuracy`` is 0 (as in mir_eval, nothing was shown), ``event_f1`` is 100 (nothing was to
  be found and nothing was claimed), and a cell of ``per_category`` is None.

Metrics
-------
- :func:`segment_accuracy`: the score of the AVE benchmark (Tian et al., "Audio-visual event localization in
  unconstrained videos", ECCV 2018), the same under full and weak supervision.
- :func:`pipeline.metrics.categories.category_accuracy`: whether the clip's category is right, wherever the event may
  be.
- :func:`pipeline.metrics.events.event_f1`: whether events are found as a whole, after Tian et al., "Unified
  multisensory perception: weakly supervised audio-visual video parsing", ECCV 2020, counted over the split.

What the scores are of, labels of segments, :mod:`pipeline.metrics.labels` makes of a network's outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.core.errors import explain
from pipeline.metrics.categories import category_accuracy
from pipeline.metrics.events import event_f1
from pipeline.metrics.labels import predict_segments, require_labels, require_mask, validate


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


def evaluate(
    event_logits: np.ndarray,
    category_logits: np.ndarray,
    truth: np.ndarray,
    *,
    valid: np.ndarray | None = None,
) -> dict[str, float | int]:
    """Return every score of a split by name.

    Parameters
    ----------
    event_logits : np.ndarray, shape (N, T), float
    category_logits : np.ndarray, shape (N, C), float
    truth : np.ndarray, shape (N, T), int
        Labels in 0 … C, at most one category in a clip.
    valid : np.ndarray, shape (N, T), bool, optional
        Where both modalities have media; by default everywhere.

    Returns
    -------
    dict of str to float or int
        ``segment_accuracy``, ``category_accuracy``, ``event_f1``, ``background_share`` and
        ``masked_segment_share`` in percent, and ``num_clips``.

    Raises
    ------
    ValueError
        If an array does not fit the others, a logit is NaN, a label is out of range, or a clip holds two categories.
    """
    predicted = predict_segments(event_logits, category_logits, valid=valid)
    num_categories = category_logits.shape[1]
    validate(predicted, truth, num_categories=num_categories)
    return {
        "segment_accuracy": segment_accuracy(predicted, truth),
        "category_accuracy": category_accuracy(category_logits, truth),
        "event_f1": event_f1(predicted, truth, num_categories=num_categories),
        "background_share": background_share(truth, num_categories=num_categories),
        "masked_segment_share": 0.0 if valid is None else masked_segment_share(valid),
        "num_clips": len(truth),
    }

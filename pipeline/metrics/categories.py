"""Scores by category: which one a clip shows, which are taken for which, and a row of scores for each."""

from dataclasses import dataclass

import numpy as np

from pipeline.core.errors import explain
from pipeline.metrics.labels import percent, require_labels, require_outputs, validate


@dataclass(frozen=True)
class CategoryScores:
    """One row of the per-category table; None where nothing is there to score.

    Parameters
    ----------
    category : int
        0 … C - 1, or C for background.
    num_clips : int or None
        Clips with an event of the category; None for background.
    num_event_segments : int
        Segments whose truth is the category.
    segment_accuracy : float or None
        Percent of those segments that are predicted so.
    category_accuracy : float or None
        Percent of those clips whose largest category score is the category; None for background.
    """

    category: int
    num_clips: int | None
    num_event_segments: int
    segment_accuracy: float | None
    category_accuracy: float | None


def category_accuracy(category_scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the percentage of clips with an event whose largest category score is the event's category.

    Clips that are background throughout have no category and do not count; if all are, the score is 0.

    Parameters
    ----------
    category_scores : np.ndarray, shape (N, C), float
    truth : np.ndarray, shape (N, T), int
        At most one category in a clip.

    Raises
    ------
    ValueError
        If the arrays do not fit each other, or a clip holds two categories.
    """
    require_outputs("category_scores", category_scores, "(N, C)")
    category = clip_categories(truth, num_categories=category_scores.shape[1])
    if len(category) != len(category_scores):
        raise ValueError(
            explain(
                "category_scores",
                expected=f"{len(category)} clips, as truth has",
                found=len(category_scores),
                remedy="score predictions and annotations of the same clips",
            )
        )
    has_event = category < category_scores.shape[1]
    right = has_event & (category_scores.argmax(axis=1) == category)
    return percent(int(right.sum()), int(has_event.sum())) or 0.0


def clip_categories(truth: np.ndarray, *, num_categories: int) -> np.ndarray:
    """Return the category of each clip's events, shape (N,), or C where the clip is background throughout.

    Raises
    ------
    ValueError
        If `truth` is no (N, T) array of labels in 0 … C, or a clip holds two categories.

    Examples
    --------
    >>> clip_categories(np.array([[5, 1, 5], [5, 5, 5]]), num_categories=5)
    array([1, 5])
    """
    require_labels("truth", truth, num_categories)
    category: np.ndarray = truth.min(axis=1)
    mixed = ((truth != category[:, np.newaxis]) & (truth != num_categories)).any(axis=1)
    if mixed.any():
        clip = int(mixed.argmax())
        raise ValueError(
            explain(
                f"truth of clip {clip}",
                expected="one category besides background",
                found=sorted(set(truth[clip].tolist()) - {num_categories}),
                remedy="annotate a clip per category",
            )
        )
    return category


def confusion_matrix(predicted: np.ndarray, truth: np.ndarray, *, num_categories: int) -> np.ndarray:
    """Return how often each label was predicted for each true one.

    Parameters
    ----------
    predicted, truth : np.ndarray, shape (N, T), int
        Labels in 0 … C.
    num_categories : int
        C, the label of background.

    Returns
    -------
    np.ndarray, shape (C + 1, C + 1), int64
        Segments with true label (row) and predicted label (column); sums to N T.

    Raises
    ------
    ValueError
        As :func:`validate`.
    """
    validate(predicted, truth, num_categories=num_categories)
    size = num_categories + 1
    pairs = truth.ravel().astype(np.int64) * size + predicted.ravel()
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def per_category(predicted: np.ndarray, category_scores: np.ndarray, truth: np.ndarray) -> tuple[CategoryScores, ...]:
    """Return the scores of every category in class order, and of background last.

    Parameters
    ----------
    predicted : np.ndarray, shape (N, T), int
    category_scores : np.ndarray, shape (N, C), float
    truth : np.ndarray, shape (N, T), int
        At most one category in a clip.

    Returns
    -------
    tuple of CategoryScores, length C + 1

    Raises
    ------
    ValueError
        If the arrays do not fit each other, or a clip holds two categories.
    """
    category_accuracy(category_scores, truth)
    num_categories = category_scores.shape[1]
    confusion = confusion_matrix(predicted, truth, num_categories=num_categories)
    clip_category = clip_categories(truth, num_categories=num_categories)
    right = clip_category == category_scores.argmax(axis=1)
    num_clips = np.bincount(clip_category, minlength=num_categories + 1)
    num_right = np.bincount(clip_category[right], minlength=num_categories + 1)
    rows = []
    for category in range(num_categories + 1):
        num_segments = int(confusion[category].sum())
        is_background = category == num_categories
        rows.append(
            CategoryScores(
                category=category,
                num_clips=None if is_background else int(num_clips[category]),
                num_event_segments=num_segments,
                segment_accuracy=percent(int(confusion[category, category]), num_segments),
                category_accuracy=(
                    None if is_background else percent(int(num_right[category]), int(num_clips[category]))
                ),
            )
        )
    return tuple(rows)

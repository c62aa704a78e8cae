"""Whole events: found, invented and missed, after Tian et al., ECCV 2020; see :mod:`pipeline.metrics.localization`."""

from dataclasses import dataclass

import numpy as np

from pipeline.metrics.labels import percent, validate


@dataclass(frozen=True)
class EventCounts:
    """Events found, invented and missed, per clip.

    Parameters
    ----------
    true_positives : np.ndarray, shape (N,), int
        Predicted events that match a true one.
    false_positives : np.ndarray, shape (N,), int
        Predicted events that match none.
    false_negatives : np.ndarray, shape (N,), int
        True events that no predicted one matches.
    """

    true_positives: np.ndarray
    false_positives: np.ndarray
    false_negatives: np.ndarray


def count_events(predicted: np.ndarray, truth: np.ndarray, *, num_categories: int) -> EventCounts:
    """Return how many events of each clip are found, invented and missed.

    An event is a maximal run of segments of one category, not background. A predicted and a true event of one
    category match when they share at least half of what they cover together (intersection over union >= 0.5).
    Events of one category are apart, so no event can match two.

    Parameters
    ----------
    predicted, truth : np.ndarray, shape (N, T), int
        Labels in 0 … C.
    num_categories : int
        C, the label of background.

    Raises
    ------
    ValueError
        As :func:`validate`.

    Examples
    --------
    Category 0 for two of the three true segments is found; category 0 where category 1 is, is both invented and
    missed::

        truth      0 0 0 . 1 1
        predicted  . 0 0 . 0 0

    >>> count_events(np.array([[2, 0, 0, 2, 0, 0]]), np.array([[0, 0, 0, 2, 1, 1]]), num_categories=2)
    EventCounts(true_positives=array([1]), false_positives=array([1]), false_negatives=array([1]))
    """
    validate(predicted, truth, num_categories=num_categories)
    num_clips, num_segments = truth.shape
    predicted_run, predicted_start = _runs(predicted)
    true_run, true_start = _runs(truth)

    shared = ((predicted == truth) & (truth != num_categories)).ravel()
    pairs, intersection = np.unique(predicted_run[shared] * len(true_start) + true_run[shared], return_counts=True)
    first, second = np.divmod(pairs, len(true_start))
    covered = np.bincount(predicted_run)[first] + np.bincount(true_run)[second]
    match = 2 * intersection >= covered - intersection

    predicted_found = np.zeros(len(predicted_start), dtype=bool)
    predicted_found[first[match]] = True
    true_found = np.zeros(len(true_start), dtype=bool)
    true_found[second[match]] = True
    predicted_event = predicted.ravel()[predicted_start] != num_categories
    true_event = truth.ravel()[true_start] != num_categories

    def per_clip(starts: np.ndarray) -> np.ndarray:
        return np.bincount(starts // num_segments, minlength=num_clips)

    return EventCounts(
        true_positives=per_clip(predicted_start[predicted_found]),
        false_positives=per_clip(predicted_start[predicted_event & ~predicted_found]),
        false_negatives=per_clip(true_start[true_event & ~true_found]),
    )


def event_f1(predicted: np.ndarray, truth: np.ndarray, *, num_categories: int) -> float:
    """Return the F1 score of whole events in percent: ``2 TP / (2 TP + FP + FN)``.

    Counts are summed over all clips first (micro-average). Without any event, true or predicted, the score is 100;
    with events on one side only it is 0.

    Parameters
    ----------
    predicted, truth : np.ndarray, shape (N, T), int
        Labels in 0 … C.
    num_categories : int
        C, the label of background.

    Raises
    ------
    ValueError
        As :func:`validate`.
    """
    counts = count_events(predicted, truth, num_categories=num_categories)
    twice_found = 2 * int(counts.true_positives.sum())
    wrong = int(counts.false_positives.sum()) + int(counts.false_negatives.sum())
    score = percent(twice_found, twice_found + wrong)
    return 100.0 if score is None else score


def _runs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the run each segment is in, and each run's first segment, over the flattened array."""
    begins = np.ones(labels.shape, dtype=bool)
    begins[:, 1:] = labels[:, 1:] != labels[:, :-1]
    return np.cumsum(begins.ravel()) - 1, np.flatnonzero(begins)

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
  count, :func:`category_accuracy` is 0 (as in mir_eval, nothing was shown), :func:`event_f1` is 100 (nothing was to
  be found and nothing was claimed), and a cell of :func:`per_category` is None.

Metrics
-------
- :func:`segment_accuracy`: the score of the AVE benchmark (Tian et al., "Audio-visual event localization in
  unconstrained videos", ECCV 2018), the same under full and weak supervision.
- :func:`category_accuracy`: whether the clip's category is right, wherever the event may be.
- :func:`event_f1`: whether events are found as a whole, after Tian et al., "Unified multisensory perception: weakly
  supervised audio-visual video parsing", ECCV 2020, counted over the split.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.core.errors import explain

EVENT_THRESHOLD = 0.5
"""A segment holds an event when its probability is larger."""


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


@dataclass(frozen=True)
class VideoCounts:
    """Segments predicted right, and all segments, per video in the order of `video_ids` (sorted)."""

    video_ids: tuple[str, ...]
    correct: np.ndarray
    total: np.ndarray


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
        Percent of those clips whose largest category logit is the category; None for background.
    """

    category: int
    num_clips: int | None
    num_event_segments: int
    segment_accuracy: float | None
    category_accuracy: float | None


def validate(predicted: np.ndarray, truth: np.ndarray, *, num_categories: int | None = None) -> None:
    """Check that two label arrays can be compared.

    Parameters
    ----------
    predicted, truth : np.ndarray, shape (N, T), int
        N and T positive; labels in 0 … `num_categories`.
    num_categories : int, optional
        C; by default labels may be as large as they like.

    Raises
    ------
    ValueError
        If an array has another shape or type, the shapes differ, or a label is out of range.
    """
    _require_labels("predicted", predicted, num_categories)
    _require_labels("truth", truth, num_categories)
    if predicted.shape != truth.shape:
        raise ValueError(
            explain(
                "predicted",
                expected=f"the shape of truth, {truth.shape}",
                found=predicted.shape,
                remedy="score predictions and annotations of the same clips",
            )
        )


def validate_logits(event_logits: np.ndarray, category_logits: np.ndarray) -> None:
    """Check that a network's outputs can be turned into labels.

    Parameters
    ----------
    event_logits : np.ndarray, shape (N, T), float
    category_logits : np.ndarray, shape (N, C), float
        N, T and C positive; no NaN.

    Raises
    ------
    ValueError
        If an array has another shape or type, they hold different numbers of clips, or a value is NaN.
    """
    _require_logits("event_logits", event_logits, "(N, T)")
    _require_logits("category_logits", category_logits, "(N, C)")
    if len(event_logits) != len(category_logits):
        raise ValueError(
            explain(
                "category_logits",
                expected=f"{len(event_logits)} clips, as event_logits has",
                found=len(category_logits),
                remedy="pass both outputs of one network for the same clips",
            )
        )


def predict_segments(
    event_logits: np.ndarray, category_logits: np.ndarray, *, valid: np.ndarray | None = None
) -> np.ndarray:
    """Return the predicted label of every segment.

    The sigmoid is evaluated in double precision, where that of 1e-17 is exactly 0.5: such a segment is background.
    Of equally large category logits the first counts.

    Parameters
    ----------
    event_logits : np.ndarray, shape (N, T), float
        Positive where the segment rather holds an event.
    category_logits : np.ndarray, shape (N, C), float
    valid : np.ndarray, shape (N, T), bool, optional
        Where both modalities have media; other segments are background. By default everywhere.

    Returns
    -------
    np.ndarray, shape (N, T), int64
        Categories, with C for background.

    Raises
    ------
    ValueError
        As :func:`validate_logits`, or if `valid` has another shape or type.

    Examples
    --------
    >>> predict_segments(np.array([[-2.0, 0.0, 0.1, 3.0]]), np.array([[0.2, 0.9, 0.1]]))
    array([[3, 3, 1, 1]])
    """
    validate_logits(event_logits, category_logits)
    background = category_logits.shape[1]
    logits = event_logits.astype(np.float64)
    probability = 1.0 / (1.0 + np.exp(-np.abs(logits)))
    foreground = (logits > 0) & (probability > EVENT_THRESHOLD)
    if valid is not None:
        _require_mask(valid, event_logits.shape)
        foreground &= valid
    category = category_logits.argmax(axis=1)[:, np.newaxis]
    predicted: np.ndarray = np.where(foreground, category, background).astype(np.int64)
    return predicted


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


def category_accuracy(category_logits: np.ndarray, truth: np.ndarray) -> float:
    """Return the percentage of clips with an event whose largest category logit is the event's category.

    Clips that are background throughout have no category and do not count; if all are, the score is 0.

    Parameters
    ----------
    category_logits : np.ndarray, shape (N, C), float
    truth : np.ndarray, shape (N, T), int
        At most one category in a clip.

    Raises
    ------
    ValueError
        If the arrays do not fit each other, or a clip holds two categories.
    """
    _require_logits("category_logits", category_logits, "(N, C)")
    category = clip_categories(truth, num_categories=category_logits.shape[1])
    if len(category) != len(category_logits):
        raise ValueError(
            explain(
                "category_logits",
                expected=f"{len(category)} clips, as truth has",
                found=len(category_logits),
                remedy="score predictions and annotations of the same clips",
            )
        )
    has_event = category < category_logits.shape[1]
    right = has_event & (category_logits.argmax(axis=1) == category)
    return _percent(int(right.sum()), int(has_event.sum())) or 0.0


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
    _require_labels("truth", truth, num_categories)
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
    score = _percent(twice_found, twice_found + wrong)
    return 100.0 if score is None else score


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
    _require_labels("truth", truth, num_categories)
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
    _require_mask(valid, valid.shape)
    return 100.0 * int((~valid).sum()) / valid.size


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


def per_category(predicted: np.ndarray, category_logits: np.ndarray, truth: np.ndarray) -> tuple[CategoryScores, ...]:
    """Return the scores of every category in class order, and of background last.

    Parameters
    ----------
    predicted : np.ndarray, shape (N, T), int
    category_logits : np.ndarray, shape (N, C), float
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
    category_accuracy(category_logits, truth)
    num_categories = category_logits.shape[1]
    confusion = confusion_matrix(predicted, truth, num_categories=num_categories)
    clip_category = clip_categories(truth, num_categories=num_categories)
    right = clip_category == category_logits.argmax(axis=1)
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
                segment_accuracy=_percent(int(confusion[category, category]), num_segments),
                category_accuracy=(
                    None if is_background else _percent(int(num_right[category]), int(num_clips[category]))
                ),
            )
        )
    return tuple(rows)


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


def _runs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the run each segment is in, and each run's first segment, over the flattened array."""
    begins = np.ones(labels.shape, dtype=bool)
    begins[:, 1:] = labels[:, 1:] != labels[:, :-1]
    return np.cumsum(begins.ravel()) - 1, np.flatnonzero(begins)


def _percent(part: int, whole: int) -> float | None:
    return 100.0 * part / whole if whole else None


def _require_labels(name: str, labels: np.ndarray, num_categories: int | None) -> None:
    if not isinstance(labels, np.ndarray) or labels.ndim != 2 or labels.size == 0:
        raise ValueError(
            explain(
                name,
                expected="shape (N, T), N and T positive",
                found=f"shape {np.shape(labels)}",
                remedy="pass an array with a row per clip, also for a single one",
            )
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(explain(name, expected="integer labels", found=labels.dtype, remedy="pass class indices"))
    limit = "" if num_categories is None else f" to {num_categories}"
    if labels.min() < 0 or (num_categories is not None and labels.max() > num_categories):
        raise ValueError(
            explain(
                name,
                expected=f"labels from 0{limit}",
                found=f"{labels.min()} to {labels.max()}",
                remedy="count categories from 0, with background after the last",
            )
        )


def _require_logits(name: str, logits: np.ndarray, axes: str) -> None:
    if not isinstance(logits, np.ndarray) or logits.ndim != 2 or logits.size == 0:
        raise ValueError(
            explain(
                name,
                expected=f"shape {axes}, both positive",
                found=f"shape {np.shape(logits)}",
                remedy="pass an array with a row per clip, also for a single one",
            )
        )
    if not np.issubdtype(logits.dtype, np.floating):
        raise ValueError(
            explain(name, expected="floating-point logits", found=logits.dtype, remedy="pass the network's output")
        )
    if np.isnan(logits).any():
        raise ValueError(
            explain(
                name,
                expected="numbers",
                found=f"{int(np.isnan(logits).sum())} NaN",
                remedy="look where the training diverged",
            )
        )


def _require_mask(valid: np.ndarray, shape: tuple[int, ...]) -> None:
    if valid.shape != shape or valid.dtype != np.bool_:
        raise ValueError(
            explain(
                "valid",
                expected=f"booleans of shape {shape}",
                found=f"{valid.dtype} of shape {valid.shape}",
                remedy="pass one truth value per segment",
            )
        )

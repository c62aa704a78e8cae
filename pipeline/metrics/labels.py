"""Arrays of labels and of a network's outputs: what they must be, and how one becomes the other.

Axes and labels are those of :mod:`pipeline.metrics.localization`.
"""

import numpy as np

from pipeline.core.errors import explain

EVENT_THRESHOLD = 0.5
"""A segment holds an event when its probability is larger."""


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
    require_labels("predicted", predicted, num_categories)
    require_labels("truth", truth, num_categories)
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
    category_logits : np.ndarray, shape (N, K), float
        N, T and K positive; no NaN.

    Raises
    ------
    ValueError
        If an array has another shape or type, they hold different numbers of clips, or a value is NaN.
    """
    require_outputs("event_logits", event_logits, "(N, T)")
    require_outputs("category_logits", category_logits, "(N, K)")
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
    event_logits: np.ndarray,
    category_logits: np.ndarray,
    *,
    num_categories: int | None = None,
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """Return the label of every segment by the gated rule: background, or the class that all segments of a clip share.

    The sigmoid is evaluated in double precision, where that of 1e-17 is exactly 0.5: such a segment is background.
    Of equally large category logits the first counts.

    Parameters
    ----------
    event_logits : np.ndarray, shape (N, T), float
        Positive where the segment rather holds an event.
    category_logits : np.ndarray, shape (N, K), float
        Of the categories, and behind them of background where the network has a class for it: a clip whose class is
        background has no event, whatever its segments' relevance.
    num_categories : int, optional
        C, by default K: no class for background.
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
    >>> predict_segments(np.array([[-2.0, 3.0]]), np.array([[0.2, 0.1, 0.9]]), num_categories=2)
    array([[2, 2]])
    """
    validate_logits(event_logits, category_logits)
    background = category_logits.shape[1] if num_categories is None else num_categories
    logits = event_logits.astype(np.float64)
    probability = 1.0 / (1.0 + np.exp(-np.abs(logits)))
    foreground = (logits > 0) & (probability > EVENT_THRESHOLD)
    category = category_logits.argmax(axis=1)[:, np.newaxis]
    predicted: np.ndarray = np.where(foreground, category, background).astype(np.int64)
    return predicted if valid is None else mask_labels(predicted, valid, num_categories=background)


def predict_classes(segment_logits: np.ndarray, *, valid: np.ndarray | None = None) -> np.ndarray:
    """Return the label of every segment where each has a class of its own: the largest logit, the first of equal ones.

    Parameters
    ----------
    segment_logits : np.ndarray, shape (N, T, C + 1), float
        Of the categories and, last, of background.
    valid : np.ndarray, shape (N, T), bool, optional
        As in :func:`predict_segments`.

    Returns
    -------
    np.ndarray, shape (N, T), int64
        Categories, with C for background.

    Raises
    ------
    ValueError
        If an array has another shape or type, or a logit is NaN.

    Examples
    --------
    >>> predict_classes(np.array([[[0.2, 0.9, 0.1], [0.0, 0.1, 0.3]]]))
    array([[1, 2]])
    """
    require_outputs("segment_logits", segment_logits, "(N, T, C + 1)")
    predicted: np.ndarray = segment_logits.argmax(axis=2).astype(np.int64)
    return predicted if valid is None else mask_labels(predicted, valid, num_categories=segment_logits.shape[2] - 1)


def mask_labels(labels: np.ndarray, valid: np.ndarray, *, num_categories: int) -> np.ndarray:
    """Return labels (N, T) with background, C, wherever a modality has no media.

    Raises
    ------
    ValueError
        If `valid` is no array of booleans of the labels' shape.
    """
    require_mask(valid, labels.shape)
    masked: np.ndarray = np.where(valid, labels, num_categories)
    return masked


def require_labels(name: str, labels: np.ndarray, num_categories: int | None) -> None:
    """Refuse, as `name`, what is no (N, T) array of labels from 0 to C; None stands for any C.

    Raises
    ------
    ValueError
        If shape, type or a label is another.
    """
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


def require_outputs(name: str, logits: np.ndarray, axes: str) -> None:
    """Refuse, as `name`, what is no array of floating-point numbers with these axes, such as ``(N, T)``.

    Raises
    ------
    ValueError
        If shape or type is another, or a value is NaN.
    """
    if not isinstance(logits, np.ndarray) or logits.ndim != axes.count(",") + 1 or logits.size == 0:
        raise ValueError(
            explain(
                name,
                expected=f"shape {axes}, all positive",
                found=f"shape {np.shape(logits)}",
                remedy="pass an array with a row per clip, also for a single one",
            )
        )
    if not np.issubdtype(logits.dtype, np.floating):
        raise ValueError(
            explain(name, expected="floating-point numbers", found=logits.dtype, remedy="pass the network's output")
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


def require_mask(valid: np.ndarray, shape: tuple[int, ...]) -> None:
    """Refuse what holds no truth value for each segment of `shape`.

    Raises
    ------
    ValueError
        If shape or type is another.
    """
    if valid.shape != shape or valid.dtype != np.bool_:
        raise ValueError(
            explain(
                "valid",
                expected=f"booleans of shape {shape}",
                found=f"{valid.dtype} of shape {valid.shape}",
                remedy="pass one truth value per segment",
            )
        )


def percent(part: int, whole: int) -> float | None:
    """Return a part of the whole in percent, None of nothing."""
    return 100.0 * part / whole if whole else None

"""Whether a probability means what it says: of the segments given 0.8, eight in ten should hold an event.

Conventions
-----------
- Axes: N segments, B bins.
- Bins are equally wide and half open, [0, 0.1), [0.1, 0.2), …; the last one also holds 1.
- A bin without a segment has no mean and no share (NaN) and adds nothing to the error. Without any segment there is
  no error (None).
"""

from dataclasses import dataclass

import numpy as np

from pipeline.core.errors import explain

NUM_BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Segments sorted into bins by the probability that was given to them.

    Parameters
    ----------
    counts : np.ndarray, shape (B,), int
        Segments in the bin.
    mean_probability : np.ndarray, shape (B,), float
        What was said of them on average.
    event_share : np.ndarray, shape (B,), float
        The share of them that holds an event, 0 to 1.
    expected_error : float or None
        How far the two are apart, averaged over segments, 0 to 1.
    """

    counts: np.ndarray
    mean_probability: np.ndarray
    event_share: np.ndarray
    expected_error: float | None


def calibrate(probability: np.ndarray, is_event: np.ndarray, *, num_bins: int = NUM_BINS) -> Calibration:
    """Compare probabilities of an event with what was there.

    The expected calibration error is that of Guo et al., "On calibration of modern neural networks", ICML 2017,
    equation 3, for the probability of an event in place of the confidence in a class.

    Parameters
    ----------
    probability : np.ndarray, shape (N,), float
        From 0 to 1.
    is_event : np.ndarray, shape (N,), bool
    num_bins : int, optional
        B, positive.

    Raises
    ------
    ValueError
        If the arrays do not have one and the same length, a probability is not between 0 and 1, or there is no bin.

    Examples
    --------
    >>> calibrate(np.array([0.25, 0.75, 1.0]), np.array([False, True, False]), num_bins=2).event_share
    array([0. , 0.5])
    """
    _validate(probability, is_event, num_bins)
    edges = np.arange(num_bins) / num_bins
    place = np.searchsorted(edges, probability, side="right") - 1
    counts = np.bincount(place, minlength=num_bins)
    said = np.bincount(place, weights=probability, minlength=num_bins)
    found = np.bincount(place, weights=is_event, minlength=num_bins)
    with np.errstate(invalid="ignore"):
        mean_probability, event_share = said / counts, found / counts
    error = float(np.abs(said - found).sum() / len(probability)) if len(probability) else None
    return Calibration(counts, mean_probability, event_share, error)


def _validate(probability: np.ndarray, is_event: np.ndarray, num_bins: int) -> None:
    if num_bins < 1:
        raise ValueError(explain("num_bins", expected="1 or more", found=num_bins, remedy="ask for some bins"))
    if probability.ndim != 1 or probability.shape != is_event.shape or is_event.dtype != np.bool_:
        raise ValueError(
            explain(
                "is_event",
                expected=f"a truth value per probability, shape ({probability.size},)",
                found=f"{is_event.dtype} of shape {is_event.shape}, for probabilities of shape {probability.shape}",
                remedy="flatten both over clips and segments",
            )
        )
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError(
            explain(
                "probability", expected="values from 0 to 1", found="others", remedy="take the sigmoid of the logits"
            )
        )

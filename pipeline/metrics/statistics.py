"""How far a score may move by chance: intervals over videos and training seeds, and the comparison of two methods.

Videos. The segments of a video share what is seen and heard, and so do clips cut from one video; treating them as
independent makes intervals too narrow. The unit that is drawn, with replacement, is therefore the video (cluster
bootstrap; Efron & Tibshirani, "An introduction to the bootstrap", 1993, chapters 8 and 13).

Seeds. Runs of several seeds are scored on the same videos: the two are crossed. A score of one seed on one video
departs from the mean by what the seed shares over videos, what the video shares over seeds, and what is of this cell
alone::

               video 0   video 1   …          the mean over seeds moves with
    seed 0      10 / 10    4 / 10              V videos     shared by all seeds
    seed 1       9 / 10    6 / 10              S seeds      shared by all videos
    …                                          S V cells

Drawing seeds with replacement as well (the pigeonhole bootstrap; Owen, "The pigeonhole bootstrap", Annals of Applied
Statistics 1(2), 2007) counts the cells up to three times and, of three seeds, knows neither their spread nor the tails
that follow from knowing it badly. What is done instead is the analysis of studies in which several readers read the
same cases (Hillis, "A comparison of denominator degrees of freedom methods for multiple observer ROC analysis",
Statistics in Medicine 26, 2007): the variances of the three are told apart by a two-way analysis of variance with
random effects, the degrees of freedom are Satterthwaite's, and the shape of the videos' part stays the bootstrap's.
``benchmarks/intervals.py`` counts how often both are right.

Scores. What is resampled is ``100 * sum(correct) / sum(total)`` over videos. A video counts for its segments, of which
some are right (whole numbers), or for its clips, each with a score in 0 … 1, such as the F-scores of parsing: `correct`
is then their sum and `total` their number, and the score is the mean over clips.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

from pipeline.core.errors import explain

MAX_DRAWS_AT_ONCE = 2_000_000
"""Resampled videos held in memory together: some 50 MB, however many videos there are."""

UNITS_OF_A_SCORE = 2**30
"""A score of 1 in units that are added exactly, in any order: runs that are equal differ by 0 and not by a last bit."""

_SHAPES = {1: "(V,), V positive", 2: "(S, V), both positive"}


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How what chance may do is drawn, and how much of it an interval covers.

    Parameters
    ----------
    confidence : float
        Between 0 and 1, such as 0.95.
    num_resamples : int
        Positive.
    seed : int
        Of the draws, not of a training: the same seed gives the same result.

    Raises
    ------
    ValueError
        If `confidence` or `num_resamples` is out of range.
    """

    confidence: float
    num_resamples: int
    seed: int

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1 or self.num_resamples < 1:
            raise ValueError(
                explain(
                    "confidence, num_resamples",
                    expected="a confidence between 0 and 1, and at least one resample",
                    found=f"{self.confidence}, {self.num_resamples}",
                    remedy="use 0.95 and 10000",
                )
            )


class Interval(NamedTuple):
    """The bounds of an interval, `low` never above `high`."""

    low: float
    high: float


class Comparison(NamedTuple):
    """How far one method is above another, in percentage points, with its interval and two-sided p-value.

    `p_value` is at most 1 − confidence exactly where the interval excludes 0.
    """

    difference: float
    low: float
    high: float
    p_value: float


def bootstrap_interval(correct: np.ndarray, total: np.ndarray, resampling: Resampling) -> Interval:
    """Return the percentile bootstrap interval of a score, ``100 * sum(correct) / sum(total)``.

    Percentiles rather than BCa: the score is a ratio of sums over hundreds of videos, for which bias and skew are far
    below the interval's width; percentiles never leave 0 … 100, exist where all videos score alike (BCa is NaN
    there), and need no jackknife, whose cost is quadratic in the videos.

    An interval of no width, from one video or from videos that all score alike, says that there is no variation to
    resample, not that the score is certain.

    Parameters
    ----------
    correct : np.ndarray, shape (V,), int or float
        Segments of each video that are predicted right, or the sum of its clips' scores, 0 … `total`.
    total : np.ndarray, shape (V,), int
        All segments, or clips, of each video, positive; see :func:`pipeline.metrics.segments.per_video`.
    resampling : Resampling

    Returns
    -------
    Interval
        In percent.

    Raises
    ------
    ValueError
        If the counts are not two equally long rows of numbers with 0 <= correct <= total and a whole total > 0.
    """
    _require_counts("correct", correct, total, num_axes=1)
    total, correct = _in_whole_units(total, correct)
    if len(total) == 1:
        score = float(_accuracy(correct, total))
        return Interval(score, score)
    low, high = _resample(correct, total, resampling, np.random.default_rng(resampling.seed)).confidence_interval
    return Interval(float(low), float(high))


def seeds_interval(correct: np.ndarray, total: np.ndarray, resampling: Resampling) -> Interval:
    """Return the interval of a score's mean over training seeds, for other videos and other seeds.

    With one seed only the videos vary, nothing is known of other seeds, and the interval is that of
    :func:`bootstrap_interval`. With one video only the seeds vary. The order of the seeds does not matter.

    Parameters
    ----------
    correct : np.ndarray, shape (S, V), int or float
        What each seed's network gets right of each video, as in :func:`bootstrap_interval`; videos in one order for
        all.
    total : np.ndarray, shape (V,), int
    resampling : Resampling

    Returns
    -------
    Interval
        In percent, within 0 … 100.

    Raises
    ------
    ValueError
        If the counts are not numbers of these shapes with 0 <= correct <= total and a whole total > 0.
    """
    _require_counts("correct", correct, total, num_axes=2)
    if len(correct) == 1:
        return bootstrap_interval(correct[0], total, resampling)
    total, correct = _in_whole_units(total, correct)
    right, whole = correct.sum(axis=0), len(correct) * total
    deviations = _deviations(right, whole, [correct], total, resampling)
    tail = (1 - resampling.confidence) / 2
    low, high = _accuracy(right, whole) + np.quantile(deviations, [tail, 1 - tail])
    return Interval(max(0.0, float(low)), min(100.0, float(high)))


def compare(correct_a: np.ndarray, correct_b: np.ndarray, total: np.ndarray, resampling: Resampling) -> Comparison:
    """Return how far the mean score of method a is above that of method b, for other videos and seeds.

    The methods are paired over videos. Over seeds they are not, even where the numbers are the same: a seed's
    number decides the order of the batches, but means other initial weights in another network, and pairing would
    leave half the degrees of freedom. Should runs of one number move together, the interval is too wide, not too
    narrow. A method with one seed counts as that run: nothing is known of its other seeds.

    The p-value is the share of chance deviations at least as large as the difference, the one observed among them,
    ``(1 + count) / (num_resamples + 1)`` (Davison & Hinkley, "Bootstrap methods and their application", 1997,
    chapter 4), so it is never 0. Flipping the sign of each video's difference, as permutation tests do, would take the
    seeds for fixed.

    One video says nothing about others: the interval is then −100 … 100 and the p-value 1. Where every video differs
    alike and seeds do not vary, there is no variation to resample: an interval without width.

    Parameters
    ----------
    correct_a : np.ndarray, shape (S_a, V), int or float
        What each seed's network gets right of each video, as in :func:`bootstrap_interval`.
    correct_b : np.ndarray, shape (S_b, V), int or float
        The same of the other method: the same videos in the same order, any number of seeds.
    total : np.ndarray, shape (V,), int
    resampling : Resampling
        Of at least 1 / (1 − confidence) − 1 resamples, 19 for 0.95: fewer have no such tail.

    Returns
    -------
    Comparison
        In percentage points; the interval is symmetric, but never leaves −100 … 100.

    Raises
    ------
    ValueError
        If the counts are not numbers of these shapes with 0 <= correct <= total and a whole total > 0, or there are
        too few resamples.
    """
    _require_counts("correct_a", correct_a, total, num_axes=2)
    _require_counts("correct_b", correct_b, total, num_axes=2)
    # As many deviations reach the bound as make a p-value of 1 - confidence; rounded, as 0.1 * 10 is not 1.
    beyond = 1 - resampling.confidence
    rank = math.floor(round(beyond * (resampling.num_resamples + 1), 9))
    if rank < 1:
        enough = math.ceil(round(1 / beyond, 9)) - 1
        raise ValueError(
            explain(
                "num_resamples",
                expected=f"at least {enough} for a confidence of {resampling.confidence}",
                found=resampling.num_resamples,
                remedy="use 10000",
            )
        )
    total, correct_a, correct_b = _in_whole_units(total, correct_a, correct_b)
    num_a, num_b = len(correct_a), len(correct_b)
    ahead = num_b * correct_a.sum(axis=0) - num_a * correct_b.sum(axis=0)
    whole = num_a * num_b * total
    difference = float(_accuracy(ahead, whole))
    if len(total) == 1:
        return Comparison(difference, low=-100.0, high=100.0, p_value=1.0)
    distances = np.abs(_deviations(ahead, whole, [correct_a, correct_b], total, resampling))
    bound = float(np.sort(distances)[-rank])
    reached = int((distances >= abs(difference)).sum())
    return Comparison(
        difference,
        low=max(-100.0, difference - bound),
        high=min(100.0, difference + bound),
        p_value=(1 + reached) / (resampling.num_resamples + 1),
    )


def in_words(comparison: Comparison, first: str, second: str) -> str:
    """Return the sentence that a comparison of the methods called `first` and `second` comes to.

    Examples
    --------
    >>> in_words(Comparison(1.2, 0.3, 2.1, 0.012), "CPSP", "PSP")
    'CPSP is 1.2 points above PSP [0.3, 2.1], p = 0.012'
    >>> in_words(Comparison(-1.2, -2.1, -0.3, 0.0001), "CPSP", "PSP")
    'CPSP is 1.2 points below PSP [0.3, 2.1], p < 0.001'
    >>> in_words(Comparison(0.3, -0.9, 1.5, 0.61), "CPSP", "PSP")
    'no difference shown between CPSP and PSP at these seeds: 0.3 points [-0.9, 1.5], p = 0.61'
    """
    difference, low, high, p_value = comparison
    chance = "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"
    if low <= 0 <= high:
        return (
            f"no difference shown between {first} and {second} at these seeds: "
            f"{difference:z.1f} points [{low:z.1f}, {high:z.1f}], {chance}"
        )
    if difference > 0:
        return f"{first} is {difference:.1f} points above {second} [{low:.1f}, {high:.1f}], {chance}"
    return f"{first} is {-difference:.1f} points below {second} [{-high:.1f}, {-low:.1f}], {chance}"


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation (n − 1) of at least two values, as of several seeds."""
    return float(np.mean(values)), float(np.std(values, ddof=1))


def _deviations(
    counts: np.ndarray,
    whole: np.ndarray,
    runs: Sequence[np.ndarray],
    total: np.ndarray,
    resampling: Resampling,
) -> np.ndarray:
    """Return how far ``100 * sum(counts) / sum(whole)`` may lie from what it estimates, (num_resamples,) draws.

    `counts` and `whole`, (V,), are sums over the `runs`, one (S, V) array of what is correct per method.

    The variance over the seeds' scores holds that of the cells, and so does the variance over videos: it is taken off
    the latter. A draw is a bootstrap's deviation, scaled to the variance of the videos, plus a normal one of the seeds'
    variance, over a chi of Satterthwaite's degrees of freedom, as both variances are estimates (Student's t).
    """
    num_videos, num_resamples = len(total), resampling.num_resamples
    rng = np.random.default_rng(resampling.seed)
    of_seeds = [_variance_of_seeds(correct, total) for correct in runs]
    of_videos = with_cells = _variance_of_videos(counts, whole)
    if any(of_seeds):  # Else there is one seed each, or they all score alike.
        of_videos = max(0.0, with_cells - sum(_variance_of_cells(correct, total) for correct in runs))
    variance = of_videos + sum(of_seeds)
    if variance == 0:
        return np.zeros(num_resamples)

    deviations = math.sqrt(sum(of_seeds)) * rng.standard_normal(num_resamples)
    if of_videos > 0:
        resampled = _resample(counts, whole, resampling, rng).bootstrap_distribution
        # A bootstrap of V videos has (V - 1) / V of their variance.
        scale = math.sqrt(of_videos / with_cells * num_videos / (num_videos - 1))
        deviations += scale * (resampled - _accuracy(counts, whole))
    uncertainty = of_videos**2 / max(1, num_videos - 1)
    for correct, part in zip(runs, of_seeds, strict=True):
        uncertainty += part**2 / max(1, len(correct) - 1)
    degrees_of_freedom = variance**2 / uncertainty
    drawn: np.ndarray = deviations * np.sqrt(degrees_of_freedom / rng.chisquare(degrees_of_freedom, num_resamples))
    return drawn


def _variance_of_videos(counts: np.ndarray, whole: np.ndarray) -> float:
    """Return the variance of a score by the choice of its V videos."""
    num_videos = len(whole)
    return float((_influence(counts, whole) ** 2).sum()) / max(1, num_videos - 1) / num_videos


def _variance_of_seeds(correct: np.ndarray, total: np.ndarray) -> float:
    """Return the variance of the mean score by the choice of its S seeds, the videos fixed; 0 of one seed."""
    num_seeds = len(correct)
    if num_seeds == 1:
        return 0.0
    right = correct.sum(axis=1)
    return (100.0 / float(total.sum())) ** 2 * float(np.var(right, ddof=1)) / num_seeds


def _variance_of_cells(correct: np.ndarray, total: np.ndarray) -> float:
    """Return the variance of the mean score by what seed and video have neither of them alone; 0 of one seed."""
    num_seeds, num_videos = correct.shape
    influence = _influence(correct, total)
    of_cells = float(((influence - influence.mean(axis=0)) ** 2).sum())
    variance: float = of_cells / max(1, num_seeds - 1) / max(1, num_videos - 1) / (num_seeds * num_videos)
    return variance


def _influence(counts: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return, (…, V), what each video adds to the score V-fold; sums to 0 over the videos.

    The score is a ratio of sums: to first order it moves by the mean of these (delta method). With as many segments
    in every video they are the videos' scores less their mean.
    """
    share = counts.sum(axis=-1, keepdims=True) / whole.sum()
    influence: np.ndarray = 100.0 * (counts - share * whole) / whole.mean()
    return influence


def _resample(counts: np.ndarray, whole: np.ndarray, resampling: Resampling, rng: np.random.Generator) -> Any:
    """Return SciPy's percentile bootstrap of ``100 * sum(counts) / sum(whole)`` over at least two videos."""
    return scipy.stats.bootstrap(
        (counts, whole),
        _accuracy,
        paired=True,
        vectorized=True,
        method="percentile",
        confidence_level=resampling.confidence,
        n_resamples=resampling.num_resamples,
        batch=max(1, MAX_DRAWS_AT_ONCE // len(whole)),
        rng=rng,
    )


def _accuracy(correct: np.ndarray, total: np.ndarray, axis: int = -1) -> np.ndarray:
    score: np.ndarray = 100.0 * correct.sum(axis=axis) / total.sum(axis=axis)
    return score


def _in_whole_units(total: np.ndarray, *correct: np.ndarray) -> list[np.ndarray]:
    """Return the counts as int64, where one holds scores all of them in :data:`UNITS_OF_A_SCORE`.

    Units are a power of two: scores that are whole numbers give bit for bit what counts give.
    """
    if all(np.issubdtype(counts.dtype, np.integer) for counts in correct):
        return [counts.astype(np.int64) for counts in (total, *correct)]
    return [np.rint(counts.astype(np.float64) * UNITS_OF_A_SCORE).astype(np.int64) for counts in (total, *correct)]


def _require_counts(name: str, correct: np.ndarray, total: np.ndarray, *, num_axes: int) -> None:
    for subject, counts, axes, kind, number in (
        (name, correct, num_axes, "numbers", (np.integer, np.floating)),
        ("total", total, 1, "whole numbers", (np.integer,)),
    ):
        if counts.ndim != axes or counts.size == 0 or not any(np.issubdtype(counts.dtype, each) for each in number):
            raise ValueError(
                explain(
                    subject,
                    expected=f"{kind} of shape {_SHAPES[axes]}",
                    found=f"{counts.dtype} of shape {counts.shape}",
                    remedy="pass one count per video",
                )
            )
    if correct.shape[-1] != len(total):
        raise ValueError(
            explain(
                name,
                expected=f"{len(total)} videos, as total has",
                found=correct.shape[-1],
                remedy="pass both counts of the same videos",
            )
        )
    impossible = ~((correct >= 0) & (correct <= total) & (total > 0))  # NaN is none of these
    if impossible.any():
        place = tuple(int(number) for number in np.argwhere(impossible)[0])
        video = f"video {place[-1]}"
        raise ValueError(
            explain(
                video if num_axes == 1 else f"{name} of seed {place[0]}, {video}",
                expected="0 <= correct <= total and total > 0",
                found=f"{correct[place]} of {total[place[-1]]}",
                remedy="count every segment, or clip, of a video once",
            )
        )

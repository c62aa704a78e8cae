"""Scores of audio-visual video parsing.

A clip of T segments holds any number of categories; each is heard, seen, or both, in some of its segments, apart from
all others. A category is an audio-visual event where it is heard *and* seen. What is heard and seen follows from a
network's probabilities by one of two rules (:mod:`pipeline.metrics.parsing_decoding`): a segment's probability and
one of its clip must be at least 0.5,

- ``global_gate`` (HAN): for both modalities that of the whole clip;
- ``own_gate`` (PSP and CPSP for parsing): that of the modality in question.

Conventions
-----------
- Axes: N clips, M modalities (audio 0, visual 1), C categories, T segments. Events are booleans of shape (N, 2, C, T).
- Every score has four *columns*: audio; visual; event, the counts of audio and visual added; audio-visual, of what is
  both heard and seen.
- Every column has two *levels*. Segments: a positive segment is right or wrong by itself. Events: a maximal run of
  positive segments matches one of the truth when they share at least half of what they cover together (intersection
  over union >= 0.5). A match is no assignment, but two runs of one category lie apart, so that none can match two:
  TP counts matched predicted runs, which are as many as matched true ones, FP the other predicted and FN the other
  true runs.
- F-scores are 2 TP / (2 TP + FP + FN). As *released* (Tian et al., "Unified multisensory perception: weakly-supervised
  audio-visual video parsing", ECCV 2020; PSP and CPSP score alike) each clip has one, the mean over the categories
  that it has anything of, predicted or true; the score is the mean over clips. Every clip counts alike, and a wrong
  category in it as much as a right one, however long. The *micro* average, called ``micro_…``, adds TP, FP and FN over
  all clips and categories first; none of the releases computes it.
- Type@AV is the mean of audio, visual and audio-visual; Event@AV is the column event.
- F-scores of single clips are within 0 … 1; all others are in percent.
- A segment of which a modality is missing holds nothing of it by prediction; its truth stays what the annotation says.
- Degenerate input has a decided answer. Input without clips, categories or segments is refused. A clip of which a
  column has nothing, neither predicted nor true, scores 1 there (as released; of 174 of LLP's 1,200 test clips nothing
  is heard and seen at once). A micro average of nothing is 100, as :func:`pipeline.metrics.events.event_f1` is; a cell
  of :func:`per_category` is None.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.core.errors import explain
from pipeline.metrics import events
from pipeline.metrics.labels import percent, require_mask

Level = Literal["segment", "event"]
LEVELS: tuple[Level, ...] = ("segment", "event")
COLUMNS = ("audio", "visual", "event", "audio_visual")
"""In the order of every axis of four."""


@dataclass(frozen=True)
class MatchCounts:
    """Segments, or events, that are found, invented and missed.

    Parameters
    ----------
    true_positives, false_positives, false_negatives : np.ndarray, shape (N, 4, C), int64
        By clip, column and category. After :meth:`summed` without N, or without N and C.
    """

    true_positives: np.ndarray
    false_positives: np.ndarray
    false_negatives: np.ndarray

    @property
    def twice_found(self) -> np.ndarray:
        """The numerator of F-scores, 2 TP."""
        twice_found: np.ndarray = 2 * self.true_positives
        return twice_found

    @property
    def whole(self) -> np.ndarray:
        """The denominator of F-scores, 2 TP + FP + FN: 0 where there is nothing to score."""
        whole: np.ndarray = self.twice_found + self.false_positives + self.false_negatives
        return whole

    def summed(self, *axes: int) -> "MatchCounts":
        """Return the counts summed over axes."""
        return MatchCounts(
            self.true_positives.sum(axis=axes), self.false_positives.sum(axis=axes), self.false_negatives.sum(axis=axes)
        )


@dataclass(frozen=True)
class ParsedCategoryScores:
    """One row of the per-category table of parsing; None where nothing is there to score.

    Parameters
    ----------
    category : int
        0 … C - 1.
    num_clips : int
        Clips in which it is heard or seen, by the truth of their segments.
    segment_audio, segment_visual, segment_audio_visual : float or None
        F-scores of its segments in percent, counts summed over clips.
    """

    category: int
    num_clips: int
    segment_audio: float | None
    segment_visual: float | None
    segment_audio_visual: float | None


def validate(predicted: np.ndarray, truth: np.ndarray) -> None:
    """Check that two arrays of events can be compared.

    Parameters
    ----------
    predicted, truth : np.ndarray, shape (N, 2, C, T), bool
        N, C and T positive.

    Raises
    ------
    ValueError
        If an array has another shape or type, or the shapes differ.
    """
    for name, array in (("predicted", predicted), ("truth", truth)):
        _require_events(name, array)
    if predicted.shape != truth.shape:
        raise ValueError(
            explain(
                "predicted",
                expected=f"the shape of truth, {truth.shape}",
                found=predicted.shape,
                remedy="score predictions and annotations of the same clips",
            )
        )


def count_matches(predicted: np.ndarray, truth: np.ndarray, *, level: Level) -> MatchCounts:
    """Return how many segments, or events, of each clip, column and category are found, invented and missed.

    Parameters
    ----------
    predicted, truth : np.ndarray, shape (N, 2, C, T), bool
    level : {"segment", "event"}

    Raises
    ------
    ValueError
        As :func:`validate`.

    Examples
    --------
    One category, heard throughout by prediction and for two of three segments by truth::

        audio      predicted  1 1 1    truth  1 1 0
        visual     predicted  0 0 1    truth  1 0 0

    >>> predicted, truth = np.array([[[[1, 1, 1]], [[0, 0, 1]]], [[[1, 1, 0]], [[1, 0, 0]]]], dtype=bool)[:, np.newaxis]
    >>> count_matches(predicted, truth, level="segment").true_positives[0, :, 0]
    array([2, 0, 2, 0])
    >>> count_matches(predicted, truth, level="event").true_positives[0, :, 0]
    array([1, 0, 1, 0])
    """
    validate(predicted, truth)
    count = _count_segments if level == "segment" else _count_events
    found, invented, missed = (_columns(each) for each in count(_with_both(predicted), _with_both(truth)))
    return MatchCounts(found, invented, missed)


def clip_f_scores(counts: MatchCounts) -> np.ndarray:
    """Return the F-scores of each clip as released: the mean over the categories that it has anything of.

    Parameters
    ----------
    counts : MatchCounts
        Of :func:`count_matches`.

    Returns
    -------
    np.ndarray, shape (N, 4), float64
        By column, 0 … 1; 1 where there is nothing, neither predicted nor true.
    """
    whole = counts.whole
    num_categories = (whole > 0).sum(axis=2)
    sums = (counts.twice_found / np.maximum(whole, 1)).sum(axis=2)
    scores: np.ndarray = np.where(num_categories > 0, sums / np.maximum(num_categories, 1), 1.0)
    return scores


def name_scores(level: Level, columns: np.ndarray) -> dict[str, np.ndarray]:
    """Return the five scores of a level by name.

    Parameters
    ----------
    level : {"segment", "event"}
    columns : np.ndarray, shape (..., 4), float
        In the order of :data:`COLUMNS`.

    Returns
    -------
    dict of str to np.ndarray, shape (...)
    """
    audio, visual, event, both = np.moveaxis(columns, -1, 0)
    return {
        f"{level}_audio": audio,
        f"{level}_visual": visual,
        f"{level}_audio_visual": both,
        f"{level}_type_at_av": (audio + visual + both) / 3,
        f"{level}_event_at_av": event,
    }


def clip_scores(predicted: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """Return the ten scores of each clip: what the released scores are means of.

    With :func:`pipeline.metrics.segments.per_video` they are what :mod:`pipeline.metrics.statistics` resamples.

    Parameters
    ----------
    predicted, truth : np.ndarray, shape (N, 2, C, T), bool

    Returns
    -------
    dict of str to np.ndarray, shape (N,), float64
        0 … 1: ``segment_audio``, ``segment_visual``, ``segment_audio_visual``, ``segment_type_at_av``,
        ``segment_event_at_av``, and the same five of ``event_…``.

    Raises
    ------
    ValueError
        As :func:`validate`.
    """
    return {
        name: scores
        for level in LEVELS
        for name, scores in name_scores(level, clip_f_scores(count_matches(predicted, truth, level=level))).items()
    }


def evaluate(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return every score of a split by name, in percent.

    Parameters
    ----------
    predicted, truth : np.ndarray, shape (N, 2, C, T), bool

    Returns
    -------
    dict of str to float
        The ten scores of :func:`clip_scores`, means over clips, and each as a micro average, ``micro_…``.

    Raises
    ------
    ValueError
        As :func:`validate`.
    """
    released: dict[str, float] = {}
    micro: dict[str, float] = {}
    for level in LEVELS:
        counts = count_matches(predicted, truth, level=level)
        for name, scores in name_scores(level, clip_f_scores(counts)).items():
            released[name] = 100.0 * float(scores.mean())
        summed = counts.summed(0, 2)
        columns = np.where(summed.whole > 0, summed.twice_found / np.maximum(summed.whole, 1), 1.0)
        for name, score in name_scores(level, columns).items():
            micro[f"micro_{name}"] = 100.0 * float(score)
    return released | micro


def reference_scores(truth: np.ndarray, *, valid: np.ndarray | None = None) -> dict[str, dict[str, float]]:
    """Return what two predictions score that look at no clip: what a network must be above to have learnt anything.

    Parameters
    ----------
    truth : np.ndarray, shape (N, 2, C, T), bool
    valid : np.ndarray, shape (N, 2, T), bool, optional
        Where a modality has media; by default everywhere.

    Returns
    -------
    dict of str to dict of str to float
        The scores of :func:`evaluate` of ``everything``, every category in every segment that has media, and of
        ``nothing``.

    Raises
    ------
    ValueError
        As :func:`validate`, or if `valid` has another shape or type.
    """
    _require_events("truth", truth)
    num_clips, num_modalities, _, num_segments = truth.shape
    everything = np.ones(truth.shape, dtype=bool)
    if valid is not None:
        require_mask(valid, (num_clips, num_modalities, num_segments))
        everything &= valid[:, :, np.newaxis]
    return {"everything": evaluate(everything, truth), "nothing": evaluate(np.zeros_like(everything), truth)}


def per_category(predicted: np.ndarray, truth: np.ndarray) -> tuple[ParsedCategoryScores, ...]:
    """Return the scores of every category in class order.

    Parameters
    ----------
    predicted, truth : np.ndarray, shape (N, 2, C, T), bool

    Returns
    -------
    tuple of ParsedCategoryScores, length C

    Raises
    ------
    ValueError
        As :func:`validate`.
    """
    counts = count_matches(predicted, truth, level="segment").summed(0)
    num_clips = truth.any(axis=(1, 3)).sum(axis=0)
    rows = []
    for category in range(truth.shape[2]):
        audio, visual, _, both = (
            percent(int(part), int(whole))
            for part, whole in zip(counts.twice_found[:, category], counts.whole[:, category], strict=True)
        )
        rows.append(ParsedCategoryScores(category, int(num_clips[category]), audio, visual, both))
    return tuple(rows)


def _with_both(array: np.ndarray) -> np.ndarray:
    """Return events (N, 2, C, T) with those of both modalities at once behind them, (N, 3, C, T)."""
    return np.concatenate([array, array[:, :1] & array[:, 1:]], axis=1)


def _columns(counts: np.ndarray) -> np.ndarray:
    """Return counts (N, 3, C) of audio, visual and both by column, (N, 4, C)."""
    audio, visual, both = np.moveaxis(counts, 1, 0)
    return np.stack([audio, visual, audio + visual, both], axis=1)


def _count_segments(predicted: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return TP, FP and FN of segments, (…), of arrays (…, T)."""
    found = (predicted & truth).sum(axis=-1)
    return found, predicted.sum(axis=-1) - found, truth.sum(axis=-1) - found


def _count_events(predicted: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return TP, FP and FN of events, (…), of arrays (…, T).

    A row of T segments counts as a clip of one category and background. Most rows are empty, as a clip has few
    categories: they are left out.
    """
    counts = np.zeros((3, *truth.shape[:-1]), dtype=np.int64)
    filled = (predicted | truth).any(axis=-1)
    if filled.any():
        of_rows = events.count_events(
            *((~array[filled]).astype(np.int8) for array in (predicted, truth)), num_categories=1
        )
        counts[:, filled] = (of_rows.true_positives, of_rows.false_positives, of_rows.false_negatives)
    found, invented, missed = counts
    return found, invented, missed


def _require_events(name: str, array: np.ndarray) -> None:
    """Refuse, as `name`, what is no (N, 2, C, T) array of booleans."""
    if not isinstance(array, np.ndarray) or array.ndim != 4 or array.shape[1] != 2 or array.size == 0:
        raise ValueError(
            explain(
                name,
                expected="shape (N, 2, C, T), N, C and T positive",
                found=f"shape {np.shape(array)}",
                remedy="pass what is heard, then what is seen, of each clip, also of a single one",
            )
        )
    if array.dtype != np.bool_:
        raise ValueError(
            explain(name, expected="booleans", found=array.dtype, remedy="pass whether each category is in a segment")
        )

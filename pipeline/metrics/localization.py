"""Scores of audio-visual event localization.

A clip of T segments shows one category, or none, in some of its segments; the rest is background. Labels follow from
a network's answers by one of two rules:

- *gated* (most methods): an event logit per segment and category logits per clip; a segment is background when
  ``sigmoid(event logit) <= 0.5``, else the clip's largest category logit decides. Where background is a class of its
  own (weak CMRAN and CMBS as released) that logit may be background's.
- *per segment* (AVE's own networks, PSP of 2021): logits of C + 1 classes per segment; the largest decides.

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
- :func:`pipeline.metrics.segments.segment_accuracy`: the score of the AVE benchmark (Tian et al., "Audio-visual event
  localization in unconstrained videos", ECCV 2018), the same under full and weak supervision.
- :func:`pipeline.metrics.categories.category_accuracy`: whether the clip's category is right, wherever the event may
  be.
- :func:`pipeline.metrics.events.event_f1`: whether events are found as a whole, after Tian et al., "Unified
  multisensory perception: weakly supervised audio-visual video parsing", ECCV 2020, counted over the split.

What the scores are of, labels of segments, :mod:`pipeline.metrics.labels` makes of a network's outputs by either rule.
"""

import numpy as np

from pipeline.metrics.categories import category_accuracy
from pipeline.metrics.events import event_f1
from pipeline.metrics.labels import mask_labels, validate
from pipeline.metrics.segments import background_share, masked_segment_share, segment_accuracy


def evaluate(
    labels: np.ndarray,
    category_scores: np.ndarray,
    truth: np.ndarray,
    *,
    valid: np.ndarray | None = None,
) -> dict[str, float | int]:
    """Return every score of a split by name.

    Parameters
    ----------
    labels : np.ndarray, shape (N, T), int
        Predicted labels in 0 … C, by either rule.
    category_scores : np.ndarray, shape (N, C), float
        Of the clip's category: the largest is the prediction.
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
        If an array does not fit the others, a score is NaN, a label is out of range, or a clip holds two categories.
    """
    num_categories = category_scores.shape[1]
    predicted = labels if valid is None else mask_labels(labels, valid, num_categories=num_categories)
    validate(predicted, truth, num_categories=num_categories)
    return {
        "segment_accuracy": segment_accuracy(predicted, truth),
        "category_accuracy": category_accuracy(category_scores, truth),
        "event_f1": event_f1(predicted, truth, num_categories=num_categories),
        "background_share": background_share(truth, num_categories=num_categories),
        "masked_segment_share": 0.0 if valid is None else masked_segment_share(valid),
        "num_clips": len(truth),
    }

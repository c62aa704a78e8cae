"""The losses of all methods, defined also for a batch in which there is nothing to compare.

Every function returns a scalar; a clip or batch without anything to compare adds 0 with zero gradient, where the
released code returns not-a-number or fails.

Axes: B clip, T segment, D feature, C category, N = B·T segments of a batch. In pairs of segments of one clip, I is
the first and J the second.

- event mask: (B, T), 1 in event segments and 0 in background, of any dtype;
- categories: (B,) integers; below 0 for a clip that has none, see :data:`IGNORED` and :data:`BACKGROUND_CLIP`.
"""

from typing import Literal, NamedTuple

import torch
from torch.nn import functional

from models.shapes import require_shape

IGNORED = -100
"""Category of a clip that has none: it is left out of every loss about categories."""

BACKGROUND_CLIP = -1
"""Category of a clip known to be background throughout: a weak target of zeros; never compared with other clips."""

_FLOOR = 1e-12
_SQUARED_DISTANCE_FLOOR = 1e-12

SpsaForm = Literal["paper", "released"]
GateForm = Literal["released", "intended"]
"""Whether a gate of 0 to 1 is taken as if it were a logit, as released, or as the probability it is."""


def relevance_loss(event_logits: torch.Tensor, event_mask: torch.Tensor) -> torch.Tensor:
    """Return the binary cross-entropy of event relevance, averaged over all segments.

    Parameters
    ----------
    event_logits : torch.Tensor, shape (B, T)
        Event relevance.
    event_mask : torch.Tensor, shape (B, T)
        Which segments hold an event.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    require_shape("event_mask", event_mask, tuple(event_logits.shape))
    return functional.binary_cross_entropy_with_logits(event_logits, event_mask.to(event_logits))


def gate_loss(gate: torch.Tensor, event_mask: torch.Tensor, *, form: GateForm) -> torch.Tensor:
    """Return the binary cross-entropy of a gate that should be open in event segments, averaged over all segments.

    The released form takes the gate as if it were a logit: with a value of 0 to 1 it stands for a probability of 0.5 to
    0.73, so that even a perfect gate costs 0.31 in event segments and 0.69 in the others. The intended form takes it as
    the probability it is; its logarithms are bounded below by −100.

    Parameters
    ----------
    gate : torch.Tensor, shape (B, T)
        0 to 1.
    event_mask : torch.Tensor, shape (B, T)
        Which segments hold an event.
    form : {"released", "intended"}
        Which of the two.

    Raises
    ------
    ValueError
        If the shapes differ, or the form is unknown.
    """
    if form not in ("released", "intended"):
        raise ValueError(f"form: expected 'released' or 'intended', found {form!r}")
    if form == "released":
        return relevance_loss(gate, event_mask)
    require_shape("event_mask", event_mask, tuple(gate.shape))
    return functional.binary_cross_entropy(gate, event_mask.to(gate))


def category_loss(category_logits: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of the clips' categories, averaged over the clips that have one.

    Parameters
    ----------
    category_logits : torch.Tensor, shape (B, C)
        Category of the clip.
    categories : torch.Tensor, shape (B,)
        True categories; clips marked :data:`IGNORED` do not count.

    Raises
    ------
    ValueError
        If there is not one category per clip.
    """
    require_shape("categories", categories, (len(category_logits),))
    total = functional.cross_entropy(category_logits, categories, ignore_index=IGNORED, reduction="sum")
    return total / (categories != IGNORED).sum().clamp(min=1)


def weak_category_loss(clip_probabilities: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
    """Return the multi-label soft margin of the clip predictions, averaged over clips and categories.

    With y the one-hot category: −mean of y log sigmoid(p) + (1 − y) log sigmoid(−p). As in the released code, p
    are *probabilities*, although the formula is one for logits: the published numbers came from it.

    Parameters
    ----------
    clip_probabilities : torch.Tensor, shape (B, C)
        Prediction of the weak head.
    categories : torch.Tensor, shape (B,)
        True classes; clips marked :data:`IGNORED` do not count, the y of a :data:`BACKGROUND_CLIP`, and of a class
        beyond the last, is 0.

    Raises
    ------
    ValueError
        If there is not one category per clip.
    """
    require_shape("categories", categories, (len(clip_probabilities),))
    labelled = categories != IGNORED
    targets = one_hot(categories, clip_probabilities.shape[1]).to(clip_probabilities)
    per_clip = functional.multilabel_soft_margin_loss(clip_probabilities, targets, reduction="none")
    return torch.where(labelled, per_clip, 0.0).sum() / labelled.sum().clamp(min=1)


def avpsp_loss(similarity: torch.Tensor, event_mask: torch.Tensor) -> torch.Tensor:
    """Return L_avpsp: the modalities should agree in event segments and nowhere else.

    Parameters
    ----------
    similarity : torch.Tensor, shape (B, T)
        Cosine of the modalities.
    event_mask : torch.Tensor, shape (B, T)
        Which segments hold an event; a segment's share of its clip's events is the target of the similarity.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    mask = event_mask.to(similarity)
    return similarity_share_loss(similarity, mask / (mask.sum(dim=1, keepdim=True) + 1e-6))


def similarity_share_loss(similarity: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Return the mean squared error between each segment's share of its clip's similarity and its target share.

    Parameters
    ----------
    similarity : torch.Tensor, shape (B, T)
        Cosine of the modalities; negative values count as 0, and a clip without positive ones has shares of 0.
    shares : torch.Tensor, shape (B, T)
        Target shares.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    require_shape("event shares", shares, tuple(similarity.shape))
    rectified = torch.relu(similarity)
    predicted = rectified / (rectified.sum(dim=1, keepdim=True) + 1e-8)
    return functional.mse_loss(predicted, shares)


def spsa_loss(
    fusion: torch.Tensor, event_mask: torch.Tensor, *, temperature: float, form: SpsaForm = "paper"
) -> torch.Tensor:
    """Return L_spsa: within a clip, event segments attract each other and repel background segments.

    The paper form: every event segment i is an anchor, with P_i the sum of exp(cosine / temperature) over the
    event segments j of its clip (itself included) and N_i the mean of the same over the background segments j.
    The loss is the mean over anchors of −log(P_i / (P_i + N_i)), averaged over the clips that hold an event.

    The released form sums over i where the paper sums over j, so that no segment ever meets both its positives and
    its negatives. Its value, the mean of (T − n) · 27.631 / n, depends on the number n of event segments alone, and its
    gradient is zero to rounding. It trains nothing; it is here to repeat the published runs.

    Parameters
    ----------
    fusion : torch.Tensor, shape (B, T, D)
        Fused features; only their direction matters.
    event_mask : torch.Tensor, shape (B, T)
        Which segments hold an event.
    temperature : float
        Above 0.
    form : {"paper", "released"}, optional
        Which of the two.

    Raises
    ------
    ValueError
        If the shapes do not fit, or the form is unknown.
    """
    require_shape("fusion", fusion, ("B", "T", "D"))
    require_shape("event_mask", event_mask, tuple(fusion.shape[:2]))
    if form not in ("paper", "released"):
        raise ValueError(f"form: expected 'paper' or 'released', found {form!r}")
    events = event_mask.to(fusion)
    is_paper = form == "paper"
    return segment_contrast(
        fusion,
        events,
        positives=events.unsqueeze(2) * events.unsqueeze(1),
        negatives=events.unsqueeze(2) * (1 - events.unsqueeze(1)),
        temperature=temperature,
        sum_axis=2 if is_paper else 1,
        anchors=events if is_paper else torch.ones_like(events),
    )


def segment_contrast(
    fusion: torch.Tensor,
    events: torch.Tensor,
    *,
    positives: torch.Tensor,
    negatives: torch.Tensor,
    temperature: float,
    sum_axis: Literal[1, 2],
    anchors: torch.Tensor,
) -> torch.Tensor:
    """Contrast segments of a clip along given pairs; :func:`spsa_loss` chooses them.

    With n the events of a clip, and sums along ``sum_axis`` of the pairs::

        P = Σ positives · exp(cosine / temperature)
        N = Σ negatives · exp(cosine / temperature) / (T − n)
        loss of a clip = Σ_anchors −log(P / (P + N)) / n

    averaged over the clips with n > 0. Divisors and the logarithm's argument have 1e-12 added, so that an anchor
    without positives costs 27.631.

    Parameters
    ----------
    fusion : torch.Tensor, shape (B, T, D)
        Features; only their direction matters.
    events, anchors : torch.Tensor, shape (B, T)
        Flags of the same dtype as ``fusion``: event segments, and segments whose terms are added up.
    positives, negatives : torch.Tensor, shape (B, I, J)
        Flags of pairs of segments.
    temperature : float
        Above 0.
    sum_axis : {1, 2}
        Whether P and N are sums over I or over J; the other axis is that of the anchors.
    """
    directions = functional.normalize(fusion, dim=-1)
    affinity = torch.exp(directions @ directions.mT / temperature)
    num_events = events.sum(dim=1)
    num_background = fusion.shape[1] - num_events
    attracted = (positives * affinity).sum(dim=sum_axis)
    repelled = (negatives * affinity).sum(dim=sum_axis) / (num_background + _FLOOR).unsqueeze(1)
    terms = -torch.log(attracted / (attracted + repelled + _FLOOR) + _FLOOR)
    per_clip = (anchors * terms).sum(dim=1) / (num_events + _FLOOR)
    has_events = num_events > 0
    return torch.where(has_events, per_clip, 0.0).sum() / has_events.sum().clamp(min=1)


def vpsa_loss(fusion: torch.Tensor, categories: torch.Tensor, *, margin: float, num_negatives: int) -> torch.Tensor:
    """Return L_vpsa: clips of one category should lie closer together than the nearest clips of the others.

    A clip is the mean of its unit-normalised segments. Its loss is max(0, p − q + margin), with p the Euclidean
    distance to the farthest clip of its category (itself included) and q the mean distance to the
    ``num_negatives`` nearest clips of other categories; 0 if the batch has fewer such clips. Averaged over the
    clips that have a category.

    Parameters
    ----------
    fusion : torch.Tensor, shape (B, T, D)
        Fused features.
    categories : torch.Tensor, shape (B,)
        Clips without a category are neither compared nor compared with.
    margin : float
        Distance by which the positives should be closer.
    num_negatives : int
        How many of the nearest negatives count.

    Raises
    ------
    ValueError
        If the shapes do not fit, or fewer than one negative is asked for.
    """
    require_shape("fusion", fusion, ("B", "T", "D"))
    require_shape("categories", categories, (len(fusion),))
    if num_negatives < 1:
        raise ValueError(f"num_negatives: expected at least 1, found {num_negatives}")

    clips = functional.normalize(fusion, dim=-1).mean(dim=1)
    # Differences, not |x|² + |y|² − 2<x, y>, which leaves a clip 3e-4 away from itself in float32.
    squared = (clips.unsqueeze(1) - clips.unsqueeze(0)).square().sum(dim=-1)
    distances = squared.clamp(min=_SQUARED_DISTANCE_FLOOR).sqrt()
    labelled = categories >= 0
    same = categories.unsqueeze(1) == categories.unsqueeze(0)
    different = ~same & labelled.unsqueeze(1) & labelled.unsqueeze(0)

    farthest_positive = torch.where(same, distances, 0.0).amax(dim=1)
    num_nearest = min(num_negatives, len(clips))
    nearest = torch.where(different, distances, torch.inf).topk(num_nearest, dim=1, largest=False).values
    comparable = different.sum(dim=1) >= num_negatives
    mean_negative = torch.where(comparable.unsqueeze(1), nearest, 0.0).sum(dim=1) / num_negatives
    per_clip = torch.relu(farthest_positive - mean_negative + margin)
    return torch.where(comparable, per_clip, 0.0).sum() / labelled.sum().clamp(min=1)


def vpsa_infonce_loss(features: torch.Tensor, targets: torch.Tensor, *, ratio: float, eta: float) -> torch.Tensor:
    """Return L_vpsa as InfoNCE, the form of the parsing code, which takes clips of several categories.

    A clip is the unit-normalised mean m of its N features. With P and Q the means of exp(<m, m'> / eta) over the
    clips that share at least ``ratio`` of its categories (itself included) and over those that share none, its loss
    is −log(P / (P + Q)); 0 if the batch has no clip of the second kind. Averaged over the clips that have a category.

    Parameters
    ----------
    features : torch.Tensor, shape (B, N, D)
        Fused features of the segments, or those of both modalities one after the other.
    targets : torch.Tensor, shape (B, C)
        1 at the categories of each clip, else 0.
    ratio : float
        Share of a clip's categories that makes another clip positive, above 0 and up to 1.
    eta : float
        Temperature, above 0.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    contrast = contrast_clips(features, targets, ratio=ratio, eta=eta)
    return contrast.losses.sum() / contrast.labelled.sum().clamp(min=1)


class ClipContrast(NamedTuple):
    """The clips of a batch contrasted with each other.

    Attributes
    ----------
    losses : torch.Tensor, shape (B,)
        −log(P / (P + Q)) of :func:`vpsa_infonce_loss`; 0, without gradient, for a clip that is not comparable.
    labelled : torch.Tensor, shape (B,), bool
        Which clips have a category.
    comparable : torch.Tensor, shape (B,), bool
        Which of them have another clip in the batch that shares none of their categories.
    """

    losses: torch.Tensor
    labelled: torch.Tensor
    comparable: torch.Tensor


def contrast_clips(features: torch.Tensor, targets: torch.Tensor, *, ratio: float, eta: float) -> ClipContrast:
    """Contrast clip by clip as :func:`vpsa_infonce_loss` does, whose parameters and errors these are."""
    require_shape("features", features, ("B", "N", "D"))
    require_shape("targets", targets, (len(features), "C"))
    clips = functional.normalize(features.mean(dim=1), dim=-1)
    affinity = clips @ clips.mT / eta
    targets = targets.to(features)
    shared = targets @ targets.T
    num_categories = targets.sum(dim=1, keepdim=True)
    labelled = num_categories.squeeze(1) > 0
    positive = shared / num_categories.clamp(min=1) >= ratio
    negative = (shared == 0) & labelled.unsqueeze(1) & labelled.unsqueeze(0)
    comparable = negative.any(dim=1)
    difference = _log_mean_exp(affinity, negative) - _log_mean_exp(affinity, positive)
    per_clip = functional.softplus(torch.where(comparable, difference, 0.0))
    return ClipContrast(torch.where(comparable, per_clip, 0.0), labelled, comparable)


def _log_mean_exp(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Return the logarithm of the mean of exp over the chosen entries of each row; any finite number if none is."""
    lowest = torch.finfo(values.dtype).min
    return torch.where(chosen, values, lowest).logsumexp(dim=1) - chosen.sum(dim=1).clamp(min=1).to(values).log()


def one_hot(categories: torch.Tensor, num_categories: int) -> torch.Tensor:
    """Return (B, C) bool: true at each clip's category, nowhere for a clip without one.

    The categories are compared, since ``functional.one_hot`` makes a GPU wait to check the range.
    """
    return categories.unsqueeze(1) == torch.arange(num_categories, device=categories.device)


def label_free_nce(audio: torch.Tensor, visual: torch.Tensor, *, temperature: float = 0.1) -> torch.Tensor:
    """Return the contrast of SSPSP, which needs no label: a sound should find its own picture in the batch.

    InfoNCE over all N segments of the batch, from audio to visual only: the positive is the same segment, the
    negatives are all others, those of the same clip included.

    Parameters
    ----------
    audio, visual : torch.Tensor, shape (B, T, D)
        Features of the modalities; only their direction matters.
    temperature : float, optional
        Above 0.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    require_shape("audio", audio, ("B", "T", "D"))
    require_shape("visual", visual, tuple(audio.shape))
    sounds = functional.normalize(audio, dim=-1).flatten(0, 1)
    pictures = functional.normalize(visual, dim=-1).flatten(0, 1)
    own = torch.arange(len(sounds), device=audio.device)
    return functional.cross_entropy(sounds @ pictures.mT / temperature, own)

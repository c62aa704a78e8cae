"""The losses of parsing, which learns from the tags of clips: the categories that each holds, heard or seen.

Every function returns a scalar that is finite, and so is its gradient.

Axes: B clip, T segment, M modality (audio 0, visual 1), D feature, C category, N row, K class.
"""

from typing import Literal

import torch
from torch.nn import functional

from models.localization.losses import contrast_clips, one_hot
from models.shapes import require_shape

ContrastForm = Literal["intended", "released"]
"""Whether a clip that cannot be contrasted leaves out itself, as intended, or the batch, as released."""

_PROBABILITY_FLOOR = 1e-7


def tag_loss(probabilities: torch.Tensor, tags: torch.Tensor, *, smoothing: float = 0.0) -> torch.Tensor:
    """Return the binary cross-entropy of the clips' categories, averaged over clips and categories.

    The target of a category is (1 − s) y + s / 2, with y its tag and s the smoothing. Probabilities count within 1e-7
    to 1 − 1e-7, and have no gradient outside. From HAN (Tian et al., ECCV 2020), which smooths the targets of the
    visual probabilities alone.

    Parameters
    ----------
    probabilities : torch.Tensor, shape (B, C)
        That a clip holds a category: in either modality, or in one of them.
    tags : torch.Tensor, shape (B, C)
        1 at the categories of each clip, else 0; of any dtype.
    smoothing : float, optional
        s, from 0 up to 1, where all targets are one half.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    require_shape("tags", tags, tuple(probabilities.shape))
    targets = (1 - smoothing) * tags.to(probabilities) + smoothing / 2
    certain = probabilities.clamp(_PROBABILITY_FLOOR, 1 - _PROBABILITY_FLOOR)
    # PyTorch's own function stops the process, on a GPU for good, where a diverged network says NaN.
    return -(targets * certain.log() + (1 - targets) * (-certain).log1p()).mean()


def synchrony_loss(audio: torch.Tensor, visual: torch.Tensor, *, temperature: float, smoothing: float) -> torch.Tensor:
    """Return the contrast of sound and picture: a segment's sound should find its picture among those of its clip.

    The cross-entropy of :func:`segment_similarity`, row by row, with smoothed targets: 1 − s for the same segment, and
    s / (T − 1) for each other one. It needs no label. From the parsing code of CPSP.

    Parameters
    ----------
    audio : torch.Tensor, shape (B, T, D)
        Audio features after the propagation.
    visual : torch.Tensor, shape (B, T, D)
        Visual features before it.
    temperature : float
        Above 0.
    smoothing : float
        s, from 0 to below 1.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    similarity = segment_similarity(audio, visual, temperature=temperature)
    num_clips, num_segments, _ = similarity.shape
    own = torch.arange(num_segments, device=similarity.device).repeat(num_clips)
    return smoothed_cross_entropy(similarity.flatten(0, 1), own, smoothing=smoothing)


def segment_similarity(audio: torch.Tensor, visual: torch.Tensor, *, temperature: float) -> torch.Tensor:
    """Return the cosine of every audio with every visual segment of its clip, divided by the temperature.

    Parameters
    ----------
    audio, visual : torch.Tensor, shape (B, T, D)
        Features of the modalities; only their direction matters.
    temperature : float
        Above 0.

    Returns
    -------
    torch.Tensor, shape (B, T, T)
        A row for each audio segment.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    require_shape("audio", audio, ("B", "T", "D"))
    require_shape("visual", visual, tuple(audio.shape))
    return functional.normalize(audio, dim=-1) @ functional.normalize(visual, dim=-1).mT / temperature


def smoothed_cross_entropy(logits: torch.Tensor, classes: torch.Tensor, *, smoothing: float) -> torch.Tensor:
    """Return the cross-entropy with targets of 1 − s at the class and s / (K − 1) elsewhere, averaged over the rows.

    PyTorch's ``label_smoothing`` spreads s over all K classes, the true one included.

    Parameters
    ----------
    logits : torch.Tensor, shape (N, K)
        Scores of the classes.
    classes : torch.Tensor, shape (N,)
        True classes.
    smoothing : float
        s, from 0 to below 1.

    Raises
    ------
    ValueError
        If there is not one class per row.
    """
    require_shape("logits", logits, ("N", "K"))
    require_shape("classes", classes, (len(logits),))
    elsewhere = smoothing / max(logits.shape[1] - 1, 1)
    is_class = one_hot(classes, logits.shape[1]).to(logits)
    return functional.cross_entropy(logits, elsewhere + (1 - smoothing - elsewhere) * is_class)


def parsing_vpsa_loss(
    features: torch.Tensor, targets: torch.Tensor, *, ratio: float, eta: float, form: ContrastForm = "intended"
) -> torch.Tensor:
    """Return L_vpsa between clips of several categories each, InfoNCE over both modalities and all segments.

    The loss of a clip is that of :func:`models.localization.losses.vpsa_infonce_loss`. A clip without tags, or with
    which every other clip of the batch shares one, cannot be contrasted. The intended form is the mean over the other
    clips, and 0 if there is none. The released form is 0, without gradient, as soon as there is one such clip: there
    its loss is not a number, and the training code then leaves the term of the whole batch out.

    Parameters
    ----------
    features : torch.Tensor, shape (B, T, M, D)
        Propagated features.
    targets : torch.Tensor, shape (B, C)
        1 at the categories of each clip, else 0; of any dtype.
    ratio : float
        Share of a clip's categories that makes another clip positive, above 0 and up to 1.
    eta : float
        Temperature, above 0.
    form : {"intended", "released"}, optional
        Which of the two.

    Raises
    ------
    ValueError
        If the shapes do not fit, or the form is unknown.
    """
    require_shape("features", features, ("B", "T", 2, "D"))
    if form not in ("intended", "released"):
        raise ValueError(f"form: expected 'intended' or 'released', found {form!r}")
    contrast = contrast_clips(features.flatten(1, 2), targets, ratio=ratio, eta=eta)
    mean = contrast.losses.sum() / contrast.comparable.sum().clamp(min=1)
    return mean if form == "intended" else torch.where(contrast.comparable.all(), mean, 0.0)

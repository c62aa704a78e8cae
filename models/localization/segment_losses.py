"""The losses of networks that give every segment a class, and the targets of PSP's first release.

The agreement of the modalities in that release, L_avpsp, is :func:`models.localization.losses.similarity_share_loss`
of targets from here.

Axes: B clip, T segment, C category, K class (C + 1, background last).

- classes: (B, T) integers from 0 to C, C for background;
- event mask: (B, T), 1 in event segments and 0 in background, of any dtype.
"""

import torch
from torch.nn import functional

from models.shapes import require_shape


def segment_class_loss(segment_logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of the segments' classes, averaged over all segments (PSP, CVPR 2021).

    Parameters
    ----------
    segment_logits : torch.Tensor, shape (B, T, K)
        Class of the segment.
    classes : torch.Tensor, shape (B, T)
        True classes.

    Raises
    ------
    ValueError
        If there is not one class per segment.
    """
    require_shape("classes", classes, tuple(segment_logits.shape[:2]))
    return functional.cross_entropy(segment_logits.flatten(0, 1), classes.flatten())


def segment_margin_loss(segment_probabilities: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return the multi-label soft margin of the segments' probabilities, averaged over segments and classes.

    With y the one-hot class: −mean of y log sigmoid(p) + (1 − y) log sigmoid(−p). As in the released code of AVE
    (ECCV 2018), p are *probabilities*, although the formula is one for logits.

    Parameters
    ----------
    segment_probabilities : torch.Tensor, shape (B, T, K)
        Class of the segment, after the softmax.
    classes : torch.Tensor, shape (B, T)
        True classes.

    Raises
    ------
    ValueError
        If there is not one class per segment.
    """
    require_shape("classes", classes, tuple(segment_probabilities.shape[:2]))
    known = torch.arange(segment_probabilities.shape[2], device=classes.device)
    targets = (classes.unsqueeze(-1) == known).to(segment_probabilities)
    return functional.multilabel_soft_margin_loss(segment_probabilities.flatten(0, 1), targets.flatten(0, 1))


def class_share_loss(clip_probabilities: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Return the binary cross-entropy of clip predictions with shares of the classes, averaged over clips and classes.

    With y the share: −mean of y log p + (1 − y) log(1 − p), both logarithms at least −100 (PSP, CVPR 2021, weak).

    Parameters
    ----------
    clip_probabilities : torch.Tensor, shape (B, K)
        Prediction about the clip, 0 to 1.
    shares : torch.Tensor, shape (B, K)
        Share of each class in the clip, 0 to 1.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    require_shape("shares", shares, tuple(clip_probabilities.shape))
    return functional.binary_cross_entropy(clip_probabilities, shares.to(clip_probabilities))


def event_share_targets(event_mask: torch.Tensor, *, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return the target shares of similarity that PSP (CVPR 2021) intends: 1/n in each of the n event segments.

    A clip without event segments counts as background everywhere, an event of its own: 1/T in each segment.

    Parameters
    ----------
    event_mask : torch.Tensor, shape (B, T)
        Which segments hold the event; in clips with several categories, that of the smallest index.
    dtype : torch.dtype, optional
        Of the targets.

    Returns
    -------
    torch.Tensor, shape (B, T)
        Rows that sum to one.

    Raises
    ------
    ValueError
        If the mask does not have two axes.

    Examples
    --------
    >>> event_share_targets(torch.tensor([[0, 1, 1, 0], [0, 0, 0, 0]]))
    tensor([[0.0000, 0.5000, 0.5000, 0.0000],
            [0.2500, 0.2500, 0.2500, 0.2500]])
    """
    require_shape("event_mask", event_mask, ("B", "T"))
    mask = event_mask.to(dtype)
    counted = torch.where(mask.any(dim=1, keepdim=True), mask, 1.0)
    return counted / counted.sum(dim=1, keepdim=True)


def accumulate_targets(buffer: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the targets that the released code of PSP (CVPR 2021) trains with, which remember earlier batches.

    It writes the entries of a batch into one array that it never clears. A segment outside the event of its clip keeps
    the target that the clip in the same row of an earlier batch left there, so that rows may sum to more than one.

    Parameters
    ----------
    buffer : torch.Tensor, shape (at least B, T)
        What earlier batches left, zeros at first; changed in place.
    targets : torch.Tensor, shape (B, T)
        From :func:`event_share_targets`; a batch smaller than the buffer uses its first rows.

    Returns
    -------
    torch.Tensor, shape (B, T)
        The targets of this batch; later batches do not change them.

    Raises
    ------
    ValueError
        If the batch has more clips than the buffer has rows, or clips of another length.

    Examples
    --------
    >>> buffer = torch.zeros(1, 4)
    >>> accumulate_targets(buffer, torch.tensor([[0.5, 0.5, 0.0, 0.0]]))
    tensor([[0.5000, 0.5000, 0.0000, 0.0000]])
    >>> accumulate_targets(buffer, torch.tensor([[0.0, 1.0, 0.0, 0.0]]))
    tensor([[0.5000, 1.0000, 0.0000, 0.0000]])
    """
    rows = buffer[: len(targets)]
    require_shape("targets", targets, tuple(rows.shape), hint="the buffer has a row for each clip of the largest batch")
    rows.copy_(torch.where(targets > 0, targets, rows))
    return rows.clone()

"""The contrast of CACE-Net, finite in every precision.

Axes: B clip, T segment, D feature, R row: the queries of a clip's segments, then their keys (R = 2 T).
"""

import torch

from models.shapes import require_shape


def foreground_contrast(
    query: torch.Tensor, key: torch.Tensor, event_mask: torch.Tensor, *, temperature: float = 0.01
) -> torch.Tensor:
    """Return the contrastive loss of CACE-Net: event segments of a clip attract each other in both of their views.

    With r the rows of a clip, and s_ij = <r_i, r_j> / temperature, the loss of a row is::

        log Σ over j ≠ i of exp s_ij  −  log Σ over positives of exp s_ij  +  log(number of positives)

    Positive to a row of an event segment are all other rows of event segments; to a row of a background segment, its
    other view alone. The loss is the mean over rows and clips. From He et al. (ACM MM 2024), whose code takes the
    exponentials themselves: in float32 they overflow, and the value is not a number.

    Parameters
    ----------
    query, key : torch.Tensor, shape (B, T, D)
        Unit vectors.
    event_mask : torch.Tensor, shape (B, T)
        Which segments hold an event.
    temperature : float, optional
        Above 0.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    return row_contrasts(query, key, event_mask, temperature=temperature).mean()


def row_contrasts(
    query: torch.Tensor, key: torch.Tensor, event_mask: torch.Tensor, *, temperature: float = 0.01
) -> torch.Tensor:
    """Return the loss of every row, (B, R), as :func:`foreground_contrast` describes it; a lone pair of views has 0."""
    require_shape("query", query, ("B", "T", "D"))
    require_shape("key", key, tuple(query.shape))
    require_shape("event_mask", event_mask, tuple(query.shape[:2]))
    rows = torch.cat([query, key], dim=1)
    similarity = rows @ rows.mT / temperature
    is_event = event_mask.bool().repeat(1, 2)
    segments = torch.arange(query.shape[1], device=query.device).repeat(2)
    both_events = is_event.unsqueeze(2) & is_event.unsqueeze(1)
    others = ~torch.eye(rows.shape[1], dtype=torch.bool, device=query.device)
    positives = (both_events | (segments.unsqueeze(1) == segments)) & others
    # Every row has its other view among the positives, so no sum is empty.
    every = similarity.masked_fill(~others, -torch.inf).logsumexp(dim=2)
    attracted = similarity.masked_fill(~positives, -torch.inf).logsumexp(dim=2)
    return every - attracted + positives.sum(dim=2).to(similarity).log()

"""Shape checks: a tensor of the wrong shape is refused before use, in one line that names both shapes."""

import torch


def require_shape(name: str, tensor: torch.Tensor, axes: tuple[str | int, ...], *, hint: str = "") -> None:
    """Check the number of axes of a tensor, and the size of those axes that are fixed.

    Parameters
    ----------
    name : str
        What the tensor is, for the message.
    tensor : torch.Tensor
        The tensor to check.
    axes : tuple of str or int
        One entry per axis: a letter where any size will do, a number where it is fixed.
    hint : str, optional
        What to do about it; ends the message.

    Raises
    ------
    ValueError
        If the number of axes or a fixed size differs.

    Examples
    --------
    >>> require_shape("audio", torch.zeros(2, 10, 64), ("B", "T", 128))
    Traceback (most recent call last):
    ...
    ValueError: audio: expected shape (B, T, 128), found (2, 10, 64)
    """
    found = tuple(tensor.shape)
    matches = len(found) == len(axes) and all(
        isinstance(axis, str) or axis == size for axis, size in zip(axes, found, strict=True)
    )
    if not matches:
        expected = ", ".join(str(axis) for axis in axes)
        ending = f"; {hint}" if hint else ""
        raise ValueError(f"{name}: expected shape ({expected}), found {found}{ending}")

"""The labels that the terms of parsing compare answers with: the tags of each clip."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class TagLabels:
    """The labels of weak training: which categories each clip holds, heard or seen.

    Parameters
    ----------
    tags : torch.Tensor
        Shape (B, C), bool.
    """

    tags: Tensor

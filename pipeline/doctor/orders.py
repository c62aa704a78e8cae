"""The orders that a file's rows may have: which video each row is of, where only the number of rows is known.

The features of the AVE release have a row per line of ``Annotations.txt``, in that order. Features extracted again
often follow the files of a folder instead. Videos that carry two rows (45 in AVE) tell the two orders apart without any
video: their rows are equal in the right order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.annotations.ave_rows import pairs_of_rows, read_video_ids
from pipeline.doctor.source import FeatureFile

OrderName = Literal["annotation order", "sorted video ids", "as the file says"]

EQUAL_TOLERANCE = 1e-3
"""Relative tolerance: two extractions of one video on one machine differ by less."""


@dataclass(frozen=True)
class Order:
    """The video of each row, under a name for people."""

    name: OrderName
    video_ids: tuple[str, ...]


@dataclass(frozen=True)
class OrderEvidence:
    """The evidence of the annotations about the order of a file's rows.

    Parameters
    ----------
    annotations : Path
    num_annotated, num_videos : int
        Rows of the annotations, and the distinct videos they name.
    orders : tuple of Order
        Orders that the number of rows allows; none where it fits neither.
    num_pairs : int
        Pairs of rows that are of one video, in either order.
    num_equal : dict of str to int
        How many of these pairs are equal, by the name of the order.
    """

    annotations: Path
    num_annotated: int
    num_videos: int
    orders: tuple[Order, ...]
    num_pairs: int
    num_equal: dict[str, int]

    @property
    def told(self) -> OrderName | None:
        """The order in which all pairs are equal, if it is the only one."""
        told = [order.name for order in self.orders if self.num_pairs and self.num_equal[order.name] == self.num_pairs]
        return told[0] if len(told) == 1 else None


def examine_order(file: FeatureFile, annotations: Path) -> OrderEvidence:
    """Compare the rows of `file` with ``Annotations.txt``.

    Raises
    ------
    AnnotationError
        If the annotations are missing or have another form.
    ShardError
        If the file is damaged.
    """
    video_ids = read_video_ids(annotations)
    orders = possible_orders(file.num_rows, video_ids)
    pairs = {order.name: pairs_of_rows(order.video_ids) for order in orders}
    return OrderEvidence(
        annotations,
        len(video_ids),
        len(set(video_ids)),
        tuple(orders),
        max((len(of_order) for of_order in pairs.values()), default=0),
        {name: sum(_are_equal(file, *pair) for pair in of_order) for name, of_order in pairs.items()},
    )


def possible_orders(num_rows: int, video_ids: Sequence[str]) -> list[Order]:
    """Return the orders that `num_rows` rows may have: a row per annotation, or a row per video.

    >>> [order.video_ids for order in possible_orders(3, ["b", "a", "b"])]
    [('b', 'a', 'b'), ('a', 'b', 'b')]
    >>> [order.video_ids for order in possible_orders(2, ["b", "a", "b"])]
    [('b', 'a'), ('a', 'b')]
    """
    named = tuple(video_ids) if num_rows == len(video_ids) else tuple(dict.fromkeys(video_ids))
    if num_rows != len(named):
        return []
    orders = [Order("annotation order", named), Order("sorted video ids", tuple(sorted(named)))]
    return orders[:1] if orders[0].video_ids == orders[1].video_ids else orders


def _are_equal(file: FeatureFile, row: int, other: int) -> bool:
    first, second = (file.read(number, number + 1).astype(np.float64) for number in (row, other))
    if not first.any() or not np.isfinite(first).all():  # missing videos are alike
        return False
    tolerance = EQUAL_TOLERANCE * np.abs(first).max()
    return bool(np.allclose(first, second, rtol=EQUAL_TOLERANCE, atol=tolerance))

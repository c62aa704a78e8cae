"""``prob_label.h5`` of PSP (2021): for each row of ``Annotations.txt`` the share of its segments in each class.

The one data set of the file, of any name, is (rows, C + 1) with background last. PSP's weak training is the only one of
the release that uses it: a share is one number per clip, weaker than a label per segment and stronger than a category.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.annotations.ave_labels import read_array
from pipeline.annotations.ave_rows import Row
from pipeline.core.errors import AnnotationError, explain, shorten

EVENT_SHARES = "prob_label.h5"

SHARE_TOLERANCE = 1e-3
"""Of a sum of shares, and of a share that should be zero: float16 is off by less."""


def read_event_shares(raw: Path, rows: Sequence[Row], categories: Sequence[str]) -> list[float] | None:
    """Return the share of event segments of each row, 0 to 1; None where ``prob_label.h5`` is not there.

    Parameters
    ----------
    raw : Path
        Folder of the file.
    rows : sequence of Row
        Of ``Annotations.txt``.
    categories : sequence of str
        In class order.

    Raises
    ------
    AnnotationError
        If the file is damaged, of another shape, or a row holds a negative share, does not sum to 1, or has a share of
        another class than its category and background; the first such row is named.
    """
    path = raw / EVENT_SHARES
    if not path.exists():
        return None
    shape = (len(rows), len(categories) + 1)
    shares = read_array(
        path,
        None,
        expected=f"one data set, numbers of shape {shape}, a row for each of Annotations.txt",
        remedy="use the Annotations.txt and the labels of one release",
        fits=lambda data: data.shape == shape and data.dtype.kind in "iuf",
    ).astype(np.float64)
    classes = [categories.index(row.fields[0]) for row in rows]
    for number, (row, of_row, class_) in enumerate(zip(rows, shares, classes, strict=True)):
        if fault := _fault(of_row, class_, (*map(shorten, categories), "background")):
            raise AnnotationError(
                explain(
                    f"{path} row {number}",
                    expected=f"shares of {shorten(row.fields[0])} (line {row.line} of Annotations.txt) and background, "
                    "zero or more, with the sum 1",
                    found=fault,
                    remedy="the file is in another order or of another release: use one release, or move it away",
                )
            )
    return [min(float(of_row[class_]), 1.0) for of_row, class_ in zip(shares, classes, strict=True)]


def _fault(shares: np.ndarray, class_: int, names: Sequence[str]) -> str | None:
    """Return what is wrong with the shares (C + 1,) of a row of category `class_`, or None."""
    if not np.isfinite(shares).all() or (shares < 0).any():
        wrong = int((~(shares >= 0) | ~np.isfinite(shares)).argmax())
        return f"{shares[wrong]:g} of {names[wrong]}"
    others = shares.copy()
    others[[class_, -1]] = 0
    if others.max() > SHARE_TOLERANCE:
        return f"{others.max():g} of {names[int(others.argmax())]}"
    if abs(shares.sum() - 1) > SHARE_TOLERANCE:
        return f"the sum {shares.sum():g}"
    return None

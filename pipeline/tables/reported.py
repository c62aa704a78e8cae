"""``tables/reported.yaml``: numbers that others reported, with their provenance.

A number that is only recalled carries a dagger wherever it is shown, until someone has looked it up.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline.core.sections import RowName, Section, contradiction, load_section
from pipeline.methods.registry import METHODS
from pipeline.methods.settings import Supervision
from pipeline.tables.metrics import LEADING, METRICS

Protocol = Literal["validation", "test", "last", "unknown"]

DAGGER = "†"
DOUBLE_DAGGER = "‡"
LEGEND = {
    DAGGER: "recalled, not yet looked up in the publication",
    DOUBLE_DAGGER: "recalled with low confidence",
}
# The epoch that is reported: the best on a split, or another.
PROTOCOLS: dict[Protocol, str] = {
    "validation": "validation",
    "test": "test",
    "last": "last",
    "unknown": "not known",
}


def _known_metric(name: str) -> str:
    names = [name for metrics in METRICS.values() for name in metrics]
    if name not in names:
        raise ValueError(" | ".join(names))
    return name


class ReportedNumber(Section):
    """One number, or a range of them, that others reported; None where the source does not say.

    Parameters
    ----------
    method, dataset : str
        `dataset` as the folder under ``data/`` is called.
    metric : str, optional
        A name in :data:`pipeline.tables.metrics.METRICS`.
    supervision : str or None
    value : float or list of two floats
        Percent.
    row : str or None
        The row of ours that it is about.
    features : str or None
    protocol : str
        Which epoch it is of.
    source : str
    kind : str
        ``published`` by the authors of the method, or a ``rerun`` by other people.
    provenance : str
        ``read``, or ``recalled`` from memory.
    confidence : str or None
        ``low`` where what is recalled is doubtful.
    note : str or None
    """

    method: str
    dataset: str
    metric: Annotated[str, AfterValidator(_known_metric)] = LEADING["localization"]
    supervision: Supervision | None = None
    value: float | Annotated[list[float], Field(min_length=2, max_length=2)]
    row: RowName | None = None
    features: str | None = None
    protocol: Protocol
    source: str
    kind: Literal["published", "rerun"]
    provenance: Literal["read", "recalled"]
    confidence: Literal["low"] | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _row_has_the_score(self) -> Self:
        method = METHODS.get((self.row or "").rpartition("_")[0])
        if method is not None and self.metric not in METRICS[method.task]:
            expected = f"{' | '.join(METRICS[method.task])} where the row is of {method.task}"
            raise contradiction(("metric",), expected=expected, found=self.metric)
        return self

    @property
    def marks(self) -> str:
        """The dagger of a recalled number, and the double dagger of a doubtful one."""
        return (DAGGER if self.provenance == "recalled" else "") + (DOUBLE_DAGGER if self.confidence else "")

    @property
    def text(self) -> str:
        """The number as it is shown, with its marks."""
        values = self.value if isinstance(self.value, list) else [self.value]
        return "–".join(f"{value:g}" if value != round(value, 1) else f"{value:.1f}" for value in values) + self.marks


def legend(numbers: Iterable[ReportedNumber]) -> list[str]:
    """Return what the marks of these numbers mean, a sentence each."""
    marks = {mark for number in numbers for mark in number.marks}
    return [f"{mark} {meaning}." for mark, meaning in LEGEND.items() if mark in marks]


class _ReportedFile(Section):
    numbers: list[ReportedNumber]


def load_reported(path: Path) -> list[ReportedNumber]:
    """Read ``reported.yaml``.

    Raises
    ------
    ParamsError
        If the file is missing or no YAML, or names every faulty key.
    """
    return load_section(path, _ReportedFile).numbers

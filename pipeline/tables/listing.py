"""The table of what others reported, as it is in ``reported.yaml``."""

from collections.abc import Sequence

from pipeline.tables.metrics import LEADING, METRICS
from pipeline.tables.reported import PROTOCOLS, ReportedNumber, legend
from pipeline.tables.table import NO_VALUE, Column, Table

_USUAL = LEADING["localization"]
_TEXTS = {name: metric.text for metrics in METRICS.values() for name, metric in metrics.items()}


def build_reported(name: str, title: str, numbers: Sequence[ReportedNumber]) -> Table:
    """Return a table of what others reported, as it is in ``reported.yaml``."""
    fields: dict[str, list[str]] = {
        "Method": [number.method for number in numbers],
        "Data set": [number.dataset for number in numbers],
        "Setting": [_setting(number) for number in numbers],
        "%": [number.text for number in numbers],
        "Epoch": [PROTOCOLS[number.protocol] for number in numbers],
        "Features": [number.features or NO_VALUE for number in numbers],
        "Provenance": [number.provenance for number in numbers],
        "Source": ["; ".join(filter(None, (number.source, number.note))) for number in numbers],
    }
    values = tuple(
        {
            "method": number.method,
            "dataset": number.dataset,
            "metric": _TEXTS[number.metric],
            "supervision": number.supervision or "",
            "percent": number.text,
            "protocol": number.protocol,
            "features": number.features or "",
            "provenance": number.provenance,
            "confidence": number.confidence or "",
            "source": number.source,
            "note": number.note or "",
        }
        for number in numbers
    )
    columns = tuple(
        Column("", heading, tuple(cells), is_number=heading == "%", is_score=heading == "%")
        for heading, cells in fields.items()
    )
    notes = (f"Percent; {_TEXTS[_USUAL]} where no other score is named.", *legend(numbers))
    return Table(name, title, columns, (), notes, values)


def _setting(number: ReportedNumber) -> str:
    metric = None if number.metric == _USUAL else _TEXTS[number.metric]
    return ", ".join(filter(None, (metric, number.supervision))) or NO_VALUE

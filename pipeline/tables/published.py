"""Where published numbers stand: beside the scores of a training like their authors', or apart, with the reason."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.core.sections import flatten
from pipeline.methods.registry import METHODS
from pipeline.methods.settings import CPSP_RELEASE, Schedule
from pipeline.params.schema import Params
from pipeline.tables.definitions import Definitions, RowDefinition, may_add_background
from pipeline.tables.plans import Plan
from pipeline.tables.reported import PROTOCOLS, Protocol, ReportedNumber

Differences = Mapping[str, str]
"""Settings that are not the published ones: by name, the value with the published one in brackets."""

EXCEPTED = {"spsa.form"}
"""Settings that keep no number apart: the form of L_spsa, since the paper describes one and the release another."""


@dataclass(frozen=True)
class Placement:
    """The published numbers of one row.

    Parameters
    ----------
    beside : mapping of (str, str) to ReportedNumber
        By the choice of the epoch, ``validation`` or ``test``, with whose scores they stand, and the score.
    apart : sequence of (ReportedNumber, str)
        Those in no column, with the reason.
    """

    beside: Mapping[tuple[Protocol, str], ReportedNumber]
    apart: Sequence[tuple[ReportedNumber, str]] = ()


def comparable(reported: Sequence[ReportedNumber], params: Params) -> list[ReportedNumber]:
    """Return the published numbers that are of this data set and its official split."""
    if params.dataset.split != "official":
        return []
    return [number for number in reported if number.kind == "published" and number.dataset == params.dataset.name]


def place(numbers: Iterable[ReportedNumber], row: RowDefinition, differences: Differences) -> Placement:
    """Return where the published numbers of a row stand; beside it only if it is trained as published.

    Parameters
    ----------
    numbers : iterable of ReportedNumber
        Of this row.
    row : RowDefinition
    differences : Differences
        The settings in which it is not trained as published.
    """
    others = [name for name in differences if name not in EXCEPTED]
    beside: dict[tuple[Protocol, str], ReportedNumber] = {}
    apart = []
    for number in numbers:
        column: Protocol = "validation" if number.protocol == "last" and keeps_last(row) else number.protocol
        if row.recipe != "authors":
            apart.append((number, "not beside it: trained with the common recipe"))
        elif others:
            apart.append((number, f"not beside it: trained with other settings ({', '.join(others)})"))
        elif column in ("validation", "test"):
            beside[column, number.metric] = number
        else:
            apart.append((number, f"epoch {PROTOCOLS[column]}; it stands in neither column"))
    return Placement(beside, apart)


def keeps_last(row: RowDefinition) -> bool:
    """Tell whether the recipe of a row keeps the last validated epoch in place of the best one."""
    return METHODS[row.method].recipe(row.supervision, row.recipe).selection.keeps_last


def find_differences(
    plans: Mapping[str, Plan], definitions: Definitions, rows: Iterable[RowDefinition]
) -> dict[str, Differences]:
    """Return the settings in which the methods behind these rows are not trained as published.

    Parameters
    ----------
    plans : mapping of str to Plan
        Of every row of a method.
    definitions : Definitions
    rows : iterable of RowDefinition

    Returns
    -------
    dict of str to Differences
        By the methods' rows, such as ``cpsp_full``; those without a difference are left out.
    """
    names = dict.fromkeys(definitions.row_of_method(row) for row in rows)
    found = {name: _differences(plans[name].values, definitions.methods[name]) for name in names}
    return {name: differences for name, differences in found.items() if differences}


def describe(row: RowDefinition, differences: Differences) -> str:
    """Return the settings in which a method's row is not trained as published, in a sentence."""
    listed = ", ".join(f"{name} {values}" for name, values in differences.items())
    return f"{row.label}, {row.supervision}: not the published settings (those in brackets): {listed}."


def show(value: object) -> str:
    """Return a setting's value as the tables show it."""
    if isinstance(value, list):
        return "/".join(map(str, value)) or "none"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _differences(values: Mapping[str, Any], row: RowDefinition) -> dict[str, str]:
    differences = {}
    for key, expected in _published(row).items():
        if values[key] != expected:
            name = key.removeprefix(f"{row.block}.").removeprefix(f"{row.schedule_block}.").removeprefix("train.")
            differences[name] = f"{show(values[key])} ({show(expected)})"
    return differences


def _published(row: RowDefinition) -> dict[str, Any]:
    """Return the published values of a method's row, by their keys; the common recipe's are those of CPSP."""
    settings = METHODS[row.method].published[row.supervision].model_dump()
    schedule = {name: settings.pop(name) for name in Schedule.model_fields}
    if row.recipe == "common":
        schedule = CPSP_RELEASE[METHODS[row.method].task][row.supervision]
    return {
        **flatten(schedule, f"{row.schedule_block}."),
        **flatten(settings, f"{row.block}."),
        "train.initialisation": "released",
        **({"train.weak.background_clips": "auto"} if may_add_background(row.task, row.supervision) else {}),
    }

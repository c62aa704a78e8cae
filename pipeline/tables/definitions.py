"""``tables/rows.yaml``: the rows that can be trained, and the tables that show them.

The rows ``<method>_<supervision>``, such as ``cpsp_full``, are there without being listed: a method as ``params.yaml``
has it. Every other row is an ablation: a method with some of its settings replaced.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field

from pipeline.core.errors import ParamsError, explain
from pipeline.core.sections import RowName, Section, flatten, load_section
from pipeline.methods.registry import METHODS
from pipeline.methods.settings import Supervision
from pipeline.params.overriding import override
from pipeline.params.schema import MethodName, Params, TablesParams

_SUPERVISIONS: tuple[Supervision, ...] = get_args(Supervision)


class RowDefinition(Section):
    """A method with some of its settings replaced."""

    method: MethodName
    supervision: Supervision
    label: Annotated[str, Field(min_length=1)]
    changes: dict[str, Any]

    @property
    def block(self) -> str:
        """The key under which the settings stand that this row is trained with."""
        return f"train.{self.method}.{self.supervision}"


class _Table(Section):
    title: Annotated[str, Field(min_length=1)]
    base: RowName
    shows: str | None = None


class TableDefinition(_Table):
    """Rows that are shown together, and the one that the others are compared with.

    `shows` is the key of the setting that the table varies: rows that leave it alone are labelled with its value.
    """

    rows: Annotated[list[RowName], Field(min_length=1)]


class _TableEntry(_Table):
    """A table as the file has it; a supervision in the place of `rows` stands for every method's row of it."""

    rows: Annotated[list[RowName], Field(min_length=1)] | Supervision

    def expanded(self) -> TableDefinition:
        """Return the table with all of its rows, the base last where they are not listed."""
        rows = self.rows
        if isinstance(rows, str):
            rows = sorted((f"{method}_{rows}" for method in METHODS), key=lambda name: name == self.base)
        return TableDefinition(title=self.title, base=self.base, shows=self.shows, rows=rows)


class _RowsFile(Section):
    ablations: dict[RowName, RowDefinition]
    tables: dict[RowName, _TableEntry]


@dataclass(frozen=True)
class Definitions:
    """All rows and tables by name.

    Parameters
    ----------
    methods, ablations : mapping of str to RowDefinition
    tables : mapping of str to TableDefinition
        In the order of the page.
    """

    methods: Mapping[str, RowDefinition]
    ablations: Mapping[str, RowDefinition]
    tables: Mapping[str, TableDefinition]

    @property
    def rows(self) -> dict[str, RowDefinition]:
        """Every row by name."""
        return {**self.methods, **self.ablations}

    def target(self, row: str, seed: int) -> str:
        """Return what DVC calls the stage that trains a row with a seed."""
        if row in self.ablations:
            return f"tables/dvc.yaml:ablations@{row}-{seed}"
        definition = self.methods[row]
        return f"tables/dvc.yaml:methods@{definition.method}-{definition.supervision}-{seed}"


def load_definitions(path: Path) -> Definitions:
    """Read ``rows.yaml``.

    Raises
    ------
    ParamsError
        If a key is faulty, a table names a row that does not exist, or an ablation is in no table.
    """
    content = load_section(path, _RowsFile)
    methods = {
        f"{name}_{supervision}": RowDefinition(method=name, supervision=supervision, label=method.label, changes={})
        for supervision in _SUPERVISIONS
        for name, method in METHODS.items()
    }
    faults = [f"{name} is a method's own row" for name in content.ablations if name in methods]
    known = {*methods, *content.ablations}
    tables = {name: table.expanded() for name, table in content.tables.items()}
    for name, table in tables.items():
        faults += [f"table {name}: no row is called {row}" for row in table.rows if row not in known]
        if table.base not in table.rows:
            faults.append(f"table {name}: its base {table.base} is not among its rows")
        if table.shows is not None:
            rows = {**methods, **content.ablations}
            faults += [
                f"table {name}: {row} has no {table.shows}"
                for row in table.rows
                if row in rows and not table.shows.startswith(f"{rows[row].block}.")
            ]
    shown = {row for table in tables.values() for row in table.rows}
    faults += [f"{name} is in no table" for name in content.ablations if name not in shown]
    if faults:
        raise ParamsError(
            explain(
                path,
                expected="tables of rows that exist, and every ablation in one",
                found="; ".join(faults),
                remedy="see docs/tables.md",
            )
        )
    return Definitions(methods, content.ablations, tables)


def select_rows(definitions: Definitions, selection: TablesParams) -> list[str]:
    """Return the names of the rows that are trained.

    Raises
    ------
    ParamsError
        If an ablation is not defined.
    """
    unknown = [name for name in selection.ablations if name not in definitions.ablations]
    if unknown:
        raise ParamsError(
            explain(
                "tables.ablations",
                expected="names of ablations in tables/rows.yaml",
                found=", ".join(unknown),
                remedy=f"choose from {', '.join(definitions.ablations)}",
            )
        )
    methods = [f"{method}_{supervision}" for method in selection.methods for supervision in selection.supervisions]
    return [*methods, *selection.ablations]


def resolve_row(params: Params, name: str, row: RowDefinition, num_epochs: int | None) -> Params:
    """Return the params that a row is trained with, but for the seed.

    Parameters
    ----------
    params : Params
    name : str
        Of the row, for the error.
    row : RowDefinition
    num_epochs : int or None
        In place of the method's own, unless the row has one.

    Raises
    ------
    ParamsError
        If a change names a key that does not exist or that this row's training does not read, or its value is wrong.
    """
    subject = f"tables/rows.yaml, row {name}"
    readable = ["train.precision", *(["train.weak.background_clips"] if row.supervision == "weak" else [])]
    foreign = [key for key in row.changes if not key.startswith(f"{row.block}.") and key not in readable]
    if foreign:
        raise ParamsError(
            explain(
                subject,
                expected=f"keys that its training reads: {row.block}.…, {', '.join(readable)}",
                found=", ".join(foreign),
                remedy="mend the row",
            )
        )
    changes: dict[str, Any] = {"train.method": row.method, "train.supervision": row.supervision}
    if num_epochs is not None:
        changes[f"{row.block}.num_epochs"] = num_epochs
    return override(params, {**changes, **row.changes}, subject=subject)


def values_of(params: Params) -> dict[str, Any]:
    """Return every value that the result of a training depends on, but for the seed, by its dotted key."""
    train = params.train
    block = f"train.{train.method}.{train.supervision}."
    weak = {"train.weak.background_clips": train.weak.background_clips} if train.supervision == "weak" else {}
    return {
        "train.method": train.method,
        "train.supervision": train.supervision,
        "train.precision": train.precision,
        **weak,
        **flatten(train.settings.model_dump(), block),
    }

"""``tables/rows.yaml``: the rows that can be trained, and the tables that show them.

The rows of methods are there without being listed: ``<method>_<supervision>``, such as ``psp_full``, with the authors'
recipe, and ``<method>_<supervision>_common`` with the common one where that is another. Every other row is an ablation:
a method with some of its settings replaced.

One file has the rows of both tasks. A row is of its method's task, a table of its base's; the file is validated as a
whole, and a run knows those of its own task, ``dataset.task``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, Field

from pipeline.core.errors import ParamsError, explain
from pipeline.core.sections import RowName, Section, flatten, load_section
from pipeline.methods.recipe import RecipeName
from pipeline.methods.registry import METHODS, methods_of
from pipeline.methods.settings import Schedule, Supervision, Task
from pipeline.params.overriding import override
from pipeline.params.schema import Params, ParsingEvaluateParams, TablesParams

_TASKS: tuple[Task, ...] = get_args(Task)
_SUPERVISIONS: tuple[Supervision, ...] = get_args(Supervision)


def _known_method(name: str) -> str:
    if name not in METHODS:
        raise ValueError(" | ".join(METHODS))
    return name


def may_add_background(task: Task, supervision: Supervision) -> bool:
    """Tell whether a training reads ``train.weak.background_clips``: in parsing there are no such clips."""
    return task == "localization" and supervision == "weak"


class RowDefinition(Section):
    """A method with its authors' recipe, and with some of its settings replaced."""

    method: Annotated[str, AfterValidator(_known_method)]
    supervision: Supervision
    label: Annotated[str, Field(min_length=1)]
    changes: dict[str, Any]

    @property
    def task(self) -> Task:
        """The task of its method."""
        return METHODS[self.method].task

    @property
    def block(self) -> str:
        """The key under which the method's settings stand."""
        return f"train.{self.method}.{self.supervision}"

    @property
    def recipe(self) -> RecipeName:
        """The recipe that this row is trained with: its authors', whatever ``params.yaml`` says, or the common one."""
        return "common" if self.changes.get("train.recipe") == "common" else "authors"

    @property
    def schedule_block(self) -> str:
        """The key under which the schedule stands that this row is trained with."""
        return f"train.common.{self.supervision}" if self.recipe == "common" else self.block

    @property
    def shared_keys(self) -> list[str]:
        """The keys outside of the two blocks that its training or its scores depend on."""
        of_weak = ["train.weak.background_clips"] if may_add_background(self.task, self.supervision) else []
        of_parsing = ["evaluate.gate"] if self.task == "parsing" else []
        return ["train.recipe", "train.initialisation", "train.precision", *of_weak, *of_parsing]

    def reads(self, key: str) -> bool:
        """Tell whether a run of it reads a key: one of its schedule's in the block of the recipe alone."""
        place, _, name = key.rpartition(".")
        if name in Schedule.model_fields and place in (self.block, self.schedule_block):
            return place == self.schedule_block
        return key in self.shared_keys or key.startswith((f"{self.block}.", f"{self.schedule_block}."))


class _Table(Section):
    title: Annotated[str, Field(min_length=1)]
    base: RowName
    shows: str | None = None


class TableDefinition(_Table):
    """Rows that are shown together, and the one that the others are compared with.

    `shows` is the key of the setting that the table varies: rows that leave it alone are labelled with its value. A
    table `of_methods` has every row of a supervision's methods.
    """

    rows: list[RowName]
    of_methods: bool = False


class _TableEntry(_Table):
    """A table as the file has it; a supervision in the place of `rows` stands for every method of the base's task."""

    rows: Annotated[list[RowName], Field(min_length=1)] | Supervision

    def expanded(self, known: Mapping[str, RowDefinition]) -> TableDefinition:
        """Return the table with all of its rows, the base last where they are not listed; none if it is not known."""
        rows, of_methods = self.rows, isinstance(self.rows, str)
        if isinstance(rows, str):
            of_task = _rows_of_methods(known[self.base].task, rows) if self.base in known else {}
            rows = sorted(of_task, key=lambda name: name == self.base)
        return TableDefinition(title=self.title, base=self.base, shows=self.shows, rows=rows, of_methods=of_methods)


class _RowsFile(Section):
    ablations: dict[RowName, RowDefinition]
    tables: dict[RowName, _TableEntry]


@dataclass(frozen=True)
class Definitions:
    """All rows and tables of a task by name.

    Parameters
    ----------
    task : {"localization", "parsing"}
    methods, ablations : mapping of str to RowDefinition
    tables : mapping of str to TableDefinition
        In the order of the page.
    elsewhere : mapping of str to str
        The tasks of the rows that are of another.
    """

    task: Task
    methods: Mapping[str, RowDefinition]
    ablations: Mapping[str, RowDefinition]
    tables: Mapping[str, TableDefinition]
    elsewhere: Mapping[str, Task]

    @property
    def rows(self) -> dict[str, RowDefinition]:
        """Every row by name."""
        return {**self.methods, **self.ablations}

    def target(self, row: str, seed: int) -> str:
        """Return what DVC calls the stage that trains a row with a seed."""
        return f"tables/dvc.yaml:rows@{row}-{seed}"

    def row_of_method(self, row: RowDefinition) -> str:
        """Return the name of the method's own row that a row departs from."""
        name = f"{row.method}_{row.supervision}"
        common = f"{name}_common"
        return common if row.recipe == "common" and common in self.methods else name


def _rows_of_methods(task: Task, supervision: Supervision) -> dict[str, RowDefinition]:
    """Return the rows of a task's methods under a supervision, those with the common recipe behind the authors'."""
    rows = {}
    for name, method in methods_of(task).items():
        if supervision not in method.supervisions:
            continue
        row = RowDefinition(method=name, supervision=supervision, label=method.label, changes={})
        rows[f"{name}_{supervision}"] = row
        if method.has_own_recipe(supervision):
            common = {"label": f"{row.label}, common recipe", "changes": {"train.recipe": "common"}}
            rows[f"{name}_{supervision}_common"] = row.model_copy(update=common)
    return rows


def load_definitions(path: Path, task: Task) -> Definitions:
    """Read ``rows.yaml``, and return what is of a task.

    Raises
    ------
    ParamsError
        If a key is faulty, a table names a row that does not exist or is not of its base's task, or an ablation is in
        no table, of whatever task.
    """
    content = load_section(path, _RowsFile)
    methods = {
        name: row
        for each in _TASKS
        for supervision in _SUPERVISIONS
        for name, row in _rows_of_methods(each, supervision).items()
    }
    rows = {**methods, **content.ablations}
    tables = {name: table.expanded(rows) for name, table in content.tables.items()}
    faults = [f"{name} is a method's own row" for name in content.ablations if name in methods]
    for name, table in tables.items():
        faults += [f"table {name}: {fault}" for fault in _faults_of(table, rows)]
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
    return Definitions(
        task,
        {name: row for name, row in methods.items() if row.task == task},
        {name: row for name, row in content.ablations.items() if row.task == task},
        {name: table for name, table in tables.items() if rows[table.base].task == task},
        {name: row.task for name, row in rows.items() if row.task != task},
    )


def _faults_of(table: TableDefinition, rows: Mapping[str, RowDefinition]) -> list[str]:
    """Return what is wrong with a table, given the rows of all tasks."""
    faults = [f"no row is called {name}" for name in table.rows if name not in rows]
    if table.base not in table.rows:
        faults.append(f"its base {table.base} is not among its rows")
    known = {name: rows[name] for name in table.rows if name in rows}
    if table.base in known:
        task = known[table.base].task
        faults += [f"{name} is of {row.task}, its base of {task}" for name, row in known.items() if row.task != task]
    if table.shows is not None:
        faults += [f"{name} has no {table.shows}" for name, row in known.items() if not row.reads(table.shows)]
    return faults


def select_rows(definitions: Definitions, selection: TablesParams) -> list[str]:
    """Return the names of the rows that are trained.

    Raises
    ------
    ParamsError
        If a row does not exist, or is of another task.
    """
    rows = definitions.rows
    elsewhere = [
        f"{name} (of {definitions.elsewhere[name]})" for name in selection.rows if name in definitions.elsewhere
    ]
    if elsewhere:
        raise ParamsError(
            explain(
                "tables.rows",
                expected=f"rows of {definitions.task}, as dataset.task is",
                found=", ".join(elsewhere),
                remedy="take them out, or use a data set of their task",
            )
        )
    unknown = [name for name in selection.rows if name not in rows]
    if unknown:
        near = dict.fromkeys(match for name in unknown for match in get_close_matches(name, rows))
        raise ParamsError(
            explain(
                "tables.rows",
                expected="rows of methods, or of tables/rows.yaml",
                found=", ".join(unknown),
                remedy=f"choose from {', '.join(near or rows)}",
            )
        )
    return selection.rows


def resolve_row(params: Params, name: str, row: RowDefinition, num_epochs: int | None) -> Params:
    """Return the params that a row is trained with, but for the seed.

    Parameters
    ----------
    params : Params
    name : str
        Of the row, for the error.
    row : RowDefinition
    num_epochs : int or None
        In place of the recipe's own, unless the row has one.

    Raises
    ------
    ParamsError
        If a change names a key that does not exist or that this row's training does not read, or its value is wrong.
    """
    subject = f"tables/rows.yaml, row {name}"
    blocks = dict.fromkeys([f"{row.block}.…", f"{row.schedule_block}.…"])
    foreign = [key for key in row.changes if not row.reads(key)]
    if foreign:
        raise ParamsError(
            explain(
                subject,
                expected=f"keys that its training reads: {', '.join([*blocks, *row.shared_keys])}",
                found=", ".join(foreign),
                remedy="mend the row",
            )
        )
    changes: dict[str, Any] = {
        "train.method": row.method,
        "train.supervision": row.supervision,
        "train.recipe": row.recipe,
        **({"evaluate.gate": "authors"} if row.task == "parsing" else {}),
    }
    if num_epochs is not None:
        changes[f"{row.schedule_block}.num_epochs"] = num_epochs
    return override(params, {**changes, **row.changes}, subject=subject)


def values_of(params: Params) -> dict[str, Any]:
    """Return every value that the scores of a training depend on, but for the seed, by its dotted key."""
    train = params.train
    settings = train.settings.model_dump()
    schedule = {name: settings.pop(name) for name in Schedule.model_fields}
    adds_background = may_add_background(params.dataset.task, train.supervision)
    weak = {"train.weak.background_clips": train.weak.background_clips} if adds_background else {}
    return {
        "train.method": train.method,
        "train.supervision": train.supervision,
        "train.recipe": train.recipe,
        "train.initialisation": train.initialisation,
        "train.precision": train.precision,
        **weak,
        **flatten(settings, f"train.{train.method}.{train.supervision}."),
        **flatten(schedule, f"train.{train.schedule_block}."),
        **({"evaluate.gate": params.evaluate.gate} if isinstance(params.evaluate, ParsingEvaluateParams) else {}),
    }

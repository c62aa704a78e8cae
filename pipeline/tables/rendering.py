"""The tables, written in every format from the runs that exist."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.core.files import write_csv, write_text
from pipeline.params.schema import Params
from pipeline.tables.building import Results, build_table, describe_caveats
from pipeline.tables.definitions import Definitions, select_rows
from pipeline.tables.formats.latex import to_latex
from pipeline.tables.formats.markdown import to_markdown
from pipeline.tables.formats.page import to_page
from pipeline.tables.listing import build_reported
from pipeline.tables.metrics import EXPLANATIONS, METRICS
from pipeline.tables.plans import Plan
from pipeline.tables.published import comparable, find_differences
from pipeline.tables.reported import ReportedNumber
from pipeline.tables.scores import RowScores, score_row
from pipeline.tables.table import Table

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render_tables(
    *,
    params: Params,
    definitions: Definitions,
    plans: Mapping[str, Plan],
    reported: Sequence[ReportedNumber],
    runs: Path,
    output: Path,
) -> None:
    """Write ``index.html`` with all tables, and each as ``<name>.md``, ``.tex`` and ``.csv``.

    Parameters
    ----------
    params : Params
    definitions : Definitions
        Of the task of `params`.
    plans : mapping of str to Plan
    reported : sequence of ReportedNumber
    runs : Path
        Folder with a folder ``<row>-<seed>`` per run.
    output : Path

    Raises
    ------
    PipelineError
        If a record is damaged, or rows were scored on different videos.
    """
    rows = select_rows(definitions, params.tables)
    metrics = METRICS[definitions.task]
    scores = {row: score_row(row, runs, params.tables.seeds, metrics, params.evaluate) for row in rows}
    differences = find_differences(plans, definitions, [definitions.rows[row] for row in rows])
    results = Results(definitions, plans, scores, comparable(reported, params), differences, params.evaluate)
    caveats = describe_caveats(params, scores)
    if differences:
        caveats.append("Other training settings than the published ones; the notes below each table list them.")
    built = [build_table(name, table, results) for name, table in definitions.tables.items()]
    tables = [table for table in built if table is not None]
    others = [
        build_reported("published", "Published numbers", [number for number in reported if number.kind == "published"]),
        build_reported("reruns", "What others got on rerunning", [n for n in reported if n.kind == "rerun"]),
    ]
    for table in tables:
        _write(table, caveats, output)
    for table in others:
        _write(table, [], output)
    title = f"Tables on {params.dataset.name}"
    retry = retry_command(definitions, list(scores.values()))
    page = to_page(title, caveats, retry, [*tables, *others], EXPLANATIONS[definitions.task])
    write_text(output / "index.html", page)


def retry_command(definitions: Definitions, scores: Sequence[RowScores]) -> str:
    """Return the command that tries the runs without a score again; empty if there are none."""
    targets = [definitions.target(row.row, hole.seed) for row in scores for hole in row.holes]
    if not targets:
        return ""
    return f"dvc repro --force --single-item {' '.join(targets)} && dvc repro tables/dvc.yaml"


def _write(table: Table, caveats: Sequence[str], output: Path) -> None:
    write_text(output / f"{table.name}.md", to_markdown(table, caveats))
    write_text(output / f"{table.name}.tex", to_latex(table, caveats))
    rows = [{key: _cell(value) for key, value in row.items()} for row in table.values]
    write_csv(output / f"{table.name}.csv", list(table.values[0]), rows)


def _cell(value: object) -> object:
    """Return a value that no spreadsheet takes for a formula: other texts than numbers get an apostrophe in front."""
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value

"""All tables as one HTML page that needs nothing else."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from markupsafe import Markup

from pipeline.drawing.pages import load_template
from pipeline.tables.table import Table


def to_page(title: str, caveats: Sequence[str], retry: str, tables: Sequence[Table], explanation: str) -> str:
    """Return the page.

    Parameters
    ----------
    title : str
    caveats : sequence of str
        What must be known before a number is quoted.
    retry : str
        The command that tries failed runs again; empty if there are none.
    tables : sequence of Table
    explanation : str
        What the numbers are.
    """
    template = load_template("pipeline.tables", "formats", "page.html.j2", groups=_groups)
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    return template.render(
        style=Markup(style), title=title, caveats=caveats, retry=retry, tables=tables, explanation=explanation
    )


def _groups(table: Table) -> list[tuple[str, int]]:
    """Return the headings that several columns share, each with their number."""
    return [(group, len(list(columns))) for group, columns in groupby(table.columns, key=lambda column: column.group)]

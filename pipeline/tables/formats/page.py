"""All tables as one HTML page that needs nothing else."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.tables.building import Table


def to_page(title: str, caveats: Sequence[str], retry: str, tables: Sequence[Table]) -> str:
    """Return the page.

    Parameters
    ----------
    title : str
    caveats : sequence of str
        What must be known before a number is quoted.
    retry : str
        The command that tries failed runs again; empty if there are none.
    tables : sequence of Table
    """
    environment = Environment(
        loader=PackageLoader("pipeline.tables", "formats"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["groups"] = _groups
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        style=Markup(style), title=title, caveats=caveats, retry=retry, tables=tables
    )


def _groups(table: Table) -> list[tuple[str, int]]:
    """Return the headings that several columns share, each with their number."""
    return [(group, len(list(columns))) for group, columns in groupby(table.columns, key=lambda column: column.group)]

"""Tables as GitHub's Markdown."""

import re
from collections.abc import Iterator, Sequence

from pipeline.tables.table import Table

_SPECIAL = re.compile(r"([\\`*_{}\[\]|~$#])")


def escape(text: str) -> str:
    r"""Return text that Markdown shows as it is, in one line.

    >>> print(escape("a|b <i> *c*"))
    a\|b &lt;i&gt; \*c\*
    """
    line = " ".join(text.split())
    return _SPECIAL.sub(r"\\\1", line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def to_markdown(table: Table, caveats: Sequence[str]) -> str:
    """Return a table with its caveats above and its comparisons and notes below."""
    headings = [f"{column.group}: {column.heading}" if column.group else column.heading for column in table.columns]
    lines = [
        f"## {escape(table.title)}",
        "",
        *(f"> **{escape(caveat)}**\n>" for caveat in caveats[:-1]),
        *(f"> **{escape(caveat)}**\n" for caveat in caveats[-1:]),
        _line(headings),
        f"| {' | '.join('---:' if column.is_number else '---' for column in table.columns)} |",
        *_body(table),
    ]
    for items in (table.sentences, table.notes):
        lines += ["", *(f"- {escape(item)}" for item in items)] if items else []
    return "\n".join(lines) + "\n"


def _body(table: Table) -> Iterator[str]:
    for number, cells in enumerate(table.lines):
        if number in table.headings:
            yield f"| **{escape(table.headings[number])}** {'|  ' * (len(cells) - 1)}|"
        yield _line(cells)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(escape, cells))} |"

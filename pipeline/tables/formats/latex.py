"""Tables as LaTeX, for the package booktabs."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from pipeline.tables.table import Column, Table

_ESCAPED = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # after \\ it would begin an option
    "]": "{]}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "†": r"$^{\dagger}$",
    "‡": r"$^{\ddagger}$",
    "…": r"\ldots{}",
    "×": r"$\times$",
    "τ": r"$\tau$",
}


def escape(text: str) -> str:
    r"""Return text that LaTeX shows as it is, in one line.

    >>> print(escape("50 % of_a 78.6†"))
    50 \% of\_a 78.6$^{\dagger}$
    """
    return "".join(_ESCAPED.get(character, character) for character in " ".join(text.split()))


def to_latex(table: Table, caveats: Sequence[str]) -> str:
    """Return a ``table`` with a booktabs ``tabular``; caveats, comparisons and notes stand in small print below.

    One with a column per score takes the width of the page, whatever its type is then set in.
    """
    is_wide = bool(table.headings)
    environment = "table*" if is_wide else "table"
    alignment = "".join("r" if column.is_number else "l" for column in table.columns)
    lines = [
        r"% \usepackage{booktabs, graphicx}" if is_wide else r"% \usepackage{booktabs}",
        rf"\begin{{{environment}}}",
        r"  \centering",
        rf"  \caption{{{escape(table.title)}}}",
        rf"  \label{{tab:{table.name.replace('_', '-')}}}",
        *([r"  \resizebox{\textwidth}{!}{%"] if is_wide else []),
        rf"  \begin{{tabular}}{{{alignment}}}",
        r"    \toprule",
        *_groups(table.columns),
        f"    {' & '.join(escape(column.heading) for column in table.columns)} \\\\",
        r"    \midrule",
        *_body(table),
        r"    \bottomrule",
        r"  \end{tabular}}" if is_wide else r"  \end{tabular}",
        *(rf"  \par\smallskip{{\footnotesize {escape(item)}}}" for item in (*caveats, *table.sentences, *table.notes)),
        rf"\end{{{environment}}}",
    ]
    return "\n".join(lines) + "\n"


def _body(table: Table) -> Iterator[str]:
    """Yield the lines, indented where they say more of the one above, and the headings between them."""
    for number, cells in enumerate(table.lines):
        if number in table.headings:
            yield from ([r"    \midrule"] if number else [])
            yield rf"    \multicolumn{{{len(cells)}}}{{l}}{{\emph{{{escape(table.headings[number])}}}}} \\"
        escaped = [escape(cell) for cell in cells]
        if number in table.details:
            escaped = [rf"\quad {escaped[0]}", *escaped[1:]]
        yield f"    {' & '.join(escaped)} \\\\"


def _groups(columns: Sequence[Column]) -> Iterator[str]:
    """Yield the line of headings that several columns share, and the rules under them."""
    if not any(column.group for column in columns):
        return
    cells, rules, position = [], [], 1
    for group, members in groupby(columns, key=lambda column: column.group):
        width = len(list(members))
        if group:
            cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(group)}}}")
            rules.append(rf"\cmidrule(lr){{{position}-{position + width - 1}}}")
        else:
            cells += [""] * width
        position += width
    yield f"    {' & '.join(cells)} \\\\"
    yield f"    {' '.join(rules)}"

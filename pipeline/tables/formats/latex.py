"""Tables as LaTeX, for the package booktabs."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from pipeline.tables.building import Column, Table

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
    """Return a ``table`` with a booktabs ``tabular``; caveats, comparisons and notes stand in small print below."""
    rows = zip(*(column.cells for column in table.columns), strict=True)
    alignment = "".join("r" if column.is_number else "l" for column in table.columns)
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape(table.title)}}}",
        rf"  \label{{tab:{table.name.replace('_', '-')}}}",
        rf"  \begin{{tabular}}{{{alignment}}}",
        r"    \toprule",
        *_groups(table.columns),
        f"    {' & '.join(escape(column.heading) for column in table.columns)} \\\\",
        r"    \midrule",
        *(f"    {' & '.join(map(escape, row))} \\\\" for row in rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        *(rf"  \par\smallskip{{\footnotesize {escape(item)}}}" for item in (*caveats, *table.sentences, *table.notes)),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


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

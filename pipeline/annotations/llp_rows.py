"""The files of LLP, line by line: values separated by tabs below a header, nothing quoted, nothing trimmed."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.annotations.rules import Faults, read_text
from pipeline.core.errors import AnnotationError, explain, shorten


def read_tab_rows(path: Path, columns: Sequence[str], *, remedy: str) -> list[tuple[int, tuple[str, ...]]]:
    """Return line number, from 1, and values of each row.

    Parameters
    ----------
    path : Path
    columns : sequence of str
        The header.
    remedy : str
        What to do about a file that is missing or of another form.

    Raises
    ------
    AnnotationError
        If the file is missing, is not UTF-8, has another header, no rows, or rows with more or fewer values.
    """
    header, *lines = read_text(path, remedy=remedy).split("\n")
    if tuple(header.split("\t")) != tuple(columns):
        raise AnnotationError(
            explain(
                path,
                expected=f"the header {', '.join(columns)}, separated by tabs",
                found=shorten(header) if header else "an empty line",
                remedy=remedy,
            )
        )
    while lines and not lines[-1].strip():
        lines.pop()
    faults = Faults(path)
    rows = []
    for number, line in enumerate(lines, start=2):
        values = tuple(line.split("\t"))
        if len(values) == len(columns):
            rows.append((number, values))
        else:
            faults.add(
                number,
                expected=f"{len(columns)} values, separated by tabs",
                found=f"{len(values)}, {shorten(line)}",
                remedy=remedy,
            )
    faults.raise_if_any()
    if not rows:
        raise AnnotationError(explain(path, expected="rows below the header", found="none", remedy=remedy))
    return rows

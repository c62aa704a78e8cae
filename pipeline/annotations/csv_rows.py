"""Tables of comma-separated values as people write them: columns in any order, empty lines, spaces around values."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.annotations.rules import Faults, fault_of_id, fault_of_path, read_text
from pipeline.core.errors import AnnotationError, explain, shorten

_SUFFIX = re.compile(r"(?<=[^/])\.[^./]*$")


def read_csv_rows(
    path: Path, columns: Sequence[str], faults: Faults, *, others_allowed: bool, remedy: str
) -> list[tuple[int, dict[str, str]]]:
    """Return line number and values, by column, of each row with the right number of values; note the others.

    Parameters
    ----------
    path : Path
    columns : sequence of str
        Each stands in the header once.
    faults : Faults
        Gets the rows with more or fewer values than the header.
    others_allowed : bool
        Whether the header may have further columns.
    remedy : str
        What to do about a file that is missing or no such table.

    Raises
    ------
    AnnotationError
        If the file is missing, is not UTF-8, has another header or is not made of comma-separated values.
    """
    reader = csv.reader(io.StringIO(read_text(path, remedy=remedy), newline=""), skipinitialspace=True, strict=True)
    rows: list[tuple[int, dict[str, str]]] = []
    header: list[str] = []
    try:
        for values in reader:
            values = [value.strip() for value in values]
            if not any(values):
                continue
            if not header:
                header = values
                _require_header(path, header, columns, others_allowed=others_allowed)
            elif len(values) != len(header):
                faults.add(
                    reader.line_num,
                    expected=f"{len(header)} values",
                    found=f"{len(values)}",
                    remedy="put values that hold a comma in double quotes",
                )
            else:
                rows.append((reader.line_num, dict(zip(header, values, strict=True))))
    except csv.Error as error:
        raise AnnotationError(
            explain(f"{path} line {reader.line_num}", expected="comma-separated values", found=error, remedy=remedy)
        ) from error
    if not header:
        _require_header(path, header, columns, others_allowed=others_allowed)
    return rows


def _require_header(path: Path, header: list[str], columns: Sequence[str], *, others_allowed: bool) -> None:
    each_once = all(header.count(column) == 1 for column in columns)
    if not each_once or (len(header) > len(columns) and not others_allowed):
        listed = (
            f"a header with each of {', '.join(columns)} once" if others_allowed else f"the header {','.join(columns)}"
        )
        raise AnnotationError(
            explain(
                path,
                expected=listed,
                found=shorten(",".join(header)) if header else "an empty file",
                remedy="write it as the first line, separated by commas",
            )
        )


def video_id_of(path: str) -> str:
    """Return the id of a clip that a table names by its path: without the suffix, with ``__`` for ``/``.

    >>> video_id_of("street/bus.mp4")
    'street__bus'
    """
    return _SUFFIX.sub("", path).replace("/", "__")


def check_path(line: int, path: str, faults: Faults) -> None:
    """Note a path that leaves the folder of the videos or can be no id."""
    if fault := fault_of_path(path) or fault_of_id(video_id_of(path)):
        faults.add(
            line,
            expected="a path relative to the folder of the videos",
            found=fault,
            remedy="write it as folder/video.mp4",
        )


def check_id(line: int, path: str, path_of_id: dict[str, str], faults: Faults) -> None:
    """Note a path of the same id as another; `path_of_id` holds those of the rows before, and gets this one."""
    other = path_of_id.setdefault(video_id_of(path), path)
    if other != path:
        faults.add(
            line,
            expected="paths that differ before the suffix (/ counts as __)",
            found=f"{shorten(path)} and {shorten(other)}",
            remedy="rename one of the videos",
        )


def check_split(line: int, split: str, splits: Sequence[str], faults: Faults) -> None:
    """Note a split that is none of `splits`."""
    if split not in splits:
        *first, last = splits
        faults.add(
            line,
            expected=f"split {', '.join(first)} or {last}",
            found=shorten(split) if split else "nothing",
            remedy="write one of them in lower case",
        )

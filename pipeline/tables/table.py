"""A table as text, before it becomes Markdown, LaTeX, CSV or HTML."""

from collections.abc import Mapping
from dataclasses import dataclass, field

NO_VALUE = "–"


@dataclass(frozen=True)
class Column:
    """One column: the heading it shares with its neighbours, its own, and a text per line; what kind of text."""

    group: str
    heading: str
    cells: tuple[str, ...]
    is_number: bool = True
    is_score: bool = False


@dataclass(frozen=True)
class Table:
    """A table for people, and its values for programs.

    Parameters
    ----------
    name : str
        Of its files.
    title : str
    columns : tuple of Column
    sentences : tuple of str
        How each row compares with the base.
    notes : tuple of str
    values : tuple of mapping
        A row of the CSV each.
    headings : mapping of int to str, optional
        Above the line of that number, from 0.
    details : frozenset of int, optional
        Lines that say more of the one above.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    values: tuple[Mapping[str, object], ...]
    headings: Mapping[int, str] = field(default_factory=dict)
    details: frozenset[int] = frozenset()

    @property
    def lines(self) -> list[tuple[str, ...]]:
        """The cells of each line."""
        return list(zip(*(column.cells for column in self.columns), strict=True))

"""Scores as they are written: rounded to what is worth reading."""


def blank(value: float | None) -> object:
    """Return what a cell of a table says: nothing where there is no value."""
    return "" if value is None else rounded(value)


def rounded(value: float | int) -> float | int:
    """Round to what is worth reading; whole numbers stay whole."""
    return value if isinstance(value, int) else round(value, 4)

"""Numbers, parameters and times as the page writes them."""

NO_VALUE = "–"
SPACE = "\N{NARROW NO-BREAK SPACE}"


def percent(value: float | None, digits: int = 1) -> str:
    """Return a number of percent as text, with a space that does not break; None is a dash."""
    return NO_VALUE if value is None else f"{value:.{digits}f}{SPACE}%"


def show_value(value: object) -> str:
    """Return a parameter as people write it.

    >>> [show_value(value) for value in (None, True, [10, 20], 0.0005, "cpsp")]
    ['–', 'yes', '10, 20', '0.0005', 'cpsp']
    """
    if value is None:
        return NO_VALUE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(show_value(item) for item in value) or "none"
    return str(value)


def show_seconds(value: float) -> str:
    """Return a time as text, with a space that does not break.

    >>> show_seconds(0.4712).replace(SPACE, " ")
    '0.471 s'
    """
    return f"{value:.3g}{SPACE}s"


def in_words(key: str) -> str:
    """Return a key of a file as words.

    >>> in_words("num_event_segments")
    'event segments'
    """
    return key.removeprefix("num_").replace("_", " ")

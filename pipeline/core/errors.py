"""The errors a user can cause, each one line: subject, expected, found, remedy.

Every error is a :class:`PipelineError` and, where one exists, also the built-in it resembles, so that callers
who know nothing of this package can still write ``except OSError``. What a file or a library says goes into a line only
as :func:`one_line` or :func:`shorten` leaves it: neither says how long it will be.
"""

MAX_LENGTH = 500
"""Characters of what a library says about its fault."""

MAX_PART_LENGTH = 2000
"""Characters of each part of an error message, whatever was found."""


class PipelineError(Exception):
    """A fault that the user can mend; stages and commands print it as one line, without a traceback."""


class ParamsError(PipelineError, ValueError):
    """``params.yaml`` holds a wrong, missing or unknown value."""


class AnnotationError(PipelineError, ValueError):
    """An annotation file, a split or the videos they name contradict what the format promises."""


class MediaError(PipelineError, OSError):
    """A video cannot be used, or only in part.

    Parameters
    ----------
    reason : str
        The code written to the ledger, one of :data:`pipeline.media.container.REASONS`.
    message : str
        One line for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type["MediaError"], tuple[str, str]]:
        """Pickle with the reason, which Python would leave out."""
        return type(self), (self.reason, str(self))


class WeightsError(PipelineError, OSError):
    """A weights file is missing, has another hash than expected, or does not fit the network."""


class ShardError(PipelineError, OSError):
    """A feature shard is missing, damaged, or was made by another recipe."""


class CheckpointError(PipelineError, ValueError):
    """Trained weights do not fit the network or the data set they are to be used with."""


class TrainingError(PipelineError, ArithmeticError):
    """Training cannot start or go on: an empty split, a loss that is not finite."""


def explain(subject: object, *, expected: object, found: object, remedy: str) -> str:
    """Return an error message: one line of subject, expectation, finding and remedy.

    >>> explain("train.seed", expected="an integer", found="'x'", remedy="write a whole number")
    "train.seed: expected an integer, found 'x'; write a whole number"
    """
    subject, expected, found = (_cut(str(part), MAX_PART_LENGTH) for part in (subject, expected, found))
    return f"{subject}: expected {expected}, found {found}; {remedy}"


def one_line(fault: object) -> str:
    r"""Return what `fault` says as one line of at most :data:`MAX_LENGTH` characters; its type if it says nothing.

    >>> one_line(OSError("no such file,\n  or no right to it"))
    'no such file, or no right to it'
    >>> one_line(TimeoutError())
    'TimeoutError'
    """
    return _cut(" ".join(str(fault).split()) or type(fault).__name__, MAX_LENGTH)


def shorten(text: str) -> str:
    """Return `text` quoted for a message: one line, control characters escaped, at most 60 characters."""
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}…"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"

"""``python -m pipeline`` and ``avel``: what people do beside ``dvc repro``."""

import sys

from pipeline.cli import app
from pipeline.core.errors import PipelineError


def main() -> None:
    """Run the command that the command line names; a user's mistake is one line on standard error.

    Raises
    ------
    SystemExit
        Always, with 1 after a :class:`PipelineError` or a file that cannot be read or written.
    """
    try:
        app()
    except PipelineError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {place}{error.strerror}")


if __name__ == "__main__":
    main()

"""``python -m pipeline``: what people do beside ``dvc repro``."""

import sys

from pipeline.cli import app
from pipeline.core.errors import PipelineError

if __name__ == "__main__":
    try:
        app()
    except PipelineError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {place}{error.strerror}")

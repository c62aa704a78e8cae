"""The stages of ``dvc.yaml``: parse paths, load params, call one function of ``pipeline``, write.

Every stage is run as ``python -m stages.<name>``. Faulty parameters stop it before any work; a user's mistake is
one line on standard error; a stage ends when the DVC process that started it ends, so that none keeps the GPU.
"""

import argparse
import logging
import sys
from collections.abc import Callable

from pipeline.core.errors import PipelineError
from pipeline.core.processes import end_with_parent
from pipeline.params.schema import Params, load_params


def run_stage(main: Callable[[argparse.Namespace, Params], None], parser: argparse.ArgumentParser) -> None:
    """Parse the command line, validate ``params.yaml``, run `main`; turn user errors into one line.

    Exits with 1 after a :class:`PipelineError`, a full disk or an unreadable file, with 130 after Ctrl-C.
    """
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if not end_with_parent():
        sys.exit("error: the process that started this stage has ended")
    try:
        main(arguments, load_params())
    except PipelineError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted; what is finished is kept, the same command goes on from there", file=sys.stderr)  # noqa: T201
        sys.exit(130)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {place}{error.strerror}; what is finished is kept, mend this and run the same command")

"""Work in a process of its own, so that one which is killed, as when memory runs out, takes nothing else along."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection

from pipeline.core.processes import describe_ending, end_with_run


def run_apart(work: Callable[[], None]) -> str:
    """Run `work` in a process of its own.

    Parameters
    ----------
    work : callable
        Importable by its name; :func:`functools.partial` gives it arguments.

    Returns
    -------
    str
        How the process was ended, by a signal or by itself; empty if `work` returned.

    Raises
    ------
    BaseException
        What `work` raised, also Ctrl-C.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(work, sender))
    process.start()
    sender.close()
    try:
        fault: BaseException | None = receiver.recv()
    except EOFError:  # It ended without a word.
        process.join()
        return describe_ending(process.exitcode)
    except BaseException:
        process.kill()
        raise
    finally:
        process.join()
    if fault is not None:
        raise fault
    return ""


def _work(work: Callable[[], None], sender: Connection) -> None:
    end_with_run()
    try:
        work()
    except BaseException as error:
        sender.send(error)
    else:
        sender.send(None)

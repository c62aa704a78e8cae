"""Processes: how many are worth starting, how they end with the one that needs them, and how one has ended."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import wait

_PR_SET_PDEATHSIG = 1


def end_with_parent(ending: signal.Signals = signal.SIGTERM) -> bool:
    """Ask Linux to send `ending` to this process when its parent dies; return whether the parent is still there.

    On other systems nothing is asked.
    """
    if sys.platform != "linux":
        return True
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ending)
    return os.getppid() == parent


def end_with_run() -> None:
    """Let this process of :mod:`multiprocessing` end when the run that started it does, however that was killed.

    It ends even if it hangs in a library. The kernel's signal does not serve here: under a fork server the parent is
    that server, which lives as long as its last process.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait_for_end() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait_for_end, daemon=True).start()


def begin_worker() -> None:
    """Let this process of :mod:`multiprocessing` take Ctrl-C from the run alone, which ends it, and end with the run.

    Ctrl-C reaches every process of a terminal; one that works for the run must not be the first to stop.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_run()


def num_processors() -> int:
    """Return how many processors this process may use, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_ending(exit_code: int | None) -> str:
    """Return how a process ended, in words that follow the process: "found it killed by SIGSEGV".

    Parameters
    ----------
    exit_code : int or None
        As :attr:`multiprocessing.Process.exitcode` has it: negative for a signal, None while the process runs.

    Examples
    --------
    >>> describe_ending(3)
    'ended with exit code 3'
    >>> describe_ending(-11)
    'killed by SIGSEGV'
    """
    if exit_code is None:
        return "still running"
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:  # one of Linux's real-time signals, which have no names
        name = f"signal {-exit_code}"
    return f"killed by {name}" + (": often memory had run out" if name == "SIGKILL" else "")


def is_running(pid: int) -> bool:
    """Return whether a process of this machine has the id `pid`."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

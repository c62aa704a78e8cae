"""Processes that do not outlive the one that needs them."""

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


def is_running(pid: int) -> bool:
    """Return whether a process of this machine has the id `pid`."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

"""Work in a process of its own; what is run is from the standard library, which the other process can import."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from pipeline.tables.apart import run_apart


def test_work_that_returns_leaves_no_word() -> None:
    assert run_apart(partial(time.sleep, 0)) == ""


def test_what_work_raises_comes_back() -> None:
    with pytest.raises(FileNotFoundError, match="/absent"):
        run_apart(partial(os.listdir, "/absent"))
    with pytest.raises(SystemExit, match="3"):
        run_apart(partial(sys.exit, 3))


def test_work_that_is_killed_says_by_what() -> None:
    assert run_apart(partial(signal.raise_signal, signal.SIGKILL)) == "killed by SIGKILL: often memory had run out"
    assert run_apart(partial(signal.raise_signal, signal.SIGABRT)) == "killed by SIGABRT"


def test_work_that_ends_its_process_says_so() -> None:
    assert run_apart(partial(os._exit, 3)) == "ended with exit code 3"


@pytest.fixture
def is_interruptible() -> Iterator[None]:
    """Ctrl-C does what it does in a terminal; a shell starts what it sends to the background without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("is_interruptible")
def test_an_interrupt_ends_the_work_too(tmp_path: Path) -> None:
    begun, finished = tmp_path / "begun", tmp_path / "finished"
    steps = f"import pathlib, time; pathlib.Path({str(begun)!r}).touch(); time.sleep(30)"
    work = partial(exec, f"{steps}; pathlib.Path({str(finished)!r}).touch()")
    main = threading.main_thread().ident

    def interrupt() -> None:
        while not begun.exists():
            time.sleep(0.02)
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run_apart(work)
    assert not finished.exists()
    assert multiprocessing.active_children() == []

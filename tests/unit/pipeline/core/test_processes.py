import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.core.processes import describe_ending, is_running, num_processors

ROOT = Path(__file__).resolve().parents[4]

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", '''
import os, signal, time
from pipeline.core.processes import end_with_parent
assert end_with_parent(signal.SIGKILL)
print(os.getpid(), flush=True)
time.sleep(60)
'''])
child.wait()
"""


def wait_for_end(pid):
    """Wait until a process has ended, for 4 s at the most; kill one that has not, and fail."""
    for _ in range(200):
        if not is_running(pid) or has_ended(pid):
            return
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    pytest.fail(f"process {pid} is still there")


def has_ended(pid):
    """Return whether only the entry of a process is left, which nobody has asked for its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be asked")
def test_a_process_ends_with_its_parent():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    assert is_running(child)
    parent.kill()
    parent.wait()
    wait_for_end(child)


def test_a_process_that_ended_is_not_running():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert not is_running(process.pid)
    assert is_running(os.getpid())


WORKER = """
import multiprocessing, os, signal, sys, time
from pipeline.core.processes import begin_worker

def work():
    begin_worker()
    signal.raise_signal(signal.SIGINT)
    print(os.getpid(), flush=True)
    time.sleep(60)

if __name__ == "__main__":
    process = multiprocessing.get_context(sys.argv[1]).Process(target=work)
    process.start()
    process.join()
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_worker_outlives_ctrl_c_but_not_the_run(method, tmp_path):
    script = tmp_path / "run.py"
    script.write_text(WORKER)
    run = subprocess.Popen(
        [sys.executable, script, method],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    worker = int(run.stdout.readline())
    assert is_running(worker)
    run.kill()
    run.wait()
    wait_for_end(worker)


def test_processors_are_counted_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert num_processors() == 3


@pytest.mark.parametrize(("found", "expected"), [(6, 6), (None, 1)])
def test_where_the_system_does_not_say_which_all_processors_count(monkeypatch, found, expected):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: found)
    assert num_processors() == expected


@pytest.mark.parametrize(
    ("exit_code", "ending"),
    [
        (0, "ended with exit code 0"),
        (3, "ended with exit code 3"),
        (-signal.SIGSEGV, "killed by SIGSEGV"),
        (-signal.SIGKILL, "killed by SIGKILL: often memory had run out"),
        (-40, "killed by signal 40"),
        (None, "still running"),
    ],
)
def test_an_ending_is_said_in_one_way(exit_code, ending):
    assert describe_ending(exit_code) == ending

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.core.processes import is_running

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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be asked")
def test_a_process_ends_with_its_parent():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    assert is_running(child)
    parent.kill()
    parent.wait()
    for _ in range(200):
        if not is_running(child) or Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":
            break
        time.sleep(0.02)
    else:
        os.kill(child, signal.SIGKILL)
        pytest.fail("the child is still there")


def test_a_process_that_ended_is_not_running():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert not is_running(process.pid)
    assert is_running(os.getpid())

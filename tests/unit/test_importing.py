"""Doctests import every module: that must do nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OF_OTHERS = ("LD_LIBRARY_PATH", "RAY_CLIENT_MODE")  # set by OpenCV and by Ray
IMPORT_ALL = f"""
import logging, os, pkgutil, random, signal, sys, threading
import numpy, torch
sys.path.insert(0, {str(ROOT)!r})

def state():
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    drawn = random.getstate(), str(numpy.random.get_state()), torch.get_rng_state().tolist()
    environment = {{name: value for name, value in os.environ.items() if name not in {OF_OTHERS}}}
    return environment, os.getcwd(), handlers, logging.getLogger().handlers[:], torch.get_num_threads(), drawn

before = state()
num_imported = 0
for package in ("pipeline", "models", "stages"):
    for module in pkgutil.walk_packages([os.path.join({str(ROOT)!r}, package)], package + "."):
        if not module.name.endswith("__main__"):
            __import__(module.name)
            num_imported += 1
assert num_imported > 100, num_imported
assert state() == before
assert threading.active_count() == 1, threading.enumerate()
"""


@pytest.mark.slow
def test_importing_every_module_does_nothing_else(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []

"""What every test obeys."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported: workers share the cores, and so do their children
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from multiprocessing.util import get_temp_dir
from pathlib import Path

import pytest
import torch

TESTS = Path(__file__).parent
SLOW_FOLDERS = ("browser", "pipeline")
"""Where DVC, Ray, a browser or real clips are at work."""


@pytest.fixture(scope="session", autouse=True)
def _short_names_of_sockets() -> None:
    """Settle where the fork server's sockets lie before a test changes the temporary folder: the first use does."""
    get_temp_dir()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow by its folder, and keep a class or module together where several processes share the tests."""
    for item in items:
        if item.path.is_relative_to(TESTS) and item.path.relative_to(TESTS).parts[0] in SLOW_FOLDERS:
            item.add_marker("slow")
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.parent.nodeid))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked ``gpu`` where there is none, or fail it where one was promised."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        if os.environ.get("AVEL_REQUIRE_GPU") == "1":
            pytest.fail("AVEL_REQUIRE_GPU=1, but there is no CUDA device", pytrace=False)
        pytest.skip("no CUDA device")

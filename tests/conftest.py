"""What every test obeys."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported: workers share the cores, and so do their children
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Any

import pytest
import torch

TESTS = Path(__file__).parent
SLOW_FOLDERS = ("browser", "pipeline")
"""Where DVC, Ray, a browser or real clips are at work."""
ONE_AT_A_TIME = {
    "tests/pipeline/test_ray.py",
    "tests/unit/pipeline/extraction/test_local_engine.py",
    "tests/unit/pipeline/tables/test_apart.py",
}
"""Files whose tests start, count and kill processes: no two of them at once."""
CASE_BY_CASE = {"tests/parity/test_recipe_training.py"}
"""Files that take long, whose tests share no more than what they make of the case that their parameters name first."""


@pytest.fixture(scope="session", autouse=True)
def _short_names_of_sockets() -> None:
    """Settle where the fork server's sockets lie before a test changes the temporary folder: the first use does."""
    get_temp_dir()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what is slow by its folder."""
    if item.path.relative_to(TESTS).parts[0] in SLOW_FOLDERS:
        item.add_marker("slow")


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Run single files in this process: workers would take longer to start than most of them run."""
    are_files = all(argument.split("::")[0].endswith(".py") for argument in config.args)
    return 0 if are_files and len(config.args) < 3 else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file or case together, for the fixtures they share, and the files of `ONE_AT_A_TIME`.

    A mark ``xdist_group`` would say the same, but xdist 3.8 does not see it under pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            if file in CASE_BY_CASE:
                return f"{file}[{nodeid.partition('[')[2].rstrip(']').split(':')[0]}"
            return "one at a time" if file in ONE_AT_A_TIME else file

    return ByFile(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked ``gpu`` where there is none, or fail it where one was promised."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        if os.environ.get("AVEL_REQUIRE_GPU") == "1":
            pytest.fail("AVEL_REQUIRE_GPU=1, but there is no CUDA device", pytrace=False)
        pytest.skip("no CUDA device")

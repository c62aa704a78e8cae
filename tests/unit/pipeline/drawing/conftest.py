import runpy
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Path]:
    """Return what the tests of the report write their clips with."""
    return runpy.run_path(str(Path(__file__).parents[1] / "report/conftest.py"))["write_clip"]

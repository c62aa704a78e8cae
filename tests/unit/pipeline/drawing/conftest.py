import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def of_report() -> dict[str, Any]:
    """Return what the tests of the report make their clips and runs with."""
    return runpy.run_path(str(Path(__file__).parents[1] / "report/conftest.py"))


@pytest.fixture(scope="session")
def make_clip(of_report: dict[str, Any]) -> Callable[..., Path]:
    """Return a writer of clips."""
    return of_report["write_clip"]


@pytest.fixture(scope="session")
def make_fake_run(of_report: dict[str, Any]) -> Callable[..., Any]:
    """Return a writer of finished runs."""
    return of_report["make_fake_run"]

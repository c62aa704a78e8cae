from collections.abc import Callable
from pathlib import Path

import pytest

from avel_testing import fake_runs


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Path]:
    """Return a writer of clips."""
    return fake_runs.write_clip


@pytest.fixture(scope="session")
def make_fake_run() -> Callable[..., fake_runs.FakeRun]:
    """Return a writer of finished runs."""
    return fake_runs.make_fake_run

from collections.abc import Callable
from pathlib import Path

import pytest

from avel_testing.fake_runs import write_clip


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Path]:
    """Return what the tests of the report write their clips with."""
    return write_clip

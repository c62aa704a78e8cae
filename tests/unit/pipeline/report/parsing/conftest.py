from collections.abc import Callable
from pathlib import Path

import pytest

from avel_testing.fake_parsing_runs import make_fake_parsing_run
from avel_testing.fake_runs import FakeRun
from pipeline.report.parsing.inputs import load_run
from pipeline.report.parsing.run import ParsingRun


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., FakeRun]:
    """Return a function that writes a run of parsing; options as :func:`make_fake_parsing_run`."""
    return lambda *args, **options: make_fake_parsing_run(tmp_path, *args, **options)


@pytest.fixture(scope="module")
def run_with_media(tmp_path_factory: pytest.TempPathFactory) -> FakeRun:
    """Return a run of parsing that no test changes."""
    return make_fake_parsing_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def run(run_with_media: FakeRun) -> ParsingRun:
    """Return the same run, read."""
    return load_run(params=run_with_media.params, **run_with_media.folders)

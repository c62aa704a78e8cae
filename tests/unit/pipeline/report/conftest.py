from collections.abc import Callable
from pathlib import Path

import pytest

from avel_testing.fake_runs import FakeRun, make_fake_run, write_clip
from avel_testing.pages import Page


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., FakeRun]:
    """Return a function that writes a run into `tmp_path`; options as :func:`make_fake_run`."""
    return lambda *args, **options: make_fake_run(tmp_path, *args, **options)


@pytest.fixture(scope="module")
def run_with_media(tmp_path_factory: pytest.TempPathFactory) -> FakeRun:
    """Return a run that no test changes."""
    return make_fake_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def make_clip() -> Callable[..., Path]:
    """Return :func:`write_clip`."""
    return write_clip


@pytest.fixture(scope="session")
def read_page() -> type[Page]:
    """Return :class:`Page`."""
    return Page


@pytest.fixture(scope="module")
def text(run_with_media: FakeRun) -> str:
    """Return the page of a run that no test changes."""
    return run_with_media.build()


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    """Return the same page, read."""
    return Page(text)

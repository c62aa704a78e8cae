import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest


@pytest.fixture
def peak_of_at_most() -> Callable[[int], AbstractContextManager[None]]:
    """Return a context in which no more than so many bytes may be taken."""

    @contextmanager
    def peak(num_bytes: int) -> Iterator[None]:
        tracemalloc.start()
        try:
            yield
            assert tracemalloc.get_traced_memory()[1] < num_bytes
        finally:
            tracemalloc.stop()

    return peak

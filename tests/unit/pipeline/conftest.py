"""Media files to test with, and what the decoders of both modalities make of a file."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from avel_testing.corpus import CORPUS, NUM_SEGMENTS, SAMPLES_PER_SEGMENT, CorpusFile
from avel_testing.media_files import number_in, picture_of, second_in, sound_of, write_media
from avel_testing.spoiling import packets
from pipeline.core.errors import MediaError
from pipeline.features.audio.patches import PatchDecoder
from pipeline.features.decoding import Prepared
from pipeline.features.visual.frames import FrameDecoder
from pipeline.media.segments import NO_FRAME
from pipeline.store.manifest import VideoFile


@pytest.fixture(scope="session")
def media() -> SimpleNamespace:
    """Return what makes and reads media files."""
    return SimpleNamespace(
        write=write_media,
        number_in=number_in,
        sound_of=sound_of,
        picture_of=picture_of,
        packets=packets,
    )


@pytest.fixture(scope="session")
def corpus() -> dict[str, CorpusFile]:
    """Return the awkward files by name."""
    return {entry.name: entry for entry in CORPUS}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for an `awkward_file` with each of the corpus."""
    if "awkward_file" in metafunc.fixturenames:
        metafunc.parametrize("awkward_file", CORPUS, ids=[entry.name for entry in CORPUS])


@pytest.fixture(scope="session")
def visual() -> Callable[..., Prepared]:
    """Return what the visual recipe's decoder makes of a file."""
    decoders = {
        sampling: FrameDecoder(
            num_segments=NUM_SEGMENTS,
            segment_seconds=1.0,
            frames_per_segment=SAMPLES_PER_SEGMENT,
            sampling=sampling,
            image_size=96,
        )
        for sampling in ("time", "frames")
    }
    return lambda path, sampling="time": decoders[sampling](path)


@pytest.fixture(scope="session")
def audio() -> Callable[[Path], Prepared]:
    """Return what the audio recipe's decoder makes of a file."""
    return PatchDecoder(num_segments=NUM_SEGMENTS, segment_seconds=1.0, alignment="segment")


@pytest.fixture(scope="session")
def numbers_in() -> Callable[..., list[list[int]]]:
    """Return a reader of the picture numbers (T, K) that a prepared video delivers; -1 where it delivers none."""

    def read(prepared: Prepared, quarter_turns: int = 0) -> list[list[int]]:
        pictures = [np.rot90(image.transpose(1, 2, 0), quarter_turns) for image in np.asarray(prepared.inputs)]
        numbers = [number_in(picture) for picture in pictures]
        return [[NO_FRAME if row == NO_FRAME else numbers[row] for row in segment] for segment in prepared.rows]

    return read


@pytest.fixture(scope="session")
def seconds_in() -> Callable[[Prepared], list[int]]:
    """Return a reader of the second that each segment of a prepared file's sound delivers; -1 where it has none."""

    def read(prepared: Prepared) -> list[int]:
        seconds = [second_in(patch) for patch in np.asarray(prepared.inputs)]
        return [NO_FRAME if row == NO_FRAME else seconds[row] for (row,) in prepared.rows]

    return read


@pytest.fixture(autouse=True)
def _own_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test away from the repository's own ``data/.work`` and ``data/weights``."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "repository"))


class OneByOne:
    """Stands for the pool of decoding processes, see test_decode_pool.py: decodes here, one after the other."""

    def __init__(self, decoder: Callable[[Path], Prepared], raw: Path, **_: Any) -> None:
        self._decoder, self._raw = decoder, raw

    def __enter__(self) -> "OneByOne":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def decode(self, videos: Iterable[VideoFile]) -> Iterator[tuple[VideoFile, Prepared | MediaError]]:
        for video in videos:
            try:
                yield video, self._decoder(self._raw / video.path)
            except MediaError as error:
                yield video, error


@pytest.fixture
def decode_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode in the process of the test."""
    monkeypatch.setattr("pipeline.extraction.worker.DecodePool", OneByOne)

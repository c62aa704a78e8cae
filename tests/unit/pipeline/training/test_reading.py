import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import PipelineError, ShardError
from pipeline.core.processes import is_running
from pipeline.store.shards import ShardRow, write_shard
from pipeline.training import reading as module
from pipeline.training.reading import PIECE, PIECES_AHEAD, FeatureFiles, FeatureReader, Reader, ReaderPool

ROOT = Path(__file__).resolve().parents[4]
NUM_VIDEOS = 70


def write_features(folder: Path, *, shape: tuple[int, ...], dtype: str, shard_size: int, factor: int) -> FeatureFiles:
    """Write shards in which all features of the video at a place are `factor` times the place."""
    paths, starts = [], list(range(0, NUM_VIDEOS, shard_size))
    for start in starts:
        rows = [
            ShardRow(f"v{place}", "0" * 64, np.full(shape, factor * place, dtype), np.ones(shape[0], bool))
            for place in range(start, min(start + shard_size, NUM_VIDEOS))
        ]
        paths.append(folder / f"shard-{start:05d}.h5")
        write_shard(paths[-1], rows, {})
    return FeatureFiles(tuple(paths), tuple(starts), NUM_VIDEOS, shape, np.dtype(dtype))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[FeatureFiles, FeatureFiles]:
    return (
        write_features(tmp_path / "visual", shape=(4, 3, 2), dtype="float16", shard_size=8, factor=1),
        write_features(tmp_path / "audio", shape=(4, 5), dtype="float32", shard_size=16, factor=-2),
    )


@pytest.fixture(params=[0, 1, 3])
def reader(request: pytest.FixtureRequest, folders: tuple) -> Iterator[Reader | ReaderPool]:
    made = ReaderPool(folders, num_workers=request.param) if request.param else Reader(folders)
    yield made
    made.close()


def read(reader: Reader | ReaderPool, batches: list[list[int]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return all features of batches in which the audio is of the place before the picture's."""
    done, sizes = [], iter(map(len, batches))
    batch = None
    for piece, (visual, audio) in reader.read([[batch, [place - 1 for place in batch]] for batch in batches]):
        if batch is None:
            size = next(sizes)
            batch = np.full((size, 4, 3, 2), np.nan, np.float16), np.full((size, 4, 5), np.nan, np.float32)
        batch[0][piece.positions], batch[1][piece.positions] = visual, audio
        if piece.is_last:
            done.append(batch)
            batch = None
    return done


def assert_features_of(read_batches: list, batches: list[list[int]]) -> None:
    assert len(read_batches) == len(batches)
    for (visual, audio), places in zip(read_batches, batches, strict=True):
        assert [set(features.ravel()) for features in visual] == [{place} for place in places]
        assert [set(features.ravel()) for features in audio] == [{-2 * (place - 1)} for place in places]


def wait_for_end(process_ids: list[int]) -> None:
    for _ in range(500):
        if not any(map(has_not_ended, process_ids)):
            return
        time.sleep(0.02)
    for pid in process_ids:
        if has_not_ended(pid):
            os.kill(pid, signal.SIGKILL)
    pytest.fail("a process is still there")


def has_not_ended(pid: int) -> bool:
    try:
        return is_running(pid) and Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_batches_of_any_size_and_order_come_as_they_were_asked_for(reader: Reader | ReaderPool) -> None:
    generator = np.random.default_rng(0)
    batches = [generator.integers(1, NUM_VIDEOS, size).tolist() for size in (1, PIECE, PIECE + 1, 60, 3, 3, 64, 2)]
    assert_features_of(read(reader, batches), batches)
    assert_features_of(read(reader, batches[::-1]), batches[::-1])
    assert read(reader, []) == []


def test_an_iteration_that_was_left_does_not_disturb_the_next(reader: Reader | ReaderPool) -> None:
    iteration = reader.read([[[place], [place]] for place in range(NUM_VIDEOS)])
    piece, (visual, _) = next(iteration)
    assert (piece.is_last, visual[0, 0, 0, 0]) == (True, 0)
    iteration.close()
    assert_features_of(read(reader, [[5, 3], [9]]), [[5, 3], [9]])


def test_the_disk_is_read_in_one_direction(folders: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[int] = []
    original = FeatureReader._features

    def features(self: FeatureReader, number: int) -> object:
        wanted.append(number)
        return original(self, number)

    monkeypatch.setattr(FeatureReader, "_features", features)
    with FeatureReader(folders[0]) as reader:
        out = np.empty((6, 4, 3, 2), np.float16)
        reader.read([69, 0, 33, 1, 68, 34], out)
    assert wanted == [0, 0, 4, 4, 8, 8]
    assert out[:, 0, 0, 0].tolist() == [69, 0, 33, 1, 68, 34]


def test_few_shards_are_open_at_a_time(folders: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OPEN_SHARDS", 2)
    out = np.empty((1, 4, 3, 2), np.float16)
    with FeatureReader(folders[0]) as reader:
        for place in (0, 60, 1, 30, 0, 69):
            reader.read([place], out)
            assert out[0, 0, 0, 0] == place
            assert len(reader._open) <= 2
        assert list(reader._open) == [0, 8]
    assert not reader._open


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:3000]), "truncated file"),
        (lambda path: path.write_bytes(b""), "truncated file|file signature"),
        (lambda path: write_shard(path, [ShardRow("v", "0", np.zeros((4, 3, 2)), np.ones(4, bool))], {}), "range"),
        (lambda path: write_shard(path, [ShardRow("v", "0", np.zeros((9, 3, 2)), np.ones(9, bool))] * 8, {}), ""),
    ],
    ids=["missing", "cut", "empty", "fewer rows", "another shape"],
)
def test_a_shard_that_cannot_be_read_is_one_line(
    reader: Reader | ReaderPool, folders: tuple, damage: Callable, found: str
) -> None:
    damage(folders[0].paths[2])
    with pytest.raises(
        ShardError, match=rf"shard-00016.h5: expected the features of its row 5, found .*{found}"
    ) as caught:
        read(reader, [[1, 2], [21, 1], [3]])
    assert str(caught.value).isprintable()
    assert_features_of(read(reader, [[1, 2]]), [[1, 2]])


def test_processes_stay_from_one_iteration_to_the_next_and_end_at_the_end(folders: tuple) -> None:
    pool = ReaderPool(folders, num_workers=2)
    process_ids = pool.process_ids
    for batches in ([[1, 2]], [[3], [40, 2, 60]]):
        read(pool, batches)
        assert pool.process_ids == process_ids
        assert all(map(has_not_ended, process_ids))
    pool.close()
    wait_for_end(process_ids)


@pytest.mark.parametrize("num_workers", [1, 3])
def test_what_is_read_ahead_does_not_grow_with_the_data(num_workers: int, folders: tuple) -> None:
    pool = ReaderPool(folders, num_workers=num_workers)
    taken = 0

    def requests() -> Iterator[list[list[int]]]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield [list(range(PIECE))] * 2

    iteration = pool.read(requests())
    for number in range(5):
        next(iteration)
        assert taken <= PIECES_AHEAD + number + 1
    num_bytes = sum(len(worker._memory.buffer) for worker in pool._workers)
    assert num_bytes <= PIECES_AHEAD * PIECE * sum(files.num_bytes_per_video for files in folders)
    iteration.close()
    pool.close()


def test_a_process_that_is_killed_is_one_line(folders: tuple) -> None:
    pool = ReaderPool(folders, num_workers=2)
    read(pool, [[1]])
    os.kill(pool.process_ids[1], signal.SIGKILL)
    with pytest.raises(
        PipelineError, match=r"reads features: expected to run .*, found it killed by SIGKILL: often memory had .*; "
    ):
        read(pool, [[1], [2], [3]])
    process_ids = pool.process_ids
    pool.close()
    wait_for_end(process_ids)


RUN = """
import pickle, signal, sys, time
from pathlib import Path
from pipeline.training.reading import ReaderPool

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what it sends to the background without
    pool = ReaderPool(pickle.loads(Path(sys.argv[1]).read_bytes()), num_workers=2)
    iteration = pool.read([[[place], [place]] for place in range(60)])
    try:
        next(iteration), next(iteration)  # both processes have answered
        print(*pool.process_ids, flush=True)
        time.sleep(60)
    finally:
        pool.close()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_processes_end_with_the_run_however_it_ends(how: str, folders: tuple, tmp_path: Path) -> None:
    (tmp_path / "folders").write_bytes(pickle.dumps(folders))
    (tmp_path / "run.py").write_text(RUN)
    run = subprocess.Popen(
        [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "folders")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert run.stdout is not None
    process_ids = [int(pid) for pid in run.stdout.readline().split()]
    assert len(process_ids) == 2
    assert all(map(has_not_ended, process_ids))
    if how == "killed":
        run.kill()
    else:
        os.killpg(run.pid, signal.SIGINT)  # as Ctrl-C does: to every process of the terminal
    _, said = run.communicate(timeout=60)
    wait_for_end(process_ids)
    assert ("KeyboardInterrupt" in said) == (how == "interrupted")
    assert said.count("Traceback") <= 1, said

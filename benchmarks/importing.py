"""Import of released features: how long, against plainly copying the file, and the peak memory it takes.

Writes a ``visual_feature.h5`` in the form of the AVE release (float64, in one piece; features that say something of
the category, videos with two rows) and an ``Annotations.txt``, copies the file, and imports it in a process of its own.
Both read it from the disk: what of it is in memory is dropped before. The last line is one JSON object.

    python benchmarks/importing.py --gigabytes 2
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from pipeline.params.schema import load_params
from pipeline.store.manifest import VideoFile

REPOSITORY = Path(__file__).resolve().parent.parent
ROW_SHAPE = (10, 7, 7, 512)
NUM_CATEGORIES = 28
ROWS_PER_PAIR = 90  # 46 of AVE's 4,143 rows are of a video that has another
BLOCK_ROWS = 16


def video_ids_of(num_rows: int) -> list[str]:
    """Return a video id per row; now and then that of the row before."""
    return [f"video{row - (row % ROWS_PER_PAIR == 1):05d}" for row in range(num_rows)]


def generate(raw: Path, num_rows: int) -> None:
    """Write annotations and features."""
    raw.mkdir()
    video_ids = video_ids_of(num_rows)
    numbers = [int(video_id.removeprefix("video")) for video_id in video_ids]
    lines = [f"Category {n % NUM_CATEGORIES}&{v}&good&0&10\n" for n, v in zip(numbers, video_ids, strict=True)]
    (raw / "Annotations.txt").write_text("".join(lines))
    tastes = np.random.default_rng(0).random((NUM_CATEGORIES, ROW_SHAPE[-1]))
    with h5py.File(raw / "visual_feature.h5", "w") as file:
        data = file.create_dataset("avadataset", (num_rows, *ROW_SHAPE), "float64")
        for start in range(0, num_rows, BLOCK_ROWS):
            block = [
                np.maximum(np.random.default_rng(n).standard_normal(ROW_SHAPE) - 1 + tastes[n % NUM_CATEGORIES], 0)
                for n in numbers[start : start + BLOCK_ROWS]
            ]
            data[start : start + len(block)] = np.stack(block)


def forget(path: Path) -> None:
    """Write `path` to the disk and drop it from memory."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def copy(source: Path, target: Path) -> float:
    """Copy a file, return the seconds until it is on the disk."""
    forget(source)
    start = time.perf_counter()
    shutil.copyfile(source, target)
    forget(target)
    seconds = time.perf_counter() - start
    target.unlink()
    return seconds


def measure(folder: Path, storage: str) -> None:
    """Import in this process; print seconds and peak memory as JSON."""
    from pipeline.released.stage import import_features

    params = load_params(REPOSITORY / "data" / "ave" / "preset.yaml")
    params = params.model_copy(update={"visual": params.visual.model_copy(update={"storage": storage})})
    with h5py.File(folder / "raw" / "visual_feature.h5") as file:
        num_rows = file["avadataset"].shape[0]
    videos = [VideoFile(video_id, "", None, None) for video_id in dict.fromkeys(video_ids_of(num_rows))]
    before_mib = peak_mib()
    start, cpu_start = time.perf_counter(), time.process_time()
    import_features(params, "visual", videos, folder / "raw", folder / "output")
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    result = {"seconds": round(seconds, 1), "cpu_seconds": round(cpu_seconds, 1)}
    print(json.dumps({**result, "peak_mib": peak_mib(), "peak_mib_before": before_mib}))


def peak_mib() -> int:
    """Return the largest resident memory of this process so far, in MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Generate, copy, import."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.0, help="size of the file; the release's has 8.3")
    parser.add_argument("--storage", choices=["float16", "float32"], default="float16")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; a temporary one if not given")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)  # of the importing process
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.folder, arguments.storage)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        file = folder / "raw" / "visual_feature.h5"
        generate(file.parent, max(1, round(arguments.gigabytes * 1e9 / (np.prod(ROW_SHAPE) * 8))))
        megabytes = file.stat().st_size / 1e6
        copy_seconds = copy(file, folder / "copy.h5")
        forget(file)
        command = [sys.executable, __file__, "--measure", "--folder", name, "--storage", arguments.storage]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout)
        result |= {
            "megabytes": round(megabytes),
            "megabytes_per_second": round(megabytes / result["seconds"]),
            "copy_megabytes_per_second": round(megabytes / copy_seconds),
            "seconds_by_copy_seconds": round(result["seconds"] / copy_seconds, 2),
        }
        print(json.dumps(result))


if __name__ == "__main__":
    main()

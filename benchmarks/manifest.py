"""The prepare stage on a data set of VGGSound-AVEL100k's size, against plain Python that reads the same files.

Writes a table, a list of categories and labels (one JSON file, or a zip file with a pickle per clip) for made-up ids,
and on request as many tiny videos. Then runs, each in a process of its own, ``pipeline.annotations.prepare`` and a
plain loop over ``csv.DictReader`` and ``json.loads`` (or ``zipfile`` and ``pickle.loads``), which checks and writes
nothing. Prints seconds and the peak memory of each process; the last line is one JSON object, of medians.

    python benchmarks/manifest.py
    python benchmarks/manifest.py --labels zip --num-clips 10000
    python benchmarks/manifest.py --with-videos
"""

import argparse
import csv
import json
import os
import pickle
import random
import resource
import string
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.params.schema import load_params

REPOSITORY = Path(__file__).resolve().parent.parent
PRESET = REPOSITORY / "data" / "vggsound_avel100k" / "preset.yaml"
NUM_CATEGORIES = 141
NUM_SEGMENTS = 10
SPLITS = ("train", "train", "train", "val", "test")


def generate(raw: Path, num_clips: int, labels: str, *, with_videos: bool) -> None:
    """Write a data set of `num_clips`."""
    raw.mkdir()
    rng = random.Random(0)
    characters = string.ascii_letters + string.digits + "_-"
    ids = list(dict.fromkeys("".join(rng.choices(characters, k=11)) for _ in range(num_clips)))
    vectors = {video_id: rng.choices((0, 1), k=NUM_SEGMENTS) for video_id in ids}
    categories = [f"category {number}, of sounds" for number in range(NUM_CATEGORIES)]
    (raw / "categories.txt").write_text("".join(f"{category}\n" for category in categories))
    with (raw / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("video_id", "category", "split"))
        writer.writerows((video_id, rng.choice(categories), rng.choice(SPLITS)) for video_id in ids)
    if labels == "json":
        content = {video_id: {"label": vector} for video_id, vector in vectors.items()}
        (raw / "annos.json").write_text(json.dumps(content))
    else:
        (raw / "labels").mkdir()
        for video_id, vector in vectors.items():
            with zipfile.ZipFile(raw / "labels" / f"{video_id}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(f"{video_id}.pkl", pickle.dumps(np.array([vector])))
    if with_videos:
        (raw / "videos").mkdir()
        for video_id in ids:
            (raw / "videos" / f"{video_id}_{rng.randrange(600):06d}.mp4").write_bytes(video_id.encode())


def read_plainly(raw: Path) -> list[tuple[str, str, str, list[int]]]:
    """Return id, category, split and label of each row."""
    with (raw / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    ids = [row["video_id"] for row in rows]
    labels = dict(zip(ids, plain_labels(raw, ids), strict=True))
    return [(row["video_id"], row["category"], row["split"], labels[row["video_id"]]) for row in rows]


def plain_labels(raw: Path, ids: list[str]) -> Iterator[list[int]]:
    """Yield the label of each id; pickles are loaded, since this script has written them."""
    if (raw / "annos.json").exists():
        content = json.loads((raw / "annos.json").read_text())
        yield from (content[video_id]["label"] for video_id in ids)
        return
    for video_id in ids:
        with zipfile.ZipFile(raw / "labels" / f"{video_id}.zip") as archive:
            yield pickle.loads(archive.read(archive.namelist()[0]))[0].tolist()


def measure(folder: Path, what: str) -> None:
    """Prepare or read plainly in this process; print seconds and peak memory as JSON."""
    from pipeline.annotations.prepare import prepare

    params = load_params(PRESET)
    before_mib = peak_mib()
    start = time.perf_counter()
    if what == "prepare":
        num_clips = len(prepare(params.dataset, raw=folder / "raw", output=folder / "prepared").clips)
    else:
        num_clips = len(read_plainly(folder / "raw"))
    seconds = time.perf_counter() - start
    print(
        json.dumps(
            {
                "num_clips": num_clips,
                "seconds": round(seconds, 2),
                "peak_mib": peak_mib(),
                "peak_mib_before": before_mib,
            }
        )
    )


def peak_mib() -> int:
    """Return the largest resident memory of this process so far, in MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Generate once, then alternate the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-clips", type=int, default=101_072)
    parser.add_argument("--labels", choices=["json", "zip"], default="json")
    parser.add_argument(
        "--with-videos", action="store_true", help="a file of 11 bytes per clip, to be found and hashed"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # of a measuring process
    parser.add_argument("--measure", choices=["prepare", "plain"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.folder, arguments.measure)
        return
    results: dict[str, list[dict[str, float]]] = {"prepare": [], "plain": []}
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder) / "raw", arguments.num_clips, arguments.labels, with_videos=arguments.with_videos)
        for _ in range(arguments.rounds):
            for what, found in results.items():
                command = [sys.executable, __file__, "--folder", folder, "--measure", what]
                environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
                line = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
                found.append(json.loads(line))
                print(f"{what:>7}: {line}", end="", flush=True)
    seconds = {what: sorted(run["seconds"] for run in found) for what, found in results.items()}
    median = {what: times[len(times) // 2] for what, times in seconds.items()}
    print(
        json.dumps(
            {
                "num_clips": results["prepare"][0]["num_clips"],
                "labels": arguments.labels,
                "with_videos": arguments.with_videos,
                "prepare_seconds": median["prepare"],
                "prepare_peak_mib": max(run["peak_mib"] for run in results["prepare"]),
                "prepare_over_plain": round(median["prepare"] / median["plain"], 2),
            }
        )
    )


if __name__ == "__main__":
    main()

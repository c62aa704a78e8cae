"""Peak memory of extraction against the number of videos: it must not grow with it.

Runs the engine in a process of its own for each number of videos and prints the peak resident memory of that process;
a decoding process holds one video. The videos are a few rendered clips with a mark at their end: each is computed. The
last line is one JSON object with the ratio of the largest run to the smallest.

    python benchmarks/memory.py --num-videos 50 500
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from pipeline.core.files import sha256_of_file
from pipeline.params.schema import load_params
from pipeline.store.manifest import VideoFile
from pipeline.synthetic.rendering import render

PRESET = Path(__file__).resolve().parent.parent / "data" / "synthetic" / "preset.yaml"
NUM_RENDERED = 8


def generate(folder: Path, num_videos: int) -> None:
    """Write `num_videos` different files that hold eight different clips."""
    rendered = folder / "rendered"
    render(rendered, "localization", num_clips=NUM_RENDERED)
    contents = [path.read_bytes() for path in sorted((rendered / "videos").glob("*.mp4"))]
    videos = folder / "videos"
    videos.mkdir()
    for number in range(num_videos):
        mark = number.to_bytes(8, "big")  # in a box that players skip
        box = (8 + len(mark)).to_bytes(4, "big") + b"free" + mark
        (videos / f"video{number:06d}.mp4").write_bytes(contents[number % len(contents)] + box)


def measure(folder: Path, num_videos: int, num_segments: int, shard_size: int) -> None:
    """Extract the first `num_videos` in this process and print its peak memory as JSON."""
    # Not above, as in the stage: decoding processes import this module again, and need no torch.
    from pipeline.extraction.stage import extract
    from pipeline.features.visual.extractor import VisualExtractor

    params = load_params(PRESET)
    dataset = params.dataset.model_copy(update={"num_segments": num_segments, "segment_seconds": 10.0 / num_segments})
    paths = sorted((folder / "videos").glob("*.mp4"))[:num_videos]
    videos = [VideoFile(p.stem, f"videos/{p.name}", p.stat().st_size, sha256_of_file(p)) for p in paths]
    with tempfile.TemporaryDirectory() as output:
        extract(
            partial(VisualExtractor, params.visual, dataset),
            videos,
            folder,
            Path(output),
            params=params.extract.model_copy(update={"shard_size": shard_size}),
            max_failed_fraction=1.0,
        )
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"num_videos": len(videos), "peak_mib": round(peak_mib)}))


def main() -> None:
    """Generate once, measure each number of videos in a fresh process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-videos", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--num-segments", type=int, default=2, help="frames computed per video")
    parser.add_argument("--shard-size", type=int, default=32)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # of a measuring process
    arguments = parser.parse_args()
    if arguments.folder:
        measure(arguments.folder, arguments.num_videos[0], arguments.num_segments, arguments.shard_size)
        return
    results = []
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder), max(arguments.num_videos))
        for num_videos in arguments.num_videos:
            command = [sys.executable, __file__, "--folder", folder, "--num-videos", str(num_videos)]
            command += ["--num-segments", str(arguments.num_segments), "--shard-size", str(arguments.shard_size)]
            environment = {"DVC_ROOT": f"{folder}/{num_videos}", "PYTHONPATH": str(PRESET.parents[2])}
            line = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
            results.append(json.loads(line))
            print(line, end="", flush=True)
    peaks = [result["peak_mib"] for result in sorted(results, key=lambda result: result["num_videos"])]
    print(json.dumps({"largest_over_smallest": round(peaks[-1] / peaks[0], 3)}))


if __name__ == "__main__":
    main()

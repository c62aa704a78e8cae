"""Visual extraction against the bare network, decoding alone and a naive loop, on the same clips in the same run.

Prints frames per second of

- bare: the network alone, on full batches that are already decoded and preprocessed;
- decode: the worker processes alone, from files to resized frames;
- pipeline: ``pipeline.extraction.stage.extract`` from files to shards, as the stage runs it, its processes started too;
- naive: as the AVE script does it: one video after the other, every frame decoded, converted and resized in line, one
  network call in float32 for each sample, repeated ones included;

and ends with one JSON object of their ratios. Rounds alternate, so that a slow moment of the machine meets all four.
A frame counts as often as the segments sample it for naive and pipeline (that is the work asked for), once for bare
and decode.

    python benchmarks/extraction.py --num-clips 6 --frames-per-segment 4
    python benchmarks/extraction.py --videos some/folder --frames-per-segment 16 --precision bfloat16
"""

import argparse
import json
import logging
import os
import platform
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import numpy as np
import torch

from models.backbones.vgg19 import VGG19
from pipeline.core.devices import choose_device, describe_device
from pipeline.core.files import sha256_of_file
from pipeline.extraction.decode_pool import DecodePool, default_num_workers
from pipeline.extraction.stage import extract
from pipeline.features.decoding import Prepared
from pipeline.features.visual.extractor import VisualExtractor
from pipeline.features.visual.frames import resize_bilinear
from pipeline.features.visual.preprocessing import preprocess_torchvision
from pipeline.media.segments import frame_indices_by_number
from pipeline.params.schema import ExtractParams, VisualParams, load_params
from pipeline.store.manifest import VideoFile
from pipeline.synthetic.rendering import render

IMAGE_SIZE = 224


@dataclass(frozen=True)
class Work:
    """What all contestants are given."""

    raw: Path
    videos: list[VideoFile]
    visual: VisualParams
    params: ExtractParams
    extractor: VisualExtractor
    prepared: list[Prepared]
    plain: VGG19

    @property
    def num_distinct(self) -> int:
        """Frames that have to be computed."""
        return sum(len(prepared.inputs) for prepared in self.prepared)

    @property
    def num_samples(self) -> int:
        """Frames that segments ask for."""
        return sum(prepared.rows.size for prepared in self.prepared)


def listed(folder: Path, paths: list[Path]) -> list[VideoFile]:
    """List videos as the prepare stage would."""
    return [VideoFile(p.stem, str(p.relative_to(folder)), p.stat().st_size, sha256_of_file(p)) for p in paths]


def synchronise(device: torch.device) -> None:
    """Wait for what the GPU was asked to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of_bare(work: Work) -> float:
    """Time the network alone on batches of the size that the pipeline uses."""
    size, device = work.params.batch_size or work.extractor.batch_size, work.extractor.device
    inputs = torch.cat([torch.from_numpy(prepared.inputs) for prepared in work.prepared])
    batches = [batch.to(device) for batch in inputs.split(size)]
    synchronise(device)
    start = time.perf_counter()
    for batch in batches:
        work.extractor.network(batch)
    synchronise(device)
    return time.perf_counter() - start


def seconds_of_decode(work: Work) -> float:
    """Time the decoding processes alone, after they have started."""
    num_workers = work.params.num_workers or default_num_workers()
    pool = DecodePool(work.extractor.decoder, work.raw, num_workers=num_workers, timeout_seconds=600)
    with pool:
        list(pool.decode(work.videos[:num_workers]))
        start = time.perf_counter()
        list(pool.decode(work.videos))
        return time.perf_counter() - start


def seconds_of_pipeline(work: Work, output: Path) -> float:
    """Time the engine from files to shards, with an empty scratch folder and a network that is loaded."""
    os.environ["DVC_ROOT"] = str(output)
    start = time.perf_counter()
    extract(
        lambda _: work.extractor,
        work.videos,
        work.raw,
        output / "features",
        params=work.params,
        max_failed_fraction=1.0,
    )
    return time.perf_counter() - start


def seconds_of_naive(work: Work) -> float:
    """Time the plain loop."""
    device = work.extractor.device
    start = time.perf_counter()
    for video in work.videos:
        with av.open(str(work.raw / video.path)) as container:
            frames = [
                resize_bilinear(frame.to_ndarray(format="rgb24"), IMAGE_SIZE) for frame in container.decode(video=0)
            ]
        segments = []
        for indices in frame_indices_by_number(len(frames), 10, work.visual.frames_per_segment):
            maps = []
            for index in indices:
                image = preprocess_torchvision(torch.from_numpy(frames[index])[None].to(device).float())
                with torch.inference_mode():
                    maps.append(work.plain(image).cpu().numpy())
            segments.append(np.mean(maps, axis=0))
        np.stack(segments)
    return time.perf_counter() - start


def plain_network(visual: VisualParams, device: torch.device) -> VGG19:
    """Return the network as one writes it down: float32, channels first."""
    network = VGG19()
    network.init_random(visual.weights_seed)
    return network.eval().to(device)


def main() -> None:
    """Run all side by side and print their rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, help="a folder of *.mp4; by default clips are rendered")
    parser.add_argument("--num-clips", type=int, default=6)
    parser.add_argument("--frames-per-segment", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--precision", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--batch-size", type=int, default=0)
    parser.add_argument("--num-workers", type=int, default=0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    params = load_params(Path("data/synthetic/preset.yaml"))
    visual = params.visual.model_copy(
        update={"frames_per_segment": arguments.frames_per_segment, "precision": arguments.precision}
    )
    options = {"batch_size": arguments.batch_size, "num_workers": arguments.num_workers}
    device = choose_device(params.extract.device)
    build = partial(VisualExtractor, visual, params.dataset)
    with tempfile.TemporaryDirectory() as folder:
        raw = arguments.videos or Path(folder) / "raw"
        if arguments.videos is None:
            render(raw, "localization", num_clips=max(arguments.num_clips, 8))
        videos = listed(raw, sorted(raw.rglob("*.mp4"))[: arguments.num_clips])
        extractor = build(device)
        work = Work(
            raw,
            videos,
            visual,
            params.extract.model_copy(update={**options, "device": str(device)}),
            extractor,
            [extractor.decoder(raw / video.path) for video in videos],
            plain_network(visual, device),
        )
        extractor.network(torch.from_numpy(work.prepared[0].inputs[:1]).to(device))  # warm up
        seconds: dict[str, list[float]] = {"bare": [], "decode": [], "pipeline": [], "naive": []}
        for number in range(arguments.rounds):
            seconds["bare"].append(seconds_of_bare(work))
            seconds["decode"].append(seconds_of_decode(work))
            seconds["pipeline"].append(seconds_of_pipeline(work, Path(folder) / f"round{number}"))
            seconds["naive"].append(seconds_of_naive(work))
    mean = {name: sum(times) / len(times) for name, times in seconds.items()}
    print(
        f"{describe_device(device)}, {platform.machine()}, {arguments.precision}: {len(videos)} clips, "
        f"{work.num_distinct} frames for {work.num_samples} samples, batches of "
        f"{work.params.batch_size or extractor.batch_size}, "
        f"{work.params.num_workers or default_num_workers()} decoding processes"
    )
    for name, times in seconds.items():
        count = work.num_distinct if name in ("bare", "decode") else work.num_samples
        print(f"{name:>9}: {count / mean[name]:9.2f} frames/s   rounds: {', '.join(f'{s:.2f} s' for s in times)}")
    print(
        json.dumps(
            {
                "pipeline_over_bare": round(mean["bare"] / mean["pipeline"], 3),
                "pipeline_over_slower_of_bare_and_decode": round(
                    max(mean["bare"], mean["decode"]) / mean["pipeline"], 3
                ),
                "pipeline_over_naive": round(mean["naive"] / mean["pipeline"], 3),
                "device": device.type,
                "precision": arguments.precision,
            }
        )
    )


if __name__ == "__main__":
    main()

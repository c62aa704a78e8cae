"""Extract the visual features of a prepared data set into shards."""

import argparse
from pathlib import Path

from pipeline.annotations.manifest import load_videos
from pipeline.devices import choose_device
from pipeline.extraction import extract
from pipeline.params import Params
from pipeline.visual import VisualExtractor
from stages import run_stage


def main(arguments: argparse.Namespace, params: Params) -> None:
    """Write shards, ``ledger.csv`` and ``index.json``."""
    extract(
        VisualExtractor(params.visual, params.dataset, choose_device(params.extract.device)),
        load_videos(arguments.prepared / "videos.csv"),
        arguments.raw,
        arguments.output,
        batch_size=params.extract.batch_size,
        num_workers=params.extract.num_workers,
        shard_size=params.extract.shard_size,
        max_failed_fraction=params.visual.max_failed_fraction,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    run_stage(main, parser)

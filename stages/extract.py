"""Write one modality's features of a prepared data set into shards: extracted from the videos, or as released."""

import argparse
from pathlib import Path

from pipeline.params.schema import Params
from pipeline.store.manifest import load_videos
from stages import run_stage


def main(arguments: argparse.Namespace, params: Params) -> None:
    """Write shards, ``ledger.csv`` and ``index.json``."""
    videos = load_videos(arguments.prepared / "videos.csv")
    # The imports are not above: decoding processes import this module again, and need no torch.
    if params.features.source == "released":
        from pipeline.released.stage import import_features

        import_features(params, arguments.modality, videos, arguments.raw, arguments.output)
    else:
        from pipeline.extraction.stage import extract
        from pipeline.features.modalities import extractor_builder

        extract(
            extractor_builder(params, arguments.modality),
            videos,
            arguments.raw,
            arguments.output,
            params=params.extract,
            max_failed_fraction=getattr(params, arguments.modality).max_failed_fraction,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modality", choices=("visual", "audio"), required=True)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    run_stage(main, parser)

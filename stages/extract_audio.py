"""Write the audio features of a prepared data set into shards: extracted from the videos, or as released."""

import argparse
from functools import partial
from pathlib import Path

from pipeline.annotations.manifest import load_videos
from pipeline.params import Params
from stages import run_stage


def main(arguments: argparse.Namespace, params: Params) -> None:
    """Write shards, ``ledger.csv`` and ``index.json``."""
    videos = load_videos(arguments.prepared / "videos.csv")
    if params.features.source == "released":
        from pipeline.released_features import import_features

        import_features(params, "audio", videos, arguments.raw, arguments.output)
    else:
        # Not above: decoding processes import this module again, and need no torch.
        from pipeline.audio import AudioExtractor
        from pipeline.extraction import extract

        extract(
            partial(AudioExtractor, params.audio, params.dataset),
            videos,
            arguments.raw,
            arguments.output,
            params=params.extract,
            max_failed_fraction=params.audio.max_failed_fraction,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    run_stage(main, parser)

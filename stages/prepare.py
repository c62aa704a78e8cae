"""Turn a data set's annotations into ``manifest.csv``, ``videos.csv``, ``categories.txt`` and an audit."""

import argparse
from pathlib import Path

from pipeline.annotations.prepare import prepare
from pipeline.params.schema import Params
from stages import run_stage


def main(arguments: argparse.Namespace, params: Params) -> None:
    """Run the stage."""
    prepare(params.dataset, raw=arguments.raw, output=arguments.output, source=params.features.source)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m stages.prepare", description=__doc__)
    parser.add_argument("--raw", type=Path, required=True, help="the data set as distributed, data/<name>/raw")
    parser.add_argument("--output", type=Path, required=True, help="folder for the manifest, data/<name>/prepared")
    run_stage(main, parser)

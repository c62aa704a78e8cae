"""Render the embedded data set of a task."""

import argparse
from pathlib import Path

from pipeline.params.schema import Params
from pipeline.synthetic.rendering import SETS, render
from stages import run_stage


def main(arguments: argparse.Namespace, params: Params) -> None:
    """Write videos, annotations and splits; `params` is only validated, since no value of it changes the data."""
    render(arguments.output, arguments.task)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=SETS, required=True)
    parser.add_argument("--output", type=Path, required=True)
    run_stage(main, parser)

"""Train one method and keep its best epoch."""

import argparse
from pathlib import Path

from pipeline.core.devices import choose_device
from pipeline.params.schema import Params
from pipeline.training.dataset import load_dataset
from pipeline.training.loop import train
from stages import run_stage


def main(arguments: argparse.Namespace, params: Params) -> None:
    """Write the weights of the best epochs, ``history.csv`` and ``live/``."""
    dataset = load_dataset(params, arguments.prepared, arguments.features)
    train(params.train, dataset, arguments.output, choose_device(params.train.device))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    run_stage(main, parser)

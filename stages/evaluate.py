"""Score the trained weights on the test split."""

import argparse
from pathlib import Path

from pipeline.core.devices import choose_device
from pipeline.evaluation.stage import evaluate_run
from pipeline.params.schema import Params
from pipeline.training.dataset import load_dataset
from stages import run_stage


def main(arguments: argparse.Namespace, params: Params) -> None:
    """Write scores, tables and predictions per segment."""
    dataset = load_dataset(params, arguments.prepared, arguments.features)
    evaluate_run(params.evaluate, dataset, arguments.weights, arguments.output, choose_device(params.train.device))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    run_stage(main, parser)

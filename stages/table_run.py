"""Train one row of the paper's tables with one seed, and score it."""

import argparse
import logging
import sys
from functools import partial
from pathlib import Path

from pipeline.params.schema import Params
from pipeline.tables.apart import run_apart
from pipeline.tables.plans import Plan, load_plan
from pipeline.tables.records import failed, write_record
from stages import run_stage


def train_and_score(params: Params, plan: Plan, seed: int, prepared: Path, features: Path, output: Path) -> None:
    """Do the work, in a process of its own."""
    # Torch takes memory and seconds, and the process that waits does without.
    from pipeline.tables.running import run_row

    # After the import: one of the libraries replaces standard error, and lines for the old one would come twice.
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    run_row(params, plan, seed, prepared, features, output)


def main(arguments: argparse.Namespace, params: Params) -> None:
    """Write ``record.json`` and ``counts.csv``; a training that is killed has a record, too."""
    plan = load_plan(arguments.plan)
    paths = arguments.prepared, arguments.features, arguments.output
    ending = run_apart(partial(train_and_score, params, plan, arguments.seed, *paths))
    if ending:
        write_record(arguments.output, failed(plan.row, arguments.seed, ending), None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    for name in ("plan", "prepared", "features", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    run_stage(main, parser)

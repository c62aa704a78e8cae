"""Write what each row of the paper's tables is trained with; refuse faulty rows before anything is trained."""

import argparse
from pathlib import Path

from pipeline.params.schema import Params
from pipeline.tables.definitions import load_definitions
from pipeline.tables.planning import plan_rows
from pipeline.tables.plans import write_plans
from stages import run_stage


def main(arguments: argparse.Namespace, params: Params) -> None:
    """Write a file per row."""
    plans = plan_rows(params, load_definitions(arguments.rows, params.dataset.task))
    write_plans(plans, arguments.output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("rows", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    run_stage(main, parser)

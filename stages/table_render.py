"""Write the paper's tables from the runs that exist, beside the published numbers."""

import argparse
from pathlib import Path

from pipeline.params.schema import Params
from pipeline.tables.definitions import load_definitions
from pipeline.tables.plans import load_plans
from pipeline.tables.rendering import render_tables
from pipeline.tables.reported import load_reported
from stages import run_stage


def main(arguments: argparse.Namespace, params: Params) -> None:
    """Write ``index.html``, and each table as Markdown, LaTeX and CSV."""
    render_tables(
        params=params,
        definitions=load_definitions(arguments.rows, params.dataset.task),
        plans=load_plans(arguments.plan),
        reported=load_reported(arguments.reported),
        runs=arguments.runs,
        output=arguments.output,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("rows", "reported", "plan", "runs", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    run_stage(main, parser)

"""Write the HTML page about one run."""

import argparse
from pathlib import Path

from pipeline.params.schema import Params
from pipeline.report.build import build_report
from stages import run_stage


def main(arguments: argparse.Namespace, params: Params) -> None:
    """Write ``index.html``."""
    build_report(
        params=params,
        prepared=arguments.prepared,
        features=arguments.features,
        train=arguments.train,
        evaluate=arguments.evaluate,
        raw=arguments.raw,
        output=arguments.output,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("prepared", "features", "train", "evaluate", "raw", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    run_stage(main, parser)

"""What a row is trained with, as a file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import PipelineError, explain
from pipeline.core.files import write_json


@dataclass(frozen=True)
class Plan:
    """All that the result of one row depends on, but for the data and the seed.

    Parameters
    ----------
    row : str
    values : mapping of str to object
        Params by dotted key.
    code : str
        Fingerprint of what the code that trains and scores does.
    """

    row: str
    values: Mapping[str, Any]
    code: str


def write_plans(plans: Mapping[str, Plan], output: Path) -> None:
    """Write a file per plan into the folder `output`."""
    for name, plan in plans.items():
        write_json(output / f"{name}.json", asdict(plan))


def load_plan(path: Path) -> Plan:
    """Read a file that :func:`write_plans` wrote.

    Raises
    ------
    PipelineError
        If it is missing or damaged.
    """
    try:
        return Plan(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise PipelineError(
            explain(
                path, expected="the plan of a row", found=type(error).__name__, remedy="run `dvc repro tables/dvc.yaml`"
            )
        ) from error


def load_plans(folder: Path) -> dict[str, Plan]:
    """Read all files that :func:`write_plans` wrote into a folder, by row."""
    return {path.stem: load_plan(path) for path in sorted(folder.glob("*.json"))}

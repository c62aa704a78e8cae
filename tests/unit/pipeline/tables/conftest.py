"""Records of runs as they come out of training, made up: no network is trained."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.params.schema import Params, TablesParams, load_params
from pipeline.tables.definitions import Definitions, load_definitions
from pipeline.tables.planning import plan_rows
from pipeline.tables.plans import Plan
from pipeline.tables.records import Counts, Record, failed, write_record
from pipeline.tables.reported import ReportedNumber

ROOT = Path(__file__).resolve().parents[4]
NUM_VIDEOS, NUM_SEGMENTS = 40, 10


@pytest.fixture
def rows_file(tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of a rows.yaml with the given ablations and tables."""

    def write(ablations: Mapping[str, Any] | None = None, tables: Mapping[str, Any] | None = None) -> Path:
        path = tmp_path / "rows.yaml"
        shipped = YAML(typ="safe", pure=True).load(ROOT / "tables/rows.yaml")
        content = {
            "ablations": shipped["ablations"] if ablations is None else ablations,
            "tables": shipped["tables"] if tables is None else tables,
        }
        YAML().dump(content, path)
        return path

    return write


@pytest.fixture
def shipped() -> Definitions:
    return load_definitions(ROOT / "tables/rows.yaml")


@pytest.fixture
def published() -> Params:
    """Return AVE's params, with quick intervals."""
    params = load_params(ROOT / "data/ave/preset.yaml")
    return params.model_copy(update={"evaluate": params.evaluate.model_copy(update={"num_resamples": 99})})


@pytest.fixture
def select() -> Callable[..., TablesParams]:
    """Return a maker of selections: PSP and CPSP, full supervision, and rows `also`; seeds 1 to 3."""

    def make(*also: str, **changes: object) -> TablesParams:
        values = {"rows": ["psp_full", "cpsp_full", *also], "seeds": [1, 2, 3]}
        return TablesParams.model_validate({**values, "num_epochs": None, **changes})

    return make


def with_tables(params: Params, selection: TablesParams) -> Params:
    return params.model_copy(update={"tables": selection})


@pytest.fixture
def make_number() -> Callable[..., ReportedNumber]:
    """Return a maker of published numbers on AVE."""

    def make(row: str, value: float, protocol: str, **changes: object) -> ReportedNumber:
        entry = {
            "method": "X",
            "dataset": "ave",
            "value": value,
            "row": row,
            "protocol": protocol,
            "source": "a paper",
            "kind": "published",
            "provenance": "read",
        }
        return ReportedNumber.model_validate({**entry, **changes})

    return make


@pytest.fixture
def plan(make_params: Callable[..., Params]) -> Callable[..., dict[str, Plan]]:
    """Return a maker of plans under the embedded data set's params."""
    return lambda definitions, selection: plan_rows(with_tables(make_params(), selection), definitions)


@pytest.fixture
def write_runs(tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of runs, a folder per row and seed from 1 on: ``write_runs(psp_full=[70, 72])``.

    A number is the percentage of segments that are right with the best epoch on validation, `test_above` less than
    with the best on test; a text is the reason why there is no score; None leaves the run out.
    """

    def write(*, test_above: float = 1.0, weights: str = "keras", **rows: Sequence[float | str | None]) -> Path:
        runs = tmp_path / "runs"
        for row, outcomes in rows.items():
            for seed, outcome in enumerate(outcomes, 1):
                if outcome is not None:
                    _write_run(runs / f"{row}-{seed}", row, seed, outcome, test_above, weights)
        return runs

    return write


def _write_run(folder: Path, row: str, seed: int, outcome: float | str, test_above: float, weights: str) -> None:
    if isinstance(outcome, str):
        write_record(folder, failed(row, seed, outcome), None)
        return
    record = Record(
        row, seed, "", NUM_VIDEOS, NUM_VIDEOS + 2, 7, 9, {"visual": f"{weights}:19", "audio": "torchvggish"}
    )
    correct, on_test = (_right(outcome + above, seed) for above in (0, test_above))
    video_ids = tuple(f"video{number:02d}" for number in range(NUM_VIDEOS))
    write_record(folder, record, Counts(video_ids, np.full(NUM_VIDEOS, NUM_SEGMENTS), correct, on_test))


def _right(accuracy: float, seed: int) -> np.ndarray:
    """Return right segments per video that make up an accuracy exactly, spread unevenly over the videos."""
    num_right = round(accuracy / 100 * NUM_VIDEOS * NUM_SEGMENTS)
    correct = np.zeros(NUM_VIDEOS, int)
    order = np.random.default_rng(seed).permutation(np.repeat(np.arange(NUM_VIDEOS), NUM_SEGMENTS))
    np.add.at(correct, order[:num_right], 1)
    return correct

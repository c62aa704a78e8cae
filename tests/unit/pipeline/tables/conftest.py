"""Records of runs as they come out of training, made up: no network is trained."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.methods.settings import Task
from pipeline.params.schema import Params, TablesParams, load_params
from pipeline.tables.definitions import Definitions, load_definitions
from pipeline.tables.metrics import LEADING, METRICS
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
    return load_definitions(ROOT / "tables/rows.yaml", "localization")


@pytest.fixture
def shipped_parsing() -> Definitions:
    return load_definitions(ROOT / "tables/rows.yaml", "parsing")


@pytest.fixture
def published() -> Params:
    """Return AVE's params, with quick intervals."""
    return load_quick("ave")


@pytest.fixture
def llp() -> Params:
    """Return LLP's params, with quick intervals."""
    return load_quick("llp")


def load_quick(name: str) -> Params:
    params = load_params(ROOT / f"data/{name}/preset.yaml")
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
    with the best on test; a text is the reason why there is no score; None leaves the run out. Of parsing the number
    is Type@AV per segment; every other score is a point above that on its left: A per segment 3 below, Event@AV per
    event 6 above.
    """

    def write(
        *,
        task: Task = "localization",
        test_above: float = 1.0,
        weights: str = "keras",
        **rows: Sequence[float | str | None],
    ) -> Path:
        runs = tmp_path / "runs"
        make = _right_segments if task == "localization" else _scores_of_clips
        for row, outcomes in rows.items():
            for seed, outcome in enumerate(outcomes, 1):
                if isinstance(outcome, str):
                    write_record(runs / f"{row}-{seed}", failed(row, seed, outcome), None)
                elif outcome is not None:
                    origins = {"visual": f"{weights}:19", "audio": "torchvggish"}
                    record = Record(row, seed, "", NUM_VIDEOS, NUM_VIDEOS + 2, 7, 9, origins)
                    write_record(runs / f"{row}-{seed}", record, make(outcome, outcome + test_above, seed))
        return runs

    return write


VIDEO_IDS = tuple(f"video{number:02d}" for number in range(NUM_VIDEOS))


def _right_segments(percent: float, on_test: float, seed: int) -> dict[str, Counts]:
    total = np.full(NUM_VIDEOS, NUM_SEGMENTS)
    return {"segment_accuracy": Counts(VIDEO_IDS, total, *(_right(each, seed) for each in (percent, on_test)))}


def _scores_of_clips(percent: float, on_test: float, seed: int) -> dict[str, Counts]:
    """Return sums of scores that make up the percentages, of one clip per video or two."""
    names = list(METRICS["parsing"])
    total = 1 + np.arange(NUM_VIDEOS) % 2
    spread = np.random.default_rng(seed).uniform(-0.1, 0.1, NUM_VIDEOS)
    spread -= (total * spread).sum() / total.sum()
    counts = {}
    for place, name in enumerate(names, -names.index(LEADING["parsing"])):
        correct, correct_on_test = (total * ((each + place) / 100 + spread) for each in (percent, on_test))
        counts[name] = Counts(VIDEO_IDS, total, correct, correct_on_test)
    return counts


def _right(accuracy: float, seed: int) -> np.ndarray:
    """Return right segments per video that make up an accuracy exactly, spread unevenly over the videos."""
    num_right = round(accuracy / 100 * NUM_VIDEOS * NUM_SEGMENTS)
    correct = np.zeros(NUM_VIDEOS, int)
    order = np.random.default_rng(seed).permutation(np.repeat(np.arange(NUM_VIDEOS), NUM_SEGMENTS))
    np.add.at(correct, order[:num_right], 1)
    return correct

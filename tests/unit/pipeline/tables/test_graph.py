"""``tables/dvc.yaml`` against the code, as tests/unit/test_graph.py does for the main graph."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[4]
MAIN = runpy.run_path(str(ROOT / "tests/unit/test_graph.py"))
STAGES: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "tables/dvc.yaml")["stages"]


RENDERING = ("rendering", "building", "layouts", "published", "scores")


def code_of(stage: str) -> set[str]:
    return MAIN["listed_code"](STAGES[stage]["deps"])


@pytest.mark.parametrize(("stage", "also"), [("plan", ("stages.table_run",)), ("render", ())])
def test_plan_depends_on_the_code_of_every_training_and_render_on_its_own(stage: str, also: tuple[str, ...]) -> None:
    reached = MAIN["reached_files"](*MAIN["entry_of"](stage, STAGES[stage]["cmd"]), *also)
    is_covered = MAIN["is_covered"]
    assert sorted(file for file in reached if not is_covered(file, code_of(stage))) == []
    assert sorted(entry for entry in code_of(stage) if not any(is_covered(file, {entry}) for file in reached)) == []


def test_a_training_depends_on_data_and_its_plan_which_holds_the_code() -> None:
    assert code_of("rows") == set()
    assert "params" not in STAGES["rows"]
    (plan,) = (dep for dep in STAGES["rows"]["deps"] if "/plan/" in dep)
    assert plan.startswith(f"{STAGES['plan']['outs'][0]}/")


@pytest.mark.parametrize("stage", STAGES)
def test_every_path_on_a_command_line_is_a_dependency_or_an_output(stage: str) -> None:
    body = STAGES[stage]
    assert body["wdir"] == ".."
    entries = [*body["deps"], *body["outs"]]
    for path in re.findall(r"--(?!seed)\w+ (\S+)", body["cmd"]):
        assert any(entry == path or entry.startswith(f"{path}/") for entry in entries), path


def test_what_a_stage_reads_of_the_params_is_listed() -> None:
    assert STAGES["plan"]["params"] == ["dataset.task", "train", "tables"]
    assert STAGES["render"]["params"] == ["dataset", "evaluate", "tables"]
    planned = "".join((ROOT / path).read_text() for path in ("pipeline/tables/planning.py", "stages/table_plan.py"))
    keys = {"params.dataset.task", "params.tables", "params.tables.num_epochs"}
    assert set(re.findall(r"(?<!pipeline\.)\bparams\.[\w.]+", planned)) == keys
    read = "".join((ROOT / f"pipeline/tables/{name}.py").read_text() for name in RENDERING)
    assert set(re.findall(r"\bparams\.(dataset|features|visual|audio|train|report|evaluate|tables)\b", read)) == {
        "dataset",
        "evaluate",
        "tables",
    }


def test_rows_are_where_their_plans_are_looked_for() -> None:
    assert STAGES["rows"]["matrix"] == {"row": "${tables.rows}", "seed": "${tables.seeds}"}
    assert Path(STAGES["rows"]["outs"][0]).name == "${item.row}-${item.seed}"
    assert any(Path(dep).name == "${item.row}.json" for dep in STAGES["rows"]["deps"])


def test_nothing_of_the_tables_is_part_of_the_main_graph() -> None:
    main = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
    assert [dep for body in main.values() for dep in body["deps"] if "tables" in dep] == []

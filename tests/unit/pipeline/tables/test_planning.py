from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import ParamsError, PipelineError
from pipeline.core.fingerprints import import_closure
from pipeline.methods.registry import methods_of
from pipeline.params.overriding import override
from pipeline.params.schema import Params
from pipeline.tables import planning
from pipeline.tables.definitions import Definitions, load_definitions
from pipeline.tables.planning import plan_rows
from pipeline.tables.plans import Plan, load_plan, load_plans, write_plans

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.slow
def test_a_plan_changes_with_what_its_row_reads_alone(shipped: Definitions, make_params: Callable) -> None:
    def changed(**changes: object) -> set[str]:
        before, after = (plan_rows(make_params(**selected, **more), shipped) for more in ({}, changes))
        return {row for row in before if before[row] != after[row]}

    selected = {"tables.rows": ["psa_v", "tau_050", "initialisation_xavier"], "tables.num_epochs": None}
    common = {name for name in shipped.methods if name.endswith("_full_common")}
    assert len(common) == 6
    assert changed(**{"train.psp.full.tau": 0.05}) == {"psp_full", "psp_full_common"}
    assert changed(**{"train.psp.full.num_epochs": 3}) == {"psp_full"}, "the common recipe has a schedule of its own"
    assert changed(**{"train.common.full.num_epochs": 3}) == common
    cpsp = {"cpsp_full", "psa_v", "initialisation_xavier"}
    assert changed(**{"train.cpsp.full.tau": 0.05}) == cpsp, "tau_050 has its own"
    assert changed(**{"train.weak.background_clips": False}) == {name for name in shipped.methods if "_weak" in name}
    assert changed(**{"train.seed": 9, "train.device": "cpu", "report.num_clips": 1, "train.method": "psp"}) == set()
    assert changed(**{"train.recipe": "common"}) == set(), "each row has its own"
    drawn = changed(**{"train.initialisation": "xavier"})
    assert drawn == {*shipped.methods, "psa_v", "tau_050"}, "initialisation_xavier has its own"
    assert "psp_full" in changed(**{"train.precision": "float64"})


def test_plans_are_of_the_selected_rows_and_all_methods(shipped: Definitions, plan: Callable, select: Callable) -> None:
    assert set(plan(shipped, select())) == set(shipped.methods)
    assert set(plan(shipped, select("psa_v"))) == {*shipped.methods, "psa_v"}


@pytest.mark.slow
def test_plans_of_parsing_change_with_what_their_rows_read_alone(shipped_parsing: Definitions, llp: Params) -> None:
    def plans(**changes: object) -> dict[str, Plan]:
        tables = {"tables.rows": ["parsing_tau_050", "han_own_gate"], "tables.num_epochs": None}
        return plan_rows(override(llp, {**tables, **changes}, subject="test"), shipped_parsing)

    def changed(**changes: object) -> set[str]:
        return {row for row, plan in plans(**changes).items() if plan != before[row]}

    before = plans()
    assert set(before) == {*shipped_parsing.methods, "parsing_tau_050", "han_own_gate"}
    assert before["han_own_gate"].code == before["han_weak"].code != before["mmil_psp_weak"].code
    assert changed(**{"evaluate.gate": "own", "train.seed": 9, "evaluate.num_resamples": 9}) == set()
    assert changed(**{"train.weak.background_clips": False}) == set()
    assert changed(**{"train.han.weak.visual_smoothing": 0.2}) == {"han_weak", "han_weak_common", "han_own_gate"}
    assert changed(**{"train.mmil_cpsp.weak.tau": 0.1}) == {"mmil_cpsp_weak", "mmil_cpsp_weak_common"}


def test_all_faulty_rows_are_named_before_anything_is_trained(rows_file: Callable, make_params: Callable) -> None:
    row = {"label": "x", "method": "cpsp", "supervision": "full"}
    ablations = {
        "first": {**row, "changes": {"train.cpsp.full.tua": 0.1}},
        "second": {**row, "changes": {"train.cpsp.full.tau": 7}},
    }
    table = {"title": "x", "base": "cpsp_full", "rows": ["first", "second", "cpsp_full"]}
    definitions = load_definitions(rows_file(ablations, {"t": table}), "localization")
    with pytest.raises(ParamsError, match=r"row first has 1 .*full\.tua: .*; .*row second has 1 .*full\.tau") as error:
        plan_rows(make_params(**{"tables.rows": ["first", "second"]}), definitions)
    assert "\n" not in str(error.value)
    assert plan_rows(make_params(), definitions), "rows that are not selected may be unfinished"


def test_a_plan_is_read_back_as_it_was_written(
    tmp_path: Path, shipped: Definitions, plan: Callable, select: Callable
) -> None:
    plans = plan(shipped, select())
    write_plans(plans, tmp_path)
    assert load_plans(tmp_path) == plans


@pytest.mark.parametrize("content", [None, "{", "[]", '{"row": "x"}'])
def test_a_plan_that_is_missing_or_damaged_says_what_to_run(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(PipelineError, match=r"x\.json: expected the plan of a row.*dvc repro tables/dvc\.yaml"):
        load_plan(path)


def test_the_code_behind_a_plan_is_that_of_its_own_method(
    shipped: Definitions, plan: Callable, select: Callable
) -> None:
    plans = plan(shipped, select("psa_v"))
    assert plans["cpsp_full"].code == plans["cpsp_weak"].code == plans["psa_v"].code
    assert plans["psp_full"].code == plans["psp_full_common"].code
    methods = methods_of("localization")
    assert len({plans[f"{method}_full"].code for method in methods}) == len(methods)


def test_a_plan_is_named_by_what_trains_and_scores_its_row(
    shipped: Definitions, plan: Callable, select: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "source_fingerprint", lambda *modules: " ".join(modules))
    of_task = "pipeline.training.localization.terms pipeline.training.localization.dataset"
    entry = f"pipeline.tables.running pipeline.methods.cpsp models.localization.psp {of_task}"
    assert plan(shipped, select())["cpsp_weak"].code == entry
    assert "pipeline.training.loop" in import_closure("pipeline.tables.running")

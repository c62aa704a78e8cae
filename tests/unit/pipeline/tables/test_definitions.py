from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import ParamsError
from pipeline.methods.registry import METHODS
from pipeline.params.schema import Params, TablesParams, load_params
from pipeline.tables.definitions import Definitions, load_definitions, resolve_row, select_rows, values_of

ROOT = Path(__file__).resolve().parents[4]
PRESETS = sorted(ROOT.glob("data/*/preset.yaml"))
TAU = {
    "label": "tau 0.05",
    "method": "cpsp",
    "supervision": "full",
    "changes": {"train.cpsp.full.tau": 0.05},
}
TABLE = {"title": "Tau", "base": "cpsp_full", "rows": ["tau", "cpsp_full"]}


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.parent.name)
def test_every_shipped_row_can_be_trained_under_every_preset(shipped: Definitions, preset: Path) -> None:
    params = load_params(preset)
    plain = {name: values_of(resolve_row(params, name, row, None)) for name, row in shipped.methods.items()}
    for name, row in shipped.ablations.items():
        values = values_of(resolve_row(params, name, row, None))
        assert values != plain[f"{row.method}_{row.supervision}"], f"{name} trains what the method's own row does"
        assert {key: values[key] for key in row.changes} == row.changes


def test_presets_select_all_rows_but_that_of_the_embedded_data_set(shipped: Definitions) -> None:
    for preset in PRESETS:
        tables = load_params(preset).tables
        if preset.parent.name == "synthetic":
            assert (tables.methods, tables.supervisions, tables.ablations) == (["psp", "cpsp"], ["full", "weak"], [])
        else:
            assert (tables.methods, tables.supervisions) == (list(METHODS), ["full", "weak"])
            assert tables.ablations == list(shipped.ablations)
            assert tables.num_epochs is None


def test_the_ablations_of_the_paper_are_there(shipped: Definitions, published: Params) -> None:
    def terms(name: str) -> tuple[float, float, float]:
        settings = resolve_row(published, name, shipped.rows[name], None).train.settings
        return settings.avpsp.weight, settings.spsa.weight, settings.vpsa.weight

    assert terms("cpsp_full") == (100, 0.01, 1)
    assert terms("psp_on_cpsp_schedule") == (100, 0, 0)
    assert terms("psa_s") == (100, 0.01, 0)
    assert terms("psa_v") == (100, 0, 1)
    swept = {key for row in shipped.ablations.values() for key in row.changes}
    for key in ("tau", "spsa.form", "spsa.weight", "vpsa.weight", "vpsa.form", "vpsa.margin", "vpsa.num_negatives"):
        assert f"train.cpsp.full.{key}" in swept
    assert {"sspsp_full", "sspsp_weak"} <= set(shipped.rows)


def test_every_method_has_a_row_for_either_supervision(shipped: Definitions) -> None:
    assert set(shipped.methods) == {f"{method}_{supervision}" for method in METHODS for supervision in ("full", "weak")}
    assert shipped.methods["cpsp_weak"].label == "CPSP"


@pytest.mark.parametrize(
    ("ablations", "tables", "message"),
    [
        ({"tau": TAU}, {"t": {**TABLE, "rows": ["tau", "tow", "cpsp_full"]}}, "table t: no row is called tow"),
        ({"tau": TAU}, {"t": {**TABLE, "rows": ["tau"]}}, "its base cpsp_full is not among its rows"),
        ({"tau": TAU}, {"t": {**TABLE, "rows": ["psp_full", "cpsp_full"]}}, "tau is in no table"),
        ({"psp_full": TAU}, {"t": {**TABLE, "rows": ["psp_full", "cpsp_full"]}}, "psp_full is a method's own row"),
        ({"tau": TAU}, {"t": {**TABLE, "shows": "train.cpsp.weak.tau"}}, "tau has no train.cpsp.weak.tau"),
        ({"tau": {**TAU, "method": "pcsp"}}, {"t": TABLE}, r"ablations\.tau\.method: expected 'avel'"),
        ({"tau": {**TAU, "sets": {}}}, {"t": TABLE}, r"ablations\.tau\.sets: expected no such key"),
        ({"../tau": TAU}, {"t": TABLE}, "1 faulty key"),
    ],
)
def test_faulty_definitions_are_refused_in_one_line(
    rows_file: Callable, ablations: dict, tables: dict, message: str
) -> None:
    assert load_definitions(rows_file({"tau": TAU}, {"t": TABLE})).ablations.keys() == {"tau"}
    with pytest.raises(ParamsError, match=message) as error:
        load_definitions(rows_file(ablations, tables))
    assert "\n" not in str(error.value)


def test_rows_are_the_product_of_methods_and_supervisions_and_the_ablations(
    shipped: Definitions, select: Callable[..., TablesParams]
) -> None:
    selection = select(supervisions=["full", "weak"], ablations=["psa_v"])
    assert select_rows(shipped, selection) == ["psp_full", "psp_weak", "cpsp_full", "cpsp_weak", "psa_v"]
    with pytest.raises(ParamsError, match=r"found psa_x; choose from .*psa_v"):
        select_rows(shipped, select(ablations=["psa_x"]))


@pytest.mark.parametrize("key", ["train.seed", "train.device", "train.cpsp.weak.tau", "train.weak.background_clips"])
def test_a_key_that_the_rows_training_does_not_read_is_refused(
    rows_file: Callable, make_params: Callable, key: str
) -> None:
    definitions = load_definitions(rows_file({"tau": {**TAU, "changes": {key: 1}}}, {"t": TABLE}))
    with pytest.raises(ParamsError, match=f"row tau: expected keys that its training reads.*found {key}"):
        resolve_row(make_params(), "tau", definitions.rows["tau"], None)


def test_background_clips_can_be_varied_under_weak_supervision(rows_file: Callable, make_params: Callable) -> None:
    row = {**TAU, "supervision": "weak", "changes": {"train.weak.background_clips": False}}
    table = {"title": "x", "base": "cpsp_weak", "rows": ["tau", "cpsp_weak"]}
    definitions = load_definitions(rows_file({"tau": row}, {"t": table}))
    assert (
        values_of(resolve_row(make_params(), "tau", definitions.rows["tau"], None))["train.weak.background_clips"]
        is False
    )


def test_epochs_given_for_all_rows_yield_to_those_of_a_row(rows_file: Callable, make_params: Callable) -> None:
    longer = {**TAU, "changes": {"train.cpsp.full.num_epochs": 7}}
    table = {**TABLE, "rows": ["tau", "longer", "cpsp_full"]}
    definitions = load_definitions(rows_file({"tau": TAU, "longer": longer}, {"t": table}))
    epochs = {
        name: resolve_row(make_params(), name, definitions.rows[name], 3).train.settings.num_epochs
        for name in ("cpsp_full", "tau", "longer")
    }
    assert epochs == {"cpsp_full": 3, "tau": 3, "longer": 7}


def test_the_stage_of_a_row_is_called_as_dvc_calls_it(shipped: Definitions) -> None:
    assert shipped.target("psp_weak", 3) == "tables/dvc.yaml:methods@psp-weak-3"
    assert shipped.target("psa_v", 3) == "tables/dvc.yaml:ablations@psa_v-3"


@pytest.mark.parametrize("supervision", ["full", "weak"])
def test_a_table_of_a_supervision_shows_every_method_and_the_base_last(shipped: Definitions, supervision: str) -> None:
    rows = shipped.tables[supervision].rows
    assert set(rows) == {f"{method}_{supervision}" for method in METHODS}
    assert (len(rows), rows[-1]) == (len(METHODS), f"cpsp_{supervision}")

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import ParamsError
from pipeline.methods.registry import METHODS, methods_of
from pipeline.methods.settings import Supervision, Task
from pipeline.params.schema import Params, TablesParams, TrainParams, load_params
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
PARSED = {
    "label": "CPSP (parsing), tau 0.05",
    "method": "mmil_cpsp",
    "supervision": "weak",
    "changes": {"train.mmil_cpsp.weak.tau": 0.05},
}
PARSED_TABLE = {"title": "Tau", "base": "mmil_cpsp_weak", "rows": ["parsed", "mmil_cpsp_weak"]}


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.parent.name)
def test_every_shipped_row_can_be_trained_under_every_preset_of_its_task(preset: Path) -> None:
    params = load_params(preset)
    shipped = load_definitions(ROOT / "tables/rows.yaml", params.dataset.task)
    plain = {name: values_of(resolve_row(params, name, row, None)) for name, row in shipped.methods.items()}
    idle = set()
    for name, row in shipped.ablations.items():
        values = values_of(resolve_row(params, name, row, None))
        if values == plain[f"{row.method}_{row.supervision}"]:
            idle.add(name)
        assert {key: values[key] for key in row.changes} == row.changes
    # The embedded data set's params have the intended forms themselves; it selects none of these rows.
    is_embedded = params.dataset.format == "synthetic"
    intended = {name for name in shipped.ablations if name.endswith("_intended")} if is_embedded else set()
    assert idle == intended, "they train what the method's own row does"


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.parent.name)
def test_presets_select_all_rows_but_those_of_the_embedded_data_sets(preset: Path) -> None:
    dataset, tables = load_params(preset).dataset, load_params(preset).tables
    shipped = load_definitions(ROOT / "tables/rows.yaml", dataset.task)
    if dataset.format == "synthetic":
        few = {
            "localization": ["psp_full", "cpsp_full", "psp_weak", "cpsp_weak"],
            "parsing": ["han_weak", "mmil_psp_weak", "mmil_cpsp_weak"],
        }
        assert tables.rows == few[dataset.task]
    else:
        assert tables.rows == list(shipped.rows)
        assert tables.num_epochs is None


def test_the_ablations_of_the_paper_are_there(shipped: Definitions, published: Params) -> None:
    def terms(name: str) -> tuple[float, float, float]:
        settings = resolve_row(published, name, shipped.rows[name], None).train.settings
        return settings.avpsp.weight, settings.spsa.weight, settings.vpsa.weight

    assert terms("cpsp_full") == (100, 0.01, 1)
    assert terms("psa_s") == (100, 0.01, 0)
    assert terms("psa_v") == (100, 0, 1)
    swept = {key for row in shipped.ablations.values() for key in row.changes}
    for key in ("tau", "spsa.form", "spsa.weight", "vpsa.weight", "vpsa.form", "vpsa.margin", "vpsa.num_negatives"):
        assert f"train.cpsp.full.{key}" in swept
    assert {"sspsp_full", "sspsp_weak"} <= set(shipped.rows)


@pytest.mark.parametrize(("supervision", "contrasts"), [("full", {"spsa", "vpsa"}), ("weak", {"vpsa"})])
def test_psp_as_cpsp_has_it_is_cpsp_without_its_contrasts(
    published: Params, supervision: Supervision, contrasts: set[str]
) -> None:
    train = published.train
    expected = getattr(train.cpsp, supervision).model_dump(exclude=contrasts)
    assert getattr(train.psp_cpsp, supervision).model_dump() == expected
    psp, cpsp = METHODS["psp_cpsp"], METHODS["cpsp"]
    assert psp.networks == cpsp.networks
    assert psp.terms[supervision] == tuple(term for term in cpsp.terms[supervision] if term not in contrasts)
    assert psp.recipes == cpsp.recipes


def test_psp_of_parsing_is_cpsp_of_parsing_without_its_contrast_of_clips(llp: Params) -> None:
    train = llp.train
    assert train.mmil_psp.weak.model_dump() == train.mmil_cpsp.weak.model_dump(exclude={"vpsa"})
    psp, cpsp = METHODS["mmil_psp"], METHODS["mmil_cpsp"]
    assert (psp.networks, psp.recipes, psp.rule) == (cpsp.networks, cpsp.recipes, cpsp.rule)
    assert psp.terms["weak"] == tuple(term for term in cpsp.terms["weak"] if term != "vpsa")


def test_the_ablations_of_parsing_switch_its_contrasts(shipped_parsing: Definitions, llp: Params) -> None:
    def terms(name: str) -> tuple[float, float]:
        settings = resolve_row(llp, name, shipped_parsing.rows[name], None).train.settings
        return settings.synchrony.weight, settings.vpsa.weight

    assert terms("mmil_cpsp_weak") == (1, 1)
    assert terms("parsing_no_synchrony") == (0, 1)
    assert terms("parsing_tags_alone") == (0, 0)
    swept = {key for row in shipped_parsing.ablations.values() for key in row.changes}
    assert {f"train.mmil_cpsp.weak.{key}" for key in ("tau", "vpsa.form", "visual_smoothing")} <= swept
    gates = {
        (row.method, row.changes["evaluate.gate"])
        for row in shipped_parsing.ablations.values()
        if "evaluate.gate" in row.changes
    }
    other = {"global_gate": "own", "own_gate": "global"}
    assert gates == {(name, other[method.rule]) for name, method in methods_of("parsing").items()}


@pytest.mark.parametrize("task", ["localization", "parsing"])
def test_every_method_has_a_row_for_each_of_its_supervisions(task: Task) -> None:
    shipped = load_definitions(ROOT / "tables/rows.yaml", task)
    own = {f"{name}_{supervision}" for name, method in methods_of(task).items() for supervision in method.supervisions}
    assert {name for name in shipped.methods if not name.endswith("_common")} == own
    assert not {"cacenet_weak", "ave_dmrn_weak", "han_full"} & own


def test_a_row_is_labelled_with_its_method(shipped: Definitions) -> None:
    assert shipped.methods["cpsp_weak"].label == "CPSP"


def test_methods_with_a_recipe_of_their_own_have_a_row_with_the_common_one(shipped: Definitions) -> None:
    common = {name.removesuffix("_common") for name in shipped.methods if name.endswith("_common")}
    assert common == {
        *("ave_att_full", "ave_dmrn_full", "cmran_full", "psp_full", "cmbs_full", "cacenet_full"),
        *("ave_att_weak", "cmran_weak", "psp_weak", "cmbs_weak"),
    }
    assert shipped.methods["psp_full_common"].label == "PSP, common recipe"


def test_under_the_common_recipe_no_method_of_parsing_keeps_the_last_epoch(
    shipped_parsing: Definitions, llp: Params
) -> None:
    common = [name for name in shipped_parsing.methods if name.endswith("_common")]
    assert common == ["han_weak_common", "mmil_psp_weak_common", "mmil_cpsp_weak_common"]
    trains = [resolve_row(llp, name, shipped_parsing.methods[name], None).train for name in common]
    assert not any(train.conduct.selection.keeps_last for train in trains)
    assert {train.settings.num_epochs for train in trains} == {12}
    assert resolve_row(llp, "han_weak", shipped_parsing.methods["han_weak"], None).train.settings.num_epochs == 40


def test_rows_and_tables_are_those_of_the_task(shipped: Definitions, shipped_parsing: Definitions) -> None:
    assert {row.task for row in shipped.rows.values()} == {"localization"}
    assert {row.task for row in shipped_parsing.rows.values()} == {"parsing"}
    for definitions, other in ((shipped, shipped_parsing), (shipped_parsing, shipped)):
        assert all(row in definitions.rows for table in definitions.tables.values() for row in table.rows)
        assert dict(definitions.elsewhere) == dict.fromkeys(other.rows, other.task)
        assert not set(definitions.tables) & set(other.tables)
    assert {"full", "weak", "tau"} < set(shipped.tables)
    assert {"parsing", "parsing_tau", "han_gate"} < set(shipped_parsing.tables)


@pytest.mark.parametrize("recipe", ["authors", "common"])
def test_a_row_has_its_own_recipe_whatever_the_params_say(
    shipped: Definitions, make_params: Callable, recipe: str
) -> None:
    params = make_params(**{"train.recipe": recipe})

    def train(name: str) -> TrainParams:
        return resolve_row(params, name, shipped.rows[name], None).train

    assert (train("psp_full").recipe, train("psp_full_common").recipe) == ("authors", "common")
    assert (train("cpsp_full").recipe, train("tau_050").recipe) == ("authors", "authors")
    assert train("psp_weak").conduct != train("psp_weak_common").conduct == train("cpsp_weak").conduct


@pytest.mark.parametrize(
    ("ablations", "tables", "message"),
    [
        ({"tau": TAU}, {"t": {**TABLE, "rows": ["tau", "tow", "cpsp_full"]}}, "table t: no row is called tow"),
        ({"tau": TAU}, {"t": {**TABLE, "rows": ["tau"]}}, "its base cpsp_full is not among its rows"),
        ({"tau": TAU}, {"t": {**TABLE, "rows": ["psp_full", "cpsp_full"]}}, "tau is in no table"),
        ({"psp_full": TAU}, {"t": {**TABLE, "rows": ["psp_full", "cpsp_full"]}}, "psp_full is a method's own row"),
        ({"tau": TAU}, {"t": {**TABLE, "shows": "train.cpsp.weak.tau"}}, "tau has no train.cpsp.weak.tau"),
        ({"psp_full_common": TAU}, {"t": {**TABLE, "rows": ["psp_full_common", "cpsp_full"]}}, "a method's own row"),
        (
            {"tau": {**TAU, "method": "pcsp"}},
            {"t": TABLE},
            r"ablations\.tau\.method: expected ave_att \| .* \| han \| ",
        ),
        ({"tau": {**TAU, "sets": {}}}, {"t": TABLE}, r"ablations\.tau\.sets: expected no such key"),
        ({"../tau": TAU}, {"t": TABLE}, "1 faulty key"),
        ({"parsed": PARSED}, {"t": {**PARSED_TABLE, "rows": ["mmil_cpsp_weak"]}}, "parsed is in no table"),
        ({"parsed": PARSED}, {"t": {**PARSED_TABLE, "rows": ["parsed"]}}, "base mmil_cpsp_weak is not among its rows"),
        (
            {"parsed": PARSED},
            {"t": {**PARSED_TABLE, "shows": "train.han.weak.tau"}},
            r"parsed has no train\.han\.weak\.tau",
        ),
        ({"parsed": PARSED}, {"t": {**PARSED_TABLE, "rows": "full"}}, "base mmil_cpsp_weak is not among its rows"),
        ({"han_weak": PARSED}, {"t": {**PARSED_TABLE, "rows": "weak"}}, "han_weak is a method's own row"),
        (
            {"tau": TAU, "parsed": PARSED},
            {"t": {**PARSED_TABLE, "rows": ["tau", "parsed", "mmil_cpsp_weak"]}},
            "table t: tau is of localization, its base of parsing",
        ),
        (
            {"tau": TAU},
            {"t": TABLE, "u": {**TABLE, "base": "cspp_full", "rows": "full"}},
            "its base cspp_full is not among",
        ),
    ],
)
@pytest.mark.parametrize("task", ["localization", "parsing"])
def test_faulty_definitions_are_refused_in_one_line_whatever_the_task(
    rows_file: Callable, ablations: dict, tables: dict, message: str, task: Task
) -> None:
    good = load_definitions(rows_file({"tau": TAU, "parsed": PARSED}, {"t": TABLE, "u": PARSED_TABLE}), task)
    assert list(good.ablations) == (["tau"] if task == "localization" else ["parsed"])
    assert list(good.tables) == (["t"] if task == "localization" else ["u"])
    with pytest.raises(ParamsError, match=message) as error:
        load_definitions(rows_file(ablations, tables), task)
    assert "\n" not in str(error.value)


def test_rows_are_trained_as_they_are_listed(shipped: Definitions, select: Callable[..., TablesParams]) -> None:
    rows = ["psp_full", "cpsp_full", "psp_full_common", "psa_v"]
    assert select_rows(shipped, select("psp_full_common", "psa_v")) == rows


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("psa_x", "psa_[sv], psa_[sv]$"), ("cacenet_weak", "cacenet_full"), ("xyz", "ave_att_full, .*, weak_negatives_6")],
)
def test_a_row_that_does_not_exist_is_refused_with_those_that_are_near(
    shipped: Definitions, select: Callable[..., TablesParams], name: str, remedy: str
) -> None:
    message = rf"^tables\.rows: expected rows .* found {name}; choose from .*{remedy}"
    with pytest.raises(ParamsError, match=message) as error:
        select_rows(shipped, select(name))
    assert "\n" not in str(error.value)


def test_a_row_of_another_task_is_refused_with_its_task(
    shipped: Definitions, shipped_parsing: Definitions, select: Callable[..., TablesParams]
) -> None:
    with pytest.raises(
        ParamsError, match=r"^tables\.rows: expected rows of parsing, .* found psp_full \(of loc"
    ) as error:
        select_rows(shipped_parsing, select("han_weak"))
    assert "han_weak" not in str(error.value)
    assert "\n" not in str(error.value)
    message = (
        r"^tables\.rows: expected rows of localization, .* found han_weak \(of parsing\), parsing_tau_050 \(of pars"
    )
    with pytest.raises(ParamsError, match=message):
        select_rows(shipped, select("han_weak", "parsing_tau_050"))


@pytest.mark.parametrize(
    "key",
    [
        *("train.seed", "train.device", "train.cpsp.weak.tau", "train.weak.background_clips"),
        *("train.common.full.num_epochs", "evaluate.gate"),
    ],
)
def test_a_key_that_the_rows_training_does_not_read_is_refused(
    rows_file: Callable, make_params: Callable, key: str
) -> None:
    definitions = load_definitions(rows_file({"tau": {**TAU, "changes": {key: 1}}}, {"t": TABLE}), "localization")
    with pytest.raises(ParamsError, match=f"row tau: expected keys that its training reads.*found {key}"):
        resolve_row(make_params(), "tau", definitions.rows["tau"], None)


@pytest.mark.parametrize(
    "key",
    [
        *("evaluate.num_resamples", "train.han.weak.visual_smoothing", "train.common.weak.num_epochs"),
        "train.weak.background_clips",
    ],
)
def test_a_key_that_a_row_of_parsing_does_not_read_is_refused(rows_file: Callable, llp: Params, key: str) -> None:
    definitions = load_definitions(
        rows_file({"parsed": {**PARSED, "changes": {key: 1}}}, {"t": PARSED_TABLE}), "parsing"
    )
    with pytest.raises(ParamsError, match=f"row parsed: expected keys .*train.mmil_cpsp.weak.*gate, found {key}"):
        resolve_row(llp, "parsed", definitions.rows["parsed"], None)


def test_a_faulty_value_of_a_row_is_found_under_the_params_of_its_task(rows_file: Callable, llp: Params) -> None:
    faulty = {**PARSED, "changes": {"train.mmil_cpsp.weak.tau": 7}}
    definitions = load_definitions(rows_file({"parsed": faulty}, {"t": PARSED_TABLE}), "parsing")
    with pytest.raises(ParamsError, match=r"row parsed has 1 faulty key: train\.mmil_cpsp\.weak\.tau"):
        resolve_row(llp, "parsed", definitions.rows["parsed"], None)


def test_a_row_of_parsing_has_its_authors_gate_whatever_the_params_say(
    shipped_parsing: Definitions, llp: Params
) -> None:
    params = llp.model_copy(update={"evaluate": llp.evaluate.model_copy(update={"gate": "own"})})
    gates = {
        name: values_of(resolve_row(params, name, row, None))["evaluate.gate"]
        for name, row in shipped_parsing.rows.items()
    }
    assert {name: gate for name, gate in gates.items() if gate != "authors"} == {
        "han_own_gate": "own",
        "mmil_psp_global_gate": "global",
        "mmil_cpsp_global_gate": "global",
    }


def test_rows_of_localization_have_no_gate_of_segments(shipped: Definitions, published: Params) -> None:
    row = shipped.rows["cpsp_full"]
    assert "evaluate.gate" not in values_of(resolve_row(published, "cpsp_full", row, None))
    assert "evaluate.gate" not in row.shared_keys


@pytest.fixture
def psp_common(rows_file: Callable, make_params: Callable) -> Callable[..., Params]:
    """Return a maker of the params of a row of PSP with the common recipe and `changes`."""

    def resolve(num_epochs: int | None = None, **changes: object) -> Params:
        row = {"label": "x", "method": "psp", "supervision": "full"}
        table = {"title": "x", "base": "psp_full_common", "rows": ["made_up", "psp_full_common"]}
        row["changes"] = {"train.recipe": "common", **changes}
        definitions = load_definitions(rows_file({"made_up": row}, {"t": table}), "localization")
        (definition,) = definitions.ablations.values()
        return resolve_row(make_params(), "made_up", definition, num_epochs)

    return resolve


def test_recipe_and_initial_weights_can_be_varied(psp_common: Callable) -> None:
    values = values_of(psp_common(**{"train.initialisation": "xavier", "train.common.full.batch_size": 5}))
    assert (values["train.recipe"], values["train.initialisation"]) == ("common", "xavier")
    assert values["train.common.full.batch_size"] == 5
    assert "train.psp.full.tau" in values
    assert "train.psp.full.batch_size" not in values, "it is not read"
    with pytest.raises(ParamsError, match=r"train\.recipe: expected 'authors' or 'common', found 'mine'"):
        psp_common(**{"train.recipe": "mine"})


def test_a_row_with_the_common_recipe_reads_no_other_schedule(psp_common: Callable) -> None:
    message = r"reads: train\.psp\.full\.…, train\.common\.full\.….*found train\.psp\.full\.num_epochs"
    with pytest.raises(ParamsError, match=message):
        psp_common(**{"train.psp.full.num_epochs": 7})


def test_epochs_given_for_all_rows_are_those_of_the_common_recipe_too(psp_common: Callable) -> None:
    assert psp_common(3).train.settings.num_epochs == 3
    assert psp_common(3, **{"train.common.full.num_epochs": 7}).train.settings.num_epochs == 7


def test_background_clips_can_be_varied_under_weak_supervision(rows_file: Callable, make_params: Callable) -> None:
    row = {**TAU, "supervision": "weak", "changes": {"train.weak.background_clips": False}}
    table = {"title": "x", "base": "cpsp_weak", "rows": ["tau", "cpsp_weak"]}
    definitions = load_definitions(rows_file({"tau": row}, {"t": table}), "localization")
    assert (
        values_of(resolve_row(make_params(), "tau", definitions.rows["tau"], None))["train.weak.background_clips"]
        is False
    )


def test_epochs_given_for_all_rows_yield_to_those_of_a_row(rows_file: Callable, make_params: Callable) -> None:
    longer = {**TAU, "changes": {"train.cpsp.full.num_epochs": 7}}
    table = {**TABLE, "rows": ["tau", "longer", "cpsp_full"]}
    definitions = load_definitions(rows_file({"tau": TAU, "longer": longer}, {"t": table}), "localization")
    epochs = {
        name: resolve_row(make_params(), name, definitions.rows[name], 3).train.settings.num_epochs
        for name in ("cpsp_full", "tau", "longer")
    }
    assert epochs == {"cpsp_full": 3, "tau": 3, "longer": 7}


def test_the_stage_of_a_row_is_called_as_dvc_calls_it(shipped: Definitions) -> None:
    assert shipped.target("psp_weak", 3) == "tables/dvc.yaml:rows@psp_weak-3"
    assert shipped.target("psa_v", 3) == "tables/dvc.yaml:rows@psa_v-3"


@pytest.mark.parametrize(
    ("task", "table", "supervision", "base"),
    [
        ("localization", "full", "full", "cpsp_full"),
        ("localization", "weak", "weak", "cpsp_weak"),
        ("parsing", "parsing", "weak", "mmil_cpsp_weak"),
    ],
)
def test_a_table_of_a_supervision_shows_every_method_of_its_task_and_the_base_last(
    task: Task, table: str, supervision: str, base: str
) -> None:
    shipped = load_definitions(ROOT / "tables/rows.yaml", task)
    rows = shipped.tables[table].rows
    assert set(rows) == {name for name, row in shipped.methods.items() if row.supervision == supervision}
    assert len(set(rows)) == len(rows)
    assert rows[-1] == base
    for number, name in enumerate(rows):
        if name.endswith("_common") and name != f"{base}_common":
            assert rows[number - 1] == name.removesuffix("_common")

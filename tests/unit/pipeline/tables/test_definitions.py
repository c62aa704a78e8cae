from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import ParamsError
from pipeline.methods.registry import METHODS
from pipeline.methods.settings import Supervision
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


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.parent.name)
def test_every_shipped_row_can_be_trained_under_every_preset(shipped: Definitions, preset: Path) -> None:
    params = load_params(preset)
    plain = {name: values_of(resolve_row(params, name, row, None)) for name, row in shipped.methods.items()}
    idle = set()
    for name, row in shipped.ablations.items():
        values = values_of(resolve_row(params, name, row, None))
        if values == plain[f"{row.method}_{row.supervision}"]:
            idle.add(name)
        assert {key: values[key] for key in row.changes} == row.changes
    # The embedded data set's params have the intended forms themselves; it selects none of these rows.
    is_embedded = preset.parent.name == "synthetic"
    intended = {name for name in shipped.ablations if name.endswith("_intended")} if is_embedded else set()
    assert idle == intended, "they train what the method's own row does"


def test_presets_select_all_rows_but_that_of_the_embedded_data_set(shipped: Definitions) -> None:
    for preset in PRESETS:
        tables = load_params(preset).tables
        if preset.parent.name == "synthetic":
            assert tables.rows == ["psp_full", "cpsp_full", "psp_weak", "cpsp_weak"]
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


def test_every_method_has_a_row_for_each_of_its_supervisions(shipped: Definitions) -> None:
    own = {f"{name}_{supervision}" for name, method in METHODS.items() for supervision in method.supervisions}
    assert {name for name in shipped.methods if not name.endswith("_common")} == own
    assert not {"cacenet_weak", "ave_dmrn_weak"} & own
    assert shipped.methods["cpsp_weak"].label == "CPSP"


def test_methods_with_a_recipe_of_their_own_have_a_row_with_the_common_one(shipped: Definitions) -> None:
    common = {name.removesuffix("_common") for name in shipped.methods if name.endswith("_common")}
    assert common == {
        *("ave_att_full", "ave_dmrn_full", "cmran_full", "psp_full", "cmbs_full", "cacenet_full"),
        *("ave_att_weak", "cmran_weak", "psp_weak", "cmbs_weak"),
    }
    assert shipped.methods["psp_full_common"].label == "PSP, common recipe"


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
        ({"tau": {**TAU, "method": "pcsp"}}, {"t": TABLE}, r"ablations\.tau\.method: expected 'ave_att'"),
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


@pytest.mark.parametrize(
    "key",
    [
        *("train.seed", "train.device", "train.cpsp.weak.tau", "train.weak.background_clips"),
        "train.common.full.num_epochs",
    ],
)
def test_a_key_that_the_rows_training_does_not_read_is_refused(
    rows_file: Callable, make_params: Callable, key: str
) -> None:
    definitions = load_definitions(rows_file({"tau": {**TAU, "changes": {key: 1}}}, {"t": TABLE}))
    with pytest.raises(ParamsError, match=f"row tau: expected keys that its training reads.*found {key}"):
        resolve_row(make_params(), "tau", definitions.rows["tau"], None)


@pytest.fixture
def psp_common(rows_file: Callable, make_params: Callable) -> Callable[..., Params]:
    """Return a maker of the params of a row of PSP with the common recipe and `changes`."""

    def resolve(num_epochs: int | None = None, **changes: object) -> Params:
        row = {"label": "x", "method": "psp", "supervision": "full"}
        table = {"title": "x", "base": "psp_full_common", "rows": ["made_up", "psp_full_common"]}
        row["changes"] = {"train.recipe": "common", **changes}
        (definition,) = load_definitions(rows_file({"made_up": row}, {"t": table})).ablations.values()
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
    assert shipped.target("psp_weak", 3) == "tables/dvc.yaml:rows@psp_weak-3"
    assert shipped.target("psa_v", 3) == "tables/dvc.yaml:rows@psa_v-3"


@pytest.mark.parametrize("supervision", ["full", "weak"])
def test_a_table_of_a_supervision_shows_every_method_and_the_base_last(shipped: Definitions, supervision: str) -> None:
    rows = shipped.tables[supervision].rows
    assert set(rows) == {name for name, row in shipped.methods.items() if row.supervision == supervision}
    assert len(set(rows)) == len(rows)
    assert rows[-1] == f"cpsp_{supervision}"
    for number, name in enumerate(rows):
        if name.endswith("_common"):
            assert rows[number - 1] == name.removesuffix("_common")

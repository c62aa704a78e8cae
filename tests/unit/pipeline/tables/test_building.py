from collections.abc import Callable

import pytest

from pipeline.params.schema import EvaluateParams, Params
from pipeline.tables.building import Results, build_table, describe_caveats
from pipeline.tables.definitions import Definitions
from pipeline.tables.published import Differences
from pipeline.tables.reported import ReportedNumber
from pipeline.tables.scores import RowScores, score_row
from pipeline.tables.table import Table

ACCURACY = ["segment_accuracy"]
PARAMS = EvaluateParams(num_resamples=200, confidence=0.9, seed=0)
VALIDATION, TEST = "Best epoch on validation", "Best epoch on test"


@pytest.fixture
def build(shipped: Definitions, select: Callable, plan: Callable, write_runs: Callable) -> Callable[..., Table | None]:
    """Return a builder of a shipped table from made-up runs with two seeds."""

    def make(
        name: str = "full",
        *,
        reported: tuple[ReportedNumber, ...] = (),
        differences: dict[str, Differences] | None = None,
        **rows: list[float | str | None],
    ) -> Table | None:
        runs = write_runs(**rows)
        scores = {row: score_row(row, runs, range(1, len(of) + 1), ACCURACY, PARAMS) for row, of in rows.items()}
        plans = plan(shipped, select(*(row for row in rows if row in shipped.ablations)))
        results = Results(shipped, plans, scores, reported, differences or {}, PARAMS)
        return build_table(name, shipped.tables[name], results)

    return make


def cells(table: Table, heading: str, group: str = "") -> list[str]:
    (column,) = (column for column in table.columns if (column.group, column.heading) == (group, heading))
    return list(column.cells)


def headings(table: Table, group: str) -> list[str]:
    return [column.heading for column in table.columns if column.group == group]


def test_either_choice_of_the_epoch_has_columns_of_its_own(build: Callable) -> None:
    table = build(psp_full=[70, 73], cpsp_full=[75, 76])
    assert cells(table, "") == ["PSP", "CPSP"]
    assert cells(table, "Seeds") == ["2", "2"]
    assert cells(table, "Clips") == ["40 of 42", "40 of 42"]
    assert cells(table, "Accuracy, %", VALIDATION) == ["71.5 ± 2.1", "75.5 ± 0.7"]
    assert cells(table, "Accuracy, %", TEST) == ["72.5 ± 2.1", "76.5 ± 0.7"]
    low, high = map(float, cells(table, "90 % interval", VALIDATION)[0].split("–"))
    assert low < 71.5 < high
    assert headings(table, VALIDATION) == headings(table, TEST) == ["Accuracy, %", "90 % interval"]


def test_a_published_number_stands_beside_the_epoch_that_its_authors_chose(
    build: Callable, make_number: Callable
) -> None:
    reported = (
        make_number("psp_full", 77.8, "test", provenance="recalled"),
        make_number("cpsp_full", 74.0, "validation"),
    )
    table = build(psp_full=[70, 73], cpsp_full=[75, 76], reported=reported)
    assert cells(table, "Published", VALIDATION) == ["–", "74.0"]
    assert cells(table, "Difference", VALIDATION) == ["–", "+1.5"]
    assert cells(table, "Published", TEST) == ["77.8†", "–"]
    assert cells(table, "Difference", TEST) == ["−5.3", "–"]
    psp, cpsp = table.values
    assert (psp["validation_selected_published"], psp["test_selected_published"]) == ("", "77.8†")
    assert (cpsp["validation_selected_published"], cpsp["test_selected_published"]) == ("74.0", "")
    assert psp["test_selected_difference"] == "-5.3000"
    assert psp["test_selected_provenance"] == "recalled"
    assert "† recalled, not yet looked up in the publication." in table.notes


def test_a_published_number_of_an_unknown_epoch_stands_in_neither_column(
    build: Callable, make_number: Callable
) -> None:
    table = build(psp_full=[70, 73], reported=(make_number("psp_full", 72.8, "unknown", provenance="recalled"),))
    assert "Published" not in headings(table, VALIDATION) + headings(table, TEST)
    assert "PSP: published 72.8†, epoch not known; it stands in neither column." in table.notes
    assert "† recalled, not yet looked up in the publication." in table.notes


def test_a_published_number_leaves_the_columns_where_other_settings_are_trained(
    build: Callable, make_number: Callable
) -> None:
    reported = (
        make_number("psp_full", 77.8, "test", provenance="recalled"),
        make_number("cpsp_full", 74.0, "validation"),
    )
    differences = {
        "psp_full": {"num_epochs": "8 (300)", "avpsp.targets": "intended (released)"},
        "cpsp_full": {"spsa.form": "paper (released)"},
    }
    table = build(psp_full=[70, 73], cpsp_full=[75, 76], reported=reported, differences=differences)
    assert cells(table, "Published", VALIDATION) == ["–", "74.0"]
    assert "Published" not in headings(table, TEST)
    assert [row["test_selected_published"] for row in table.values] == ["", ""]
    apart = "published 77.8†, not beside it: trained with other settings (num_epochs, avpsp.targets)."
    assert f"PSP: {apart}" in table.notes
    assert "† recalled, not yet looked up in the publication." in table.notes
    assert (
        "PSP, full: not the published settings (those in brackets): num_epochs 8 (300), "
        "avpsp.targets intended (released)."
    ) in table.notes


def test_a_published_number_is_never_beside_the_common_recipe(build: Callable, make_number: Callable) -> None:
    reported = (make_number("psp_full", 77.8, "test"), make_number("psp_full_common", 77.8, "test"))
    table = build(psp_full=[70, 73], psp_full_common=[75, 76], reported=reported)
    assert cells(table, "") == ["PSP", "PSP, common recipe"]
    assert cells(table, "Published", TEST) == ["77.8", "–"]
    assert "PSP, common recipe: published 77.8, not beside it: trained with the common recipe." in table.notes


def test_the_last_epoch_stands_under_validation_where_the_recipe_keeps_it(
    build: Callable, make_number: Callable
) -> None:
    reported = (make_number("ave_att_weak", 66.7, "last"), make_number("psp_weak", 73.5, "last"))
    table = build("weak", ave_att_weak=[66, 67], ave_att_weak_common=[60, 61], psp_weak=[70, 71], reported=reported)
    assert cells(table, "Published", VALIDATION) == ["66.7", "–", "–"]
    kept = "the last validated epoch stands in place of the best on validation, as its authors have it."
    assert [note for note in table.notes if note.endswith(kept)] == [f"AVE (A+V-att): {kept}"]
    assert "PSP: published 73.5, epoch last; it stands in neither column." in table.notes


def test_a_hole_shows_its_reason_and_the_seeds_that_are_left(build: Callable) -> None:
    table = build(
        psp_full=[70, "killed by SIGKILL"], cpsp_full=["loss in epoch 3", "out of memory"], avel_full=[60, 61]
    )
    assert cells(table, "") == ["AVEL", "PSP", "CPSP"]
    assert cells(table, "Seeds") == ["2", "1 of 2", "0 of 2"]
    assert cells(table, "Clips") == ["40 of 42", "40 of 42", "–"]
    assert cells(table, "Accuracy, %", VALIDATION) == ["60.5 ± 0.7", "70.0", "no score"]
    assert cells(table, "90 % interval", TEST)[2] == "–"
    assert "PSP, seed 2: killed by SIGKILL" in table.notes
    assert "CPSP, seed 1: loss in epoch 3" in table.notes
    assert any("may be the luckier ones" in note for note in table.notes)
    assert any("single seed" in note for note in table.notes)
    assert table.values[2]["validation_selected_mean"] == ""
    assert table.values[2]["without_score"] == "seed 1: loss in epoch 3; seed 2: out of memory"
    assert table.sentences == (), "the base has no score"


def test_rows_are_compared_with_the_base_in_words(build: Callable) -> None:
    table = build(avel_full=[40, 40.5], psp_full=[75, 76], cpsp_full=[75, 76])
    below, same = table.sentences
    assert below.startswith("AVEL is 35.2 points below CPSP [")
    assert same.startswith("No difference shown between PSP and CPSP at these seeds: 0.0 points [")
    assert "The p-values are not corrected for the 2 comparisons of this table." in table.notes
    avel, psp, cpsp = table.values
    assert (avel["compared_with"], cpsp["compared_with"], cpsp["in_words"]) == ("cpsp_full", "", "")
    assert float(avel["compared_low"]) <= float(avel["compared_difference"]) == -35.25 <= float(avel["compared_high"])
    assert 0 < float(avel["compared_p_value"]) < 0.1 < float(psp["compared_p_value"])


def test_rows_without_their_base_say_so(build: Callable) -> None:
    table = build(avel_full=[70, 71], psp_full=[75, 76])
    assert table.sentences == ()
    assert "CPSP, which the rows are compared with, was not selected." in table.notes


def test_a_table_of_ablations_appears_with_the_first_of_them(build: Callable) -> None:
    assert build("tau", cpsp_full=[70, 71]) is None
    table = build("tau", cpsp_full=[70, 71], tau_050=[60, 61])
    assert cells(table, "") == ["CPSP, tau 0.05", "CPSP, tau 0.099"], "the base shows the setting that is varied"
    assert build("full", psa_v=[70, 71]) is None


def test_a_table_of_listed_methods_appears_with_the_first_beside_its_base(build: Callable) -> None:
    assert build("weak_terms", cpsp_weak=[70, 71]) is None
    table = build("weak_terms", psp_cpsp_weak=[60, 61], cpsp_weak=[70, 71])
    assert cells(table, "") == ["PSP (CPSP's re-implementation)", "CPSP"]


def test_settings_other_than_published_are_noted_at_the_tables_that_they_concern(build: Callable) -> None:
    differences = {"cpsp_full": {"tau": "0 (0.1)"}, "psp_weak": {"tau": "1 (2)"}}
    notes = build("full", cpsp_full=[70, 71], differences=differences).notes
    assert notes[-1] == "CPSP, full: not the published settings (those in brackets): tau 0 (0.1)."
    assert not any("tau 1 (2)" in note for note in notes)
    of_ablation = build("terms", psa_v=[70, 71], differences=differences).notes
    assert of_ablation[-1] == notes[-1], "it departs from the method's own row"


def scored(write_runs: Callable, weights: str) -> dict[str, RowScores]:
    return {"psp_full": score_row("psp_full", write_runs(psp_full=[70], weights=weights), [1], ACCURACY, PARAMS)}


def test_random_weights_the_embedded_data_set_and_another_split_are_said(
    make_params: Callable, published: Params, write_runs: Callable
) -> None:
    assert describe_caveats(published, scored(write_runs, "keras")) == []
    (caveat,) = describe_caveats(published, scored(write_runs, "random"))
    assert caveat.startswith("Random network weights (visual)")
    (caveat,) = describe_caveats(make_params(), scored(write_runs, "keras"))
    assert caveat.startswith("The embedded data set")
    leak_free = published.model_copy(update={"dataset": published.dataset.model_copy(update={"split": "leak_free"})})
    (caveat,) = describe_caveats(leak_free, scored(write_runs, "keras"))
    assert caveat.startswith("The leak-free split")

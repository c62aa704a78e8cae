from collections.abc import Callable

import pytest

from pipeline.params.schema import Params
from pipeline.tables.definitions import Definitions
from pipeline.tables.planning import plan_rows
from pipeline.tables.published import Differences, comparable, describe, find_differences, place
from pipeline.tables.reported import ReportedNumber


@pytest.fixture
def find(shipped: Definitions, select: Callable, make_params: Callable) -> Callable[..., dict[str, Differences]]:
    """Return a finder of the differences of shipped rows: ``find("psp_full", num_epochs=3)``."""

    def make(*names: str, params: Params | None = None, **changes: object) -> dict[str, Differences]:
        params = (params or make_params()).model_copy(update={"tables": select(**changes)})
        return find_differences(plan_rows(params, shipped), shipped, [shipped.rows[name] for name in names])

    return make


@pytest.fixture
def number(make_number: Callable[..., ReportedNumber]) -> ReportedNumber:
    return make_number("x", 77.8, "test")


def test_the_settings_of_methods_are_compared_with_the_published_ones(shipped: Definitions, find: Callable) -> None:
    differences = find("cpsp_full", "tau_050", "avel_weak", num_epochs=3)
    assert set(differences) == {"cpsp_full", "avel_weak"}
    assert describe(shipped.rows["cpsp_full"], differences["cpsp_full"]) == (
        "CPSP, full: not the published settings (those in brackets): batch_size 16 (64), num_epochs 3 (45), "
        "milestones 20/30 (10/20/30), spsa.form paper (released)."
    )


def test_published_settings_make_no_difference_but_for_the_working_form_of_spsa(
    shipped: Definitions, find: Callable, published: Params
) -> None:
    assert find(*shipped.rows, params=published) == {"cpsp_full": {"spsa.form": "paper (released)"}}
    longer = find(*shipped.methods, params=published, num_epochs=46)
    assert set(longer) == set(shipped.methods)
    assert longer["avel_full"] == {"num_epochs": "46 (45)"}
    assert longer["psp_full"] == {"num_epochs": "46 (300)"}
    assert longer["psp_full_common"] == {"num_epochs": "46 (45)"}, "the common recipe is that of CPSP"


@pytest.mark.parametrize(
    ("key", "value", "differing"),
    [
        ("train.initialisation", "xavier", {"initialisation": "xavier (released)"}),
        ("train.weak.background_clips", False, {"weak.background_clips": "False (auto)"}),
        ("train.recipe", "common", {}),
        ("train.common.weak.num_epochs", 3, {}),
    ],
)
def test_what_else_makes_another_training_is_a_difference(
    make_params: Callable, find: Callable, key: str, value: object, differing: dict[str, str]
) -> None:
    (before,), (after,) = (
        find("psp_weak", params=params).values() for params in (make_params(), make_params(**{key: value}))
    )
    assert {name: after[name] for name in after if name not in before} == differing


def test_a_number_stands_beside_a_training_like_its_authors(shipped: Definitions, number: ReportedNumber) -> None:
    row = shipped.rows["psp_full"]
    beside = {("test", "segment_accuracy"): number}
    assert place([number], row, {}).beside == beside
    assert place([number], row, {"spsa.form": "paper (released)"}).beside == beside
    placement = place([number], row, {"spsa.form": "paper (released)", "num_epochs": "8 (300)"})
    assert placement.beside == {}
    assert placement.apart == [(number, "not beside it: trained with other settings (num_epochs)")]
    placement = place([number], shipped.rows["psp_full_common"], {})
    assert (placement.beside, len(placement.apart)) == ({}, 1)


def test_numbers_of_several_scores_stand_beside_one_row_each_with_its_score(
    shipped_parsing: Definitions, make_number: Callable
) -> None:
    audio, visual = (
        make_number("han_weak", value, "validation", metric=f"segment_{what}")
        for what, value in (("audio", 60.1), ("visual", 52.9))
    )
    beside = place([audio, visual], shipped_parsing.rows["han_weak"], {}).beside
    assert beside == {("validation", "segment_audio"): audio, ("validation", "segment_visual"): visual}


def test_the_last_epoch_is_that_of_a_recipe_that_keeps_it(shipped_parsing: Definitions, make_number: Callable) -> None:
    number = make_number("x", 60.0, "last", metric="segment_audio")
    kept = place([number], shipped_parsing.rows["mmil_cpsp_weak"], {})
    assert list(kept.beside) == [("validation", "segment_audio")]
    assert place([number], shipped_parsing.rows["han_weak"], {}).beside == {}


def test_the_shipped_params_of_llp_are_the_published_ones_but_for_the_working_form_of_vpsa(
    shipped_parsing: Definitions, llp: Params
) -> None:
    params = llp.model_copy(update={"tables": llp.tables.model_copy(update={"rows": ["parsing_tau_050"]})})
    plans = plan_rows(params, shipped_parsing)
    working = {"vpsa.form": "intended (released)"}
    assert find_differences(plans, shipped_parsing, shipped_parsing.rows.values()) == {
        "mmil_cpsp_weak": working,
        "mmil_cpsp_weak_common": working,
    }


def test_only_published_numbers_of_the_same_data_set_and_split_are_compared(
    make_params: Callable, make_number: Callable, published: Params
) -> None:
    own, other = make_number("psp_full", 1, "test"), make_number("psp_full", 1, "test", dataset="vggsound_avel100k")
    numbers = [own, other, make_number("psp_full", 1, "test", kind="rerun")]
    assert comparable(numbers, published) == [own]
    assert comparable(numbers, make_params()) == []
    leak_free = published.model_copy(update={"dataset": published.dataset.model_copy(update={"split": "leak_free"})})
    assert comparable(numbers, leak_free) == []

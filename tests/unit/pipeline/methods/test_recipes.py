"""The recipes: what the authors of each method did around the optimisation, and what all methods share."""

from avel_testing.methods import EVERY_TRAINING, TRAININGS
from pipeline.methods.recipe import COMMON, Selection
from pipeline.methods.registry import METHODS


def test_the_common_recipe_is_that_of_the_cpsp_release() -> None:
    for name in ("cpsp", "sspsp", "psp_cpsp", "avel", "avsdn"):
        for supervision in METHODS[name].supervisions:
            assert METHODS[name].recipe(supervision, "authors") == COMMON
    assert COMMON.order == "shuffled"
    assert not any((COMMON.background_clips, COMMON.background_class, COMMON.drops_last_batch))


@EVERY_TRAINING
def test_under_the_common_recipe_every_method_is_conducted_alike(method: str, supervision: str) -> None:
    assert METHODS[method].recipe(supervision, "common") == COMMON


def test_the_authors_who_add_background_clips_are_these() -> None:
    adding = {name for name, s in TRAININGS if METHODS[name].recipe(s, "authors").background_clips}
    assert adding == {"ave_att", "cmran", "psp", "cmbs"}
    assert not any(METHODS[name].recipe("full", "authors").background_clips for name, s in TRAININGS if s == "full")
    with_class = {name for name, s in TRAININGS if METHODS[name].recipe(s, "authors").background_class}
    assert with_class == {"cmran", "cmbs"}


def test_two_methods_are_for_segment_labels_alone() -> None:
    assert {name for name, method in METHODS.items() if method.supervisions == ("full",)} == {"ave_dmrn", "cacenet"}


class TestSelection:
    def test_every_fifth_index_counted_from_zero(self) -> None:
        ave, psp = (METHODS[name].recipe("full", "authors").selection for name in ("ave_att", "psp"))
        assert [epoch for epoch in range(1, 18) if ave.is_candidate(epoch)] == [1, 6, 11, 16]
        assert [epoch for epoch in range(1, 18) if psp.is_candidate(epoch)] == [6, 11, 16]

    def test_every_epoch_by_default(self) -> None:
        assert all(Selection().is_candidate(epoch) for epoch in range(1, 10))

    def test_who_takes_the_later_of_equal_epochs_and_who_the_last(self) -> None:
        rules = {(name, s): METHODS[name].recipe(s, "authors").selection for name, s in TRAININGS}
        assert {key for key, rule in rules.items() if rule.takes_later} == {("psp", "full"), ("psp", "weak")}
        assert {key for key, rule in rules.items() if rule.keeps_last} == {("ave_att", "weak")}

"""Tables of a task with ten scores; those of a single one are in test_building.py."""

from collections.abc import Callable

import pytest

from pipeline.params.schema import Params, ParsingEvaluateParams
from pipeline.tables.building import Results, build_table, describe_caveats
from pipeline.tables.definitions import Definitions
from pipeline.tables.metrics import METRICS
from pipeline.tables.planning import plan_rows
from pipeline.tables.published import Differences
from pipeline.tables.reported import ReportedNumber
from pipeline.tables.scores import score_row
from pipeline.tables.table import Table

PARAMS = ParsingEvaluateParams(num_resamples=99, confidence=0.9, seed=0, gate="authors")
KEPT, TEST = "Epoch that the recipe keeps", "Best epoch on test"
HEADINGS = ["A", "V", "AV", "Type@AV", "Event@AV"]


@pytest.fixture
def build(
    shipped_parsing: Definitions, llp: Params, write_runs: Callable, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Table | None]:
    """Return a builder of a shipped table of parsing from made-up runs."""
    monkeypatch.setattr("pipeline.tables.planning.source_fingerprint", lambda *modules: "code")

    def make(
        name: str = "parsing",
        *,
        reported: tuple[ReportedNumber, ...] = (),
        differences: dict[str, Differences] | None = None,
        **rows: list[float | str | None],
    ) -> Table | None:
        runs = write_runs(task="parsing", **rows)
        metrics = METRICS["parsing"]
        scores = {row: score_row(row, runs, range(1, len(of) + 1), metrics, PARAMS) for row, of in rows.items()}
        plans = plan_rows(llp, shipped_parsing)
        results = Results(shipped_parsing, plans, scores, reported, differences or {}, PARAMS)
        return build_table(name, shipped_parsing.tables[name], results)

    return make


@pytest.fixture
def han_numbers(make_number: Callable) -> tuple[ReportedNumber, ...]:
    """Return what HAN's authors published per segment, as if it were all."""
    values = {"audio": 60.1, "visual": 52.9, "audio_visual": 48.9, "type_at_av": 54.0, "event_at_av": 55.4}
    return tuple(
        make_number("han_weak", value, "validation", metric=f"segment_{what}", dataset="llp")
        for what, value in values.items()
    )


def lines_under(table: Table, heading: str) -> list[tuple[str, ...]]:
    """Return the lines below a heading, up to the next."""
    starts = [*sorted(table.headings), len(table.lines)]
    (start,) = (number for number, text in table.headings.items() if text == heading)
    return table.lines[start : starts[starts.index(start) + 1]]


def test_each_score_has_a_column_and_each_choice_of_the_epoch_a_block(build: Callable) -> None:
    table = build(han_weak=[50, 53], mmil_cpsp_weak=[60, 60])
    groups = [(column.group, column.heading) for column in table.columns]
    of_levels = [(f"Per {level}", heading) for level in ("segment", "event") for heading in HEADINGS]
    assert groups == [("", ""), ("", "Seeds"), ("", "Clips"), *of_levels]
    assert list(table.headings.values()) == [KEPT, TEST]
    han, han_interval, cpsp, _ = lines_under(table, KEPT)
    assert han[:4] == ("HAN", "2", "40 of 42", "48.5 ± 2.1")
    assert han[3:] == tuple(f"{51.5 + place:.1f} ± 2.1" for place in range(-3, 7)), "each score has a column of its own"
    assert cpsp[6] == "60.0 ± 0.0"
    assert han_interval[:3] == ("90 % interval", "", "")
    for place, cell in enumerate(han_interval[3:], -3):
        low, high = map(float, cell.split("–"))
        assert low < 51.5 + place < high
    assert [line[6] for line in lines_under(table, TEST)][::2] == ["52.5 ± 2.1", "61.0 ± 0.0"]
    assert table.details == {1, 3, 5, 7}


def test_published_numbers_stand_below_the_row_and_the_epoch_that_they_are_of(
    build: Callable, han_numbers: tuple[ReportedNumber, ...]
) -> None:
    table = build(han_weak=[50, 53], mmil_cpsp_weak=[60, 61], reported=han_numbers)
    assert [line[0] for line in lines_under(table, KEPT)] == [
        *("HAN", "90 % interval", "Published", "Difference"),
        *("CPSP (parsing)", "90 % interval"),
    ]
    published, difference = lines_under(table, KEPT)[2:4]
    assert published[3:] == ("60.1", "52.9", "48.9", "54.0", "55.4", *("–",) * 5)
    assert difference[3:] == ("−11.6", "−3.4", "+1.6", "−2.5", "−2.9", *("–",) * 5)
    assert not {"Published", "Difference"} & {line[0] for line in lines_under(table, TEST)}
    assert [table.lines[number][0] for number in sorted(table.details)][:3] == [
        "90 % interval",
        "Published",
        "Difference",
    ]


def test_published_numbers_apart_are_named_with_their_scores_in_one_note(
    build: Callable, han_numbers: tuple[ReportedNumber, ...]
) -> None:
    table = build(han_weak=[50, 53], reported=han_numbers, differences={"han_weak": {"num_epochs": "8 (40)"}})
    assert not any(line[0] == "Published" for line in table.lines)
    assert table.notes[0] == (
        "HAN: published A per segment 60.1, V per segment 52.9, AV per segment 48.9, Type@AV per segment 54.0, "
        "Event@AV per segment 55.4; not beside it: trained with other settings (num_epochs)."
    )
    assert len([note for note in table.notes if "60.1" in note]) == 1


def test_rows_are_compared_with_the_base_by_type_at_av_per_segment(build: Callable) -> None:
    table = build(han_weak=[40, 40.5], mmil_psp_weak=[60, 61], mmil_cpsp_weak=[60, 61])
    below, same = table.sentences
    assert below.startswith("HAN is 20.2 points below CPSP (parsing) [")
    assert below.endswith(", in Type@AV per segment.")
    assert same.startswith("No difference shown between PSP (parsing) and CPSP (parsing) at these seeds: 0.0 points [")
    compared = [values for values in table.values if values["compared_with"]]
    assert {(values["row"], values["metric"]) for values in compared} == {
        ("han_weak", "segment_type_at_av"),
        ("mmil_psp_weak", "segment_type_at_av"),
    }
    assert compared[0]["compared_difference"] == "-20.2500"
    assert compared[0]["in_words"].endswith("in Type@AV per segment")


def test_values_for_programs_are_a_row_per_score(build: Callable, han_numbers: tuple[ReportedNumber, ...]) -> None:
    table = build(han_weak=[50, 53], reported=han_numbers)
    assert [values["metric"] for values in table.values] == list(METRICS["parsing"])
    assert len({tuple(values) for values in table.values}) == 1
    audio, *_, last = table.values
    assert (audio["row"], audio["num_seeds"], audio["num_clips"]) == ("han_weak", 2, 40)
    assert (audio["validation_selected_mean"], audio["test_selected_mean"]) == ("48.5000", "49.5000")
    assert (audio["validation_selected_published"], audio["validation_selected_difference"]) == ("60.1", "-11.6000")
    assert float(audio["validation_selected_low"]) < 48.5 < float(audio["validation_selected_high"])
    assert (last["validation_selected_mean"], last["validation_selected_published"]) == ("57.5000", "")


def test_methods_that_keep_the_last_epoch_say_so(build: Callable) -> None:
    table = build(han_weak=[50, 53], mmil_cpsp_weak_common=[60, 61], mmil_cpsp_weak=[60, 61])
    kept = [note for note in table.notes if "the last validated epoch" in note]
    assert [note.partition(":")[0] for note in kept] == ["CPSP (parsing)"]


def test_a_row_without_a_score_has_its_reason_and_no_interval(build: Callable) -> None:
    table = build(han_weak=["loss in epoch 3"], mmil_cpsp_weak=[60])
    han, cpsp, interval = lines_under(table, KEPT)
    assert han == ("HAN", "0 of 1", "–", *("no score",) * 10)
    assert (cpsp[3], interval[0]) == ("57.0", "90 % interval")
    assert "HAN, seed 1: loss in epoch 3" in table.notes
    assert {values["validation_selected_mean"] for values in table.values[:10]} == {""}
    assert {values["without_score"] for values in table.values[:10]} == {"seed 1: loss in epoch 3"}


def test_tables_of_ablations_appear_with_the_first_of_them(build: Callable) -> None:
    assert build("parsing_tau", mmil_cpsp_weak=[60, 61]) is None
    table = build("parsing_tau", mmil_cpsp_weak=[60, 61], parsing_tau_050=[58, 59])
    assert [line[0] for line in lines_under(table, KEPT)][::2] == [
        "CPSP (parsing), tau 0.05",
        "CPSP (parsing), tau 0.09",
    ]
    gates = build("han_gate", han_weak=[58, 59], han_own_gate=[57, 58])
    assert [line[0] for line in lines_under(gates, KEPT)][::2] == ["HAN, own gate", "HAN"]


def test_random_weights_and_the_embedded_data_set_are_said_of_parsing_too(llp: Params, write_runs: Callable) -> None:
    def caveats(params: Params, weights: str) -> list[str]:
        runs = write_runs(task="parsing", weights=weights, han_weak=[50])
        return describe_caveats(params, {"han_weak": score_row("han_weak", runs, [1], METRICS["parsing"], PARAMS)})

    assert caveats(llp, "torchvision") == []
    (caveat,) = caveats(llp, "random")
    assert caveat.startswith("Random network weights (visual)")
    embedded = llp.model_copy(update={"dataset": llp.dataset.model_copy(update={"format": "synthetic"})})
    (caveat,) = caveats(embedded, "torchvision")
    assert caveat.startswith("The embedded data set")

"""The shipped numbers, copied here a second time by hand from where the project notes them."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.core.errors import ParamsError
from pipeline.tables.definitions import Definitions
from pipeline.tables.metrics import METRICS
from pipeline.tables.reported import ReportedNumber, load_reported

ROOT = Path(__file__).resolve().parents[4]
SHIPPED = ROOT / "tables/reported.yaml"

# method, data set, supervision, percent, epoch, provenance
PUBLISHED = {
    ("AVE (A+V-att)", "ave", "full", 72.7, "validation", "read"),
    ("AVE (A+V-att)", "ave", "weak", 66.7, "last", "read"),
    ("AVSDN", "ave", "full", 72.8, "unknown", "read"),
    ("AVSDN", "ave", "weak", 66.5, "unknown", "read"),
    ("CMRAN", "ave", "full", 77.4, "test", "recalled"),
    ("CMRAN", "ave", "weak", 72.9, "test", "recalled"),
    ("CMRAN", "ave", "weak", 72.94, "test", "read"),
    ("CMRAN", "ave", "weak", 72.36, "test", "read"),
    ("PSP", "ave", "full", 77.8, "test", "recalled"),
    ("PSP", "ave", "weak", 73.5, "test", "recalled"),
    ("CPSP", "ave", "full", 78.6, "validation", "recalled"),
    ("CPSP", "ave", "weak", 74.2, "validation", "recalled"),
    ("CPSP", "vggsound_avel100k", "full", 59.9, "validation", "recalled"),
    ("CPSP", "vggsound_avel100k", "weak", 48.4, "validation", "recalled"),
    ("CMBS", "ave", "full", 79.3, "test", "recalled"),
    ("CMBS", "ave", "weak", 74.2, "test", "read"),
    ("CACE-Net", "ave", "full", 80.8, "test", "read"),
    ("CACE-Net", "ave", "full", 82.36, "test", "read"),
    ("CACE-Net, own baseline", "ave", "full", 78.83, "test", "read"),
    ("LAVISH", "ave", "full", 81.1, "unknown", "read"),
    ("DG-SCT", "ave", None, 82.18, "unknown", "read"),
}
HAN = {
    "segment": {"audio": 60.1, "visual": 52.9, "audio_visual": 48.9, "type_at_av": 54.0, "event_at_av": 55.4},
    "event": {"audio": 51.3, "visual": 48.9, "audio_visual": 43.0, "type_at_av": 47.7, "event_at_av": 48.0},
}
RERUNS = {
    ("PSP", None, (75.2, 75.8)),
    ("CMBS", "full", (78.2,)),
    ("CMBS", "weak", (72.3, 73.3)),
    ("AVEL", None, (61.5,)),
    ("LAVISH", None, (78.8, 80.1)),
}


@pytest.fixture
def numbers() -> list[ReportedNumber]:
    return load_reported(SHIPPED)


def test_every_published_number_is_there_with_its_provenance(numbers: list[ReportedNumber]) -> None:
    found = [
        (number.method, number.dataset, number.supervision, number.value, number.protocol, number.provenance)
        for number in numbers
        if number.kind == "published" and number.method != "HAN"
    ]
    assert set(found) == PUBLISHED
    assert len(found) == len(PUBLISHED)
    assert all(number.metric == "segment_accuracy" for number in numbers if number.method != "HAN")


def test_the_numbers_of_parsing_are_there(numbers: list[ReportedNumber]) -> None:
    of_parsing = [number for number in numbers if number.method == "HAN"]
    expected = {f"{level}_{what}": value for level, of in HAN.items() for what, value in of.items()}
    assert {number.metric: number.value for number in of_parsing} == expected
    assert list(expected) == list(METRICS["parsing"])
    assert {(n.dataset, n.supervision, n.provenance, n.kind, n.row, n.protocol) for n in of_parsing} == {
        ("llp", "weak", "read", "published", "han_weak", "validation")
    }


def test_reruns_by_others_are_apart_from_what_was_published(numbers: list[ReportedNumber]) -> None:
    reruns = [number for number in numbers if number.kind == "rerun"]
    found = {
        (number.method, number.supervision, tuple(number.value) if isinstance(number.value, list) else (number.value,))
        for number in reruns
    }
    assert found == RERUNS
    assert all(number.row is None and number.provenance == "read" and "thread" in number.source for number in reruns)


def test_recalled_numbers_carry_a_dagger_and_doubtful_ones_another(numbers: list[ReportedNumber]) -> None:
    for number in numbers:
        assert ("†" in number.text) == (number.provenance == "recalled"), number
        assert ("‡" in number.text) == (number.confidence == "low"), number
    doubtful = {number.text for number in numbers if number.confidence == "low"}
    assert doubtful == {"59.9†‡", "48.4†‡"}
    assert {number.text for number in numbers if number.kind == "rerun"} >= {"75.2–75.8", "78.2"}
    assert "82.36" in {number.text for number in numbers}


def test_numbers_are_about_rows_that_exist_one_per_data_set_epoch_and_score(
    numbers: list[ReportedNumber], shipped: Definitions, shipped_parsing: Definitions
) -> None:
    of_rows = [number for number in numbers if number.row]
    methods = {**shipped.methods, **shipped_parsing.methods}
    for number in of_rows:
        row = methods[number.row]
        assert row.recipe == "authors"
        assert (row.label, row.supervision) == (number.method, number.supervision)
    places = [(number.row, number.dataset, number.protocol, number.metric) for number in of_rows]
    assert len(set(places)) == len(places)
    assert len(of_rows) == 13 + 10
    assert len({number.row for number in of_rows}) == 11 + 1
    assert not {"avel_full", "avel_weak", "avsdn_full", "avsdn_weak"} & {number.row for number in of_rows}


GOOD = {
    "method": "PSP",
    "dataset": "ave",
    "value": 77.8,
    "protocol": "test",
    "source": "a paper",
    "kind": "published",
    "provenance": "read",
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"provenance": "checked"}, r"numbers\.0\.provenance: expected 'read' or 'recalled', found 'checked'"),
        ({"protocol": "best"}, r"numbers\.0\.protocol"),
        ({"value": "77.8"}, r"numbers\.0\.value"),
        ({"value": [75.2]}, r"numbers\.0\.value"),
        ({"sauce": "x"}, r"numbers\.0\.sauce: expected no such key"),
        ({"source": None}, r"numbers\.0\.source"),
        (
            {"metric": "type_at_av"},
            r"numbers\.0\.metric: expected segment_accuracy \| segment_audio .*found 'type_at_av'",
        ),
        (
            {"row": "han_weak"},
            r"numbers\.0\.metric: expected segment_audio .* where the row is of parsing, found 'segment_acc",
        ),
        (
            {"row": "psp_full", "metric": "event_audio"},
            r"expected segment_accuracy where the row is of localization, found",
        ),
    ],
)
def test_a_faulty_entry_is_refused_in_one_line(tmp_path: Path, changes: dict, message: str) -> None:
    path = tmp_path / "reported.yaml"
    YAML().dump({"numbers": [GOOD]}, path)
    assert load_reported(path)[0].text == "77.8"
    YAML().dump({"numbers": [{**GOOD, **changes}]}, path)
    with pytest.raises(ParamsError, match=message) as error:
        load_reported(path)
    assert "\n" not in str(error.value)

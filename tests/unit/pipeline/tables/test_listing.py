from collections.abc import Callable

from pipeline.tables.listing import build_reported
from pipeline.tables.table import Table


def cells(table: Table, heading: str) -> list[str]:
    (column,) = (column for column in table.columns if column.heading == heading)
    return list(column.cells)


def test_reported_numbers_are_listed_with_source_and_provenance(make_number: Callable) -> None:
    doubtful = make_number(
        "x", 59.9, "last", provenance="recalled", confidence="low", supervision="full", note="a note"
    )
    table = build_reported("published", "Published numbers", [doubtful, make_number("x", 70, "test")])
    assert cells(table, "%") == ["59.9†‡", "70.0"]
    assert cells(table, "Epoch") == ["last", "test"]
    assert cells(table, "Provenance") == ["recalled", "read"]
    assert cells(table, "Source") == ["a paper; a note", "a paper"]
    assert cells(table, "Setting") == ["full", "–"]
    assert table.notes == (
        "Percent; segment accuracy where no other score is named.",
        "† recalled, not yet looked up in the publication.",
        "‡ recalled with low confidence.",
    )
    assert table.values[0]["percent"] == "59.9†‡"


def test_scores_of_parsing_are_listed_by_what_they_are(make_number: Callable) -> None:
    number = make_number("han_weak", 54.0, "validation", metric="segment_type_at_av", supervision="weak")
    table = build_reported("published", "Published numbers", [number])
    assert cells(table, "Setting") == ["F-score per segment, type, weak"]
    assert table.values[0]["metric"] == "F-score per segment, type"

from pathlib import Path

import pytest

from pipeline.annotations.llp_rows import read_tab_rows
from pipeline.core.errors import AnnotationError

COLUMNS = ("filename", "event_labels")


@pytest.fixture
def read(tmp_path: Path):
    def read(text: str) -> list[tuple[int, tuple[str, ...]]]:
        (tmp_path / "list.csv").write_bytes(text.encode())
        return read_tab_rows(tmp_path / "list.csv", COLUMNS, remedy="fetch it again")

    return read


def test_rows_have_their_line_and_are_neither_trimmed_nor_unquoted(read) -> None:
    rows = read('filename\tevent_labels\na\tDog, Cat\n b\t"Car"\n\n \n')
    assert rows == [(2, ("a", "Dog, Cat")), (3, (" b", '"Car"'))]


def test_any_line_ends_and_a_byte_order_mark_are_read(read) -> None:
    assert read("\ufefffilename\tevent_labels\r\na\tDog\r\nb\tCat") == [(2, ("a", "Dog")), (3, ("b", "Cat"))]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "an empty line"),
        ("filename,event_labels\na,Dog\n", "'filename,event_labels'"),
        ("filename\tonset\toffset\tevent_labels\n", r"'filename\\tonset\\toffset\\tevent_labels'"),
        ("a\tDog\n", r"'a\\tDog'"),
    ],
)
def test_another_header_is_refused(read, text: str, found: str) -> None:
    with pytest.raises(
        AnnotationError,
        match=rf"list\.csv: expected the header filename, event_labels, separated by tabs, found {found}; ",
    ):
        read(text)


def test_rows_of_another_number_of_values_are_named_together(read) -> None:
    with pytest.raises(AnnotationError) as error:
        read("filename\tevent_labels\na\tDog\nb Dog\n\nc\tDog\tCat\nd\tDog\n")
    assert str(error.value).endswith(
        "list.csv has 3 faults: line 3: expected 2 values, separated by tabs, found 1, 'b Dog'; fetch it again | "
        "line 4: expected 2 values, separated by tabs, found 1, ''; fetch it again | "
        "line 5: expected 2 values, separated by tabs, found 3, 'c\\tDog\\tCat'; fetch it again"
    )


def test_a_header_alone_is_refused(read) -> None:
    with pytest.raises(AnnotationError, match="expected rows below the header, found none; fetch it again"):
        read("filename\tevent_labels\n")


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"list\.csv: expected an annotation file, found no file; fetch it"):
        read_tab_rows(tmp_path / "list.csv", COLUMNS, remedy="fetch it")

from pathlib import Path

import pytest

from pipeline.annotations.csv_rows import read_csv_rows
from pipeline.annotations.rules import Faults
from pipeline.core.errors import AnnotationError

COLUMNS = ("path", "split")


@pytest.fixture
def read(tmp_path: Path):
    """Return a reader of a table given as text: its rows, and how many faults were noted."""

    def read(text: str, *, others_allowed: bool = False):
        path = tmp_path / "table.csv"
        path.write_bytes(text.encode())
        faults = Faults(path)
        rows = read_csv_rows(path, COLUMNS, faults, others_allowed=others_allowed, remedy="write one")
        return rows, faults.count

    return read


def test_rows_have_their_line_and_values_by_column(read):
    rows, num_faults = read('\ufeff split ,path\r\n\r\n , \r\ntrain, "a, b\nc.mp4"\r\nval,"say ""x"""\r\n')
    assert rows == [(5, {"split": "train", "path": "a, b\nc.mp4"}), (6, {"split": "val", "path": 'say "x"'})]
    assert num_faults == 0


def test_rows_with_another_number_of_values_are_noted_and_left_out(read):
    rows, num_faults = read("path,split\na\nb,train\nc,val,x\n")
    assert (rows, num_faults) == ([(3, {"path": "b", "split": "train"})], 2)


def test_further_columns_are_kept_where_they_are_allowed(read):
    rows, _ = read("note,path,split,note\n1,a,val,2\n", others_allowed=True)
    assert rows[0][1].items() >= {"path": "a", "split": "val"}.items()


@pytest.mark.parametrize("header", ["path", "path,split,split", "path,split,note", "PATH,split"])
def test_a_header_of_other_columns_is_refused(header, read):
    with pytest.raises(AnnotationError, match=f"expected the header path,split, found '{header}'; write it as the"):
        read(f"{header}\nrest\n")


@pytest.mark.parametrize("header", ["path", "path,split,split"])
def test_each_column_stands_once_also_among_others(header, read):
    with pytest.raises(AnnotationError, match=f"expected a header with each of path, split once, found '{header}'"):
        read(f"{header}\nrest\n", others_allowed=True)


@pytest.mark.parametrize("text", ["", "\n , ,\n\n"])
def test_a_file_without_a_header_is_refused(text, read):
    with pytest.raises(AnnotationError, match="found an empty file"):
        read(text)


def test_what_is_no_table_is_refused_where_it_stops_to_be_one(read):
    with pytest.raises(AnnotationError, match=r"table\.csv line 3: expected comma-separated values, found "):
        read('path,split\na,train\n"b" c,val\n')

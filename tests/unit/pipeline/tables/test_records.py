import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.tables.records import Counts, Record, failed, load_record, write_record


def test_a_run_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    record = Record("psp_full", 3, "", 2, 4, 7, 9, {"visual": "keras"})
    counts = Counts(("a,b", 'c"d'), np.array([10, 20]), np.array([3, 4]), np.array([5, 6]))
    write_record(tmp_path / "psp_full-3", record, counts)
    found, found_counts = load_record(tmp_path / "psp_full-3")
    assert found == record
    assert found_counts is not None
    assert found_counts.video_ids == counts.video_ids
    for name in ("total", "correct", "correct_test_selected"):
        np.testing.assert_array_equal(getattr(found_counts, name), getattr(counts, name))


def test_a_failed_run_has_a_reason_of_one_short_line_and_no_counts(tmp_path: Path) -> None:
    record = failed("psp_full", 3, "first\n  second " + "x" * 1000)
    assert record.reason.startswith("first second x")
    assert len(record.reason) == 300
    assert failed("psp_full", 3, "").reason, "a run without a reason would count as finished"
    write_record(tmp_path / "psp_full-3", record, None)
    assert load_record(tmp_path / "psp_full-3") == (record, None)


def test_a_run_that_was_not_made_says_so(tmp_path: Path) -> None:
    assert load_record(tmp_path / "psp_full-3") == (failed("psp_full", 3, "not run yet"), None)


@pytest.mark.parametrize("damage", ["record", "counts", "no counts"])
def test_a_damaged_run_is_refused(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "psp_full-3"
    ones = np.ones(1, int)
    write_record(folder, Record("psp_full", 3, ""), Counts(("a",), ones, ones, ones))
    if damage == "record":
        (folder / "record.json").write_text(json.dumps({"row": "psp_full"}))
    elif damage == "counts":
        (folder / "counts.csv").write_text("video_id,total\na,1\n")
    else:
        (folder / "counts.csv").unlink()
    with pytest.raises(PipelineError, match=r"psp_full-3: expected record\.json and counts\.csv"):
        load_record(folder)

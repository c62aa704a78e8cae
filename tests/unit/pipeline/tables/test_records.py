import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.tables.records import Counts, Record, failed, load_record, write_record


def test_a_run_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    record = Record("psp_full", 3, "", 2, 4, 7, 9, {"visual": "keras"})
    counts = {
        "segment_accuracy": Counts(("a,b", 'c"d'), np.array([10, 20]), np.array([3, 4]), np.array([5, 6])),
        "segment_audio": Counts(("a,b", 'c"d'), np.array([1, 2]), np.array([0.1 + 0.2, 2.0]), np.array([1e-17, 1.0])),
    }
    write_record(tmp_path / "psp_full-3", record, counts)
    found, found_counts = load_record(tmp_path / "psp_full-3", reversed(counts))
    assert found == record
    assert found_counts is not None
    assert list(found_counts) == ["segment_audio", "segment_accuracy"], "in the order that is asked for"
    for metric, expected in counts.items():
        assert found_counts[metric].video_ids == expected.video_ids
        for name in ("total", "correct", "correct_test_selected"):
            read, written = getattr(found_counts[metric], name), getattr(expected, name)
            np.testing.assert_array_equal(read, written, strict=True)


def test_counts_are_a_line_per_score_and_video(tmp_path: Path) -> None:
    ones = np.ones(2, int)
    of_score = Counts(("a", "b"), ones, ones / 2, ones / 4)
    write_record(tmp_path, Record("x", 1, ""), {"segment_audio": of_score, "event_audio": of_score})
    assert (tmp_path / "counts.csv").read_text().splitlines() == [
        "metric,video_id,total,correct,correct_test_selected",
        *(f"{metric},{video},1,0.5,0.25" for metric in ("segment_audio", "event_audio") for video in "ab"),
    ]


def test_a_failed_run_has_a_reason_of_one_short_line_and_no_counts(tmp_path: Path) -> None:
    record = failed("psp_full", 3, "first\n  second " + "x" * 1000)
    assert record.reason.startswith("first second x")
    assert len(record.reason) == 300
    assert failed("psp_full", 3, "").reason, "a run without a reason would count as finished"
    write_record(tmp_path / "psp_full-3", record, None)
    assert load_record(tmp_path / "psp_full-3", ["segment_accuracy"]) == (record, None)


def test_a_run_that_was_not_made_says_so(tmp_path: Path) -> None:
    assert load_record(tmp_path / "psp_full-3", ["segment_accuracy"]) == (failed("psp_full", 3, "not run yet"), None)


@pytest.mark.parametrize("damage", ["record", "counts", "no counts", "another score", "no number"])
def test_a_damaged_run_is_refused(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "psp_full-3"
    ones = np.ones(1, int)
    metric = "segment_audio" if damage == "another score" else "segment_accuracy"
    write_record(folder, Record("psp_full", 3, ""), {metric: Counts(("a",), ones, ones, ones)})
    if damage == "record":
        (folder / "record.json").write_text(json.dumps({"row": "psp_full"}))
    elif damage == "counts":
        (folder / "counts.csv").write_text("video_id,total\na,1\n")
    elif damage == "no number":
        path = folder / "counts.csv"
        path.write_text(path.read_text().replace("1,1,1", "1,nan,1"))
    elif damage == "no counts":
        (folder / "counts.csv").unlink()
    with pytest.raises(PipelineError, match=r"psp_full-3: expected record\.json and counts\.csv"):
        load_record(folder, ["segment_accuracy"])

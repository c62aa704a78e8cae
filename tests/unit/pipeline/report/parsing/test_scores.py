import numpy as np
import pytest

from pipeline.report.mistakes import RIGHT
from pipeline.report.parsing.inputs import load_run
from pipeline.report.parsing.run import Found
from pipeline.report.parsing.scores import Cell, count_mistakes, draw_reliability, list_categories, tabulate_scores


class TestTable:
    def test_has_the_ten_scores_with_intervals_and_what_they_are_compared_with(self, run):
        segment, event = tabulate_scores(run)
        assert [level["name"] for level in (segment, event)] == ["per segment", "per event"]
        assert [row["name"] for row in segment["rows"]] == [
            "mean over clips",
            "micro average",
            "with the global gate",
            "everything predicted",
            "nothing predicted",
        ]
        own, micro, other, everything, nothing = (row["cells"] for row in event["rows"])
        assert own == [Cell(65.0 + n, 55.0 + n, 75.0 + n) for n in range(5)]
        assert micro == [Cell(45.0 + n) for n in range(5)]
        assert other == [Cell(25.0 + n) for n in range(5)]
        assert everything == [None, None, None, Cell(11.5), None]
        assert nothing == [None, None, None, Cell(8.5), None]

    def test_names_the_other_gate_of_a_method_with_the_global_one(self, make_run):
        fake = make_run(method="han", has_media=False)
        run = load_run(params=fake.params, **fake.folders)
        assert tabulate_scores(run)[0]["rows"][2]["name"] == "with the own gate"
        assert tabulate_scores(run)[0]["rows"][2]["cells"][0] == Cell(20.0)


def test_categories_have_scores_and_what_was_found(run):
    rows = list_categories(run)
    assert rows[1] == {
        "name": "dog",
        "num_clips": "2",
        "audio": 75.5,
        "visual": 50.5,
        "audio_visual": 25.5,
        "confusion": Found(2, 3, 0),
    }
    assert rows[2]["audio_visual"] is None


class TestMistakes:
    def test_are_counted_by_kind_split_and_modality(self, run):
        rows = {row["name"]: row for row in count_mistakes(run)}
        assert list(rows) == ["test, seen", "test, heard", "validation, seen", "validation, heard"]
        seen, heard = rows["test, seen"], rows["test, heard"]
        assert seen["counts"] == {"modality": 2, "boundary": 0, "missed": 0, "invented": 1}
        assert (seen["num_wrong"], seen["num_segments"]) == (3, 2 + 2 + 2 + 1)
        assert heard["counts"] == {"modality": 0, "boundary": 1, "missed": 5, "invented": 0}
        assert (heard["num_wrong"], heard["num_segments"]) == (6, 2 + 2 + 3 + 3)
        assert rows["validation, heard"]["counts"]["missed"] == 2

    def test_those_without_media_are_counted_too(self, make_run):
        fake = make_run(has_media=False)
        path = fake.root / "features/audio/ledger.csv"
        path.write_text(path.read_text().replace("video1,partial,short,1110", "video1,partial,short,0111"))
        rows = count_mistakes(load_run(params=fake.params, **fake.folders))
        assert [row["num_masked"] for row in rows] == [0, 1, 0, 1]

    def test_splits_without_clips_are_left_out(self, make_run):
        fake = make_run(has_media=False, num_val_clips=0)
        rows = count_mistakes(load_run(params=fake.params, **fake.folders))
        assert [row["name"] for row in rows] == ["test, seen", "test, heard"]

    def test_are_all_that_are_not_right(self, run):
        wrong = sum(kind != RIGHT for prediction in run.predictions["test"] for kind in prediction.kinds)
        assert sum(row["num_wrong"] for row in count_mistakes(run)[:2]) == wrong


def test_reliability_is_over_all_categories_of_the_segments_that_have_media(run):
    parts = {part["name"]: part for part in draw_reliability(run)}
    heard = parts["test, heard"]
    num_categories = 3
    assert heard["num_segments"] == (5 * 4 - 1) * num_categories
    low, high = (float(np.float16(value)) for value in (0.1, 0.9))
    # 0.9 was said of 7 segments, of which 6 hold; 0.1 of the others, of which the 3 of clip4 hold
    num_low = heard["num_segments"] - 7
    error = (abs(7 * high - 6) + abs(num_low * low - 3)) / heard["num_segments"]
    assert heard["error"] == pytest.approx(error)
    assert list(parts) == ["test, seen", "test, heard", "validation, seen", "validation, heard"]

import numpy as np
import pytest

from avel_testing.fake_parsing_runs import make_parsing_params
from pipeline.report.parsing.run import ParsedLane, gate_of, gates


def lane(truth, predicted, probability=None, gate=0.8, has_media=None):
    flags = [tuple(mark == "x" for mark in text) for text in (truth, predicted)]
    return ParsedLane(
        "audio",
        "dog",
        *flags,
        probability=probability or tuple(0.9 if flag else 0.1 for flag in flags[1]),
        has_media=has_media or (True,) * len(truth),
        kinds=tuple("right" if a == b else "missed" if a else "invented" for a, b in zip(*flags, strict=True)),
        gate=gate,
    )


class TestGate:
    @pytest.mark.parametrize(
        ("method", "asked", "gate"),
        [
            ("han", "authors", "global"),
            ("mmil_psp", "authors", "own"),
            ("mmil_cpsp", "authors", "own"),
            ("han", "own", "own"),
            ("mmil_cpsp", "global", "global"),
        ],
    )
    def test_is_that_asked_for_or_that_of_the_methods_authors(self, method, asked, gate):
        assert gate_of(make_parsing_params(method=method, gate=asked)) == gate

    def test_takes_the_clips_probability_of_the_modality_or_of_the_whole(self):
        clip = np.array([[1, 2], [3, 4], [5, 6]]) / 10
        assert gates(clip, "own").tolist() == [[0.1, 0.2], [0.3, 0.4]]
        assert gates(clip, "global").tolist() == [[0.5, 0.6], [0.5, 0.6]]


class TestLane:
    def test_is_closed_where_only_the_clip_says_no(self):
        closed = lane("xx..", "....", probability=(0.5, 0.49, 0.9, 0.9), has_media=(True, True, True, False), gate=0.2)
        assert closed.is_closed == (True, False, True, False)
        assert lane("xx..", "xx..").is_closed == (False,) * 4

    def test_counts_segments_that_hold_the_category_by_truth_or_prediction(self):
        assert lane("xx..", ".xx.").counted_kinds == ("missed", "right", "invented")
        assert lane("....", "....").counted_kinds == ()

    def test_is_drawn_with_gaps_where_the_category_is_not(self):
        truth, predicted = lane("xx.x", "....").drawn(0.5)
        assert (truth.name, predicted.name) == ("truth", "predicted")
        assert [(span.name, span.start_seconds, span.stop_seconds) for span in truth.spans] == [
            ("dog", 0.0, 1.0),
            ("dog", 1.5, 2.0),
        ]
        assert predicted.spans == ()


class TestPrediction:
    def test_of_each_clip_has_what_is_there_and_how_much_of_it_was_found(self, run):
        found = {
            item.clip.clip_id: (item.categories, item.num_found, item.num_true) for item in run.predictions["test"]
        }
        assert found == {
            "clip0": (("bell",), 4, 4),
            "clip1": (("dog", "rain"), 2, 4),
            "clip2": (("rain",), 2, 2),
            "clip3": ((), 0, 0),
            "clip4": (("dog",), 0, 3),
        }

    def test_scores_are_f_scores_of_the_segments_of_all_lanes(self, run):
        scores = [item.score for item in run.predictions["test"]]
        # clip2: 2 found of 2, 5 predicted; clip3: nothing to find and nothing said
        assert scores == pytest.approx([1.0, 2 * 2 / (4 + 2), 2 * 2 / (2 + 5), 1.0, 0.0])

import re
from xml.etree import ElementTree

from pipeline.drawing.timelines import Lane, find_spans
from pipeline.report.localization.clip_figures import (
    CURVE_HEIGHT,
    LANE_GAP,
    LANE_HEIGHT,
    MARK_HEIGHT,
    MATRIX_LEFT,
    MATRIX_SIZE,
    STRIP_CELL,
    matrix,
    relevance_curve,
    strip,
)

MARK_TOP = 2 * (LANE_HEIGHT + LANE_GAP)
CURVE_TOP = MARK_TOP + MARK_HEIGHT
STRIP_HEIGHT = CURVE_TOP + CURVE_HEIGHT
FILLS = {"dog": "#111111", "cat": "#222222", "background": "#333333"}


def points_of(svg, style):
    paths = [part for part in ElementTree.fromstring(svg).iter("path") if part.get("class") == style]
    return [tuple(map(float, point)) for point in re.findall(r"[ML]([\d.]+) ([\d.]+)", paths[0].get("d"))]


class TestRelevanceCurve:
    def test_has_a_point_in_the_middle_of_every_segment(self):
        assert points_of(relevance_curve([0.0, 1.0, 0.25]), "line first") == [(50, 100), (150, 0), (250, 75)]

    def test_says_the_value_in_words(self):
        assert "segment 2: event probability 0.25" in relevance_curve([0.5, 0.25])


class TestStrip:
    def draw(self, predicted=("background", "cat", "dog", "background")):
        truth = ("background", "dog", "dog", "background")
        masked = (False, False, False, True)
        return strip(
            [
                Lane("truth", find_spans(truth, segment_seconds=0.5)),
                Lane("predicted", find_spans(predicted, masked, segment_seconds=0.5)),
            ],
            num_seconds=2.0,
            wrong=[true != said for true, said in zip(truth, predicted, strict=True)],
            relevance=(0.0, 1.0, 0.5, 0.0),
            fills=FILLS,
        )

    def test_has_truth_above_prediction_in_the_colours_of_the_categories(self):
        rects = list(ElementTree.fromstring(self.draw()).iter("rect"))
        cells = [
            (float(part.get("y")), *(float(part.get(key)) / STRIP_CELL for key in ("x", "width")), part.get("fill"))
            for part in rects
        ]
        truth, predicted = sorted({y for y, *_ in cells})
        assert [cell for cell in cells if cell[0] == truth] == [
            (truth, 0, 1, FILLS["background"]),
            (truth, 1, 2, FILLS["dog"]),
            (truth, 3, 1, FILLS["background"]),
        ]
        assert [cell[3] for cell in cells if cell[0] == predicted] == [
            FILLS["background"], FILLS["cat"], FILLS["dog"], FILLS["background"]
        ]  # fmt: skip

    def test_marks_wrong_segments_and_only_those(self):
        assert f'class="mark" d="M{STRIP_CELL} {MARK_TOP + 1}h{STRIP_CELL}"' in self.draw()
        assert 'class="mark"' not in self.draw(predicted=("background", "dog", "dog", "background"))

    def test_tells_masked_background_from_other(self):
        styles = [part.get("class") for part in ElementTree.fromstring(self.draw()).iter("rect")]
        assert styles == ["background", None, "background", "background", None, None, "background masked"]

    def test_curve_is_as_high_as_the_relevance(self):
        heights = [y for _, y in points_of(self.draw(), "line first")]
        assert heights == [STRIP_HEIGHT, CURVE_TOP, (STRIP_HEIGHT + CURVE_TOP) / 2, STRIP_HEIGHT]

    def test_stacks_any_number_of_lanes_which_may_have_gaps(self):
        lanes = [Lane(f"{name}, heard", find_spans([None, name, None, name])) for name in ("dog", "cat", "dog")]
        drawn = strip(lanes, num_seconds=4.0, wrong=[False] * 4, relevance=[0.5] * 4, fills=FILLS)
        tops = [float(part.get("y")) for part in ElementTree.fromstring(drawn).iter("rect")]
        assert tops == [row * (LANE_HEIGHT + LANE_GAP) for row in (0, 0, 1, 1, 2, 2)]
        assert min(y for _, y in points_of(drawn, "line first")) > tops[-1] + LANE_HEIGHT
        assert "cat, heard: cat 2, cat 4" in drawn

    def test_says_everything_in_words(self):
        assert ElementTree.fromstring(self.draw())[0].text == (
            "truth: background 1, dog 2–3, background 4\n"
            "predicted: background 1, cat 2, dog 3, background 4\n"
            "relevance: 0.00 1.00 0.50 0.00"
        )


class TestMatrix:
    def test_has_a_bar_beside_both_axes_where_the_event_is(self):
        drawn = matrix("data:,", events=[False, True, True, False], fill="#123456", rows="r", columns="c", title="t")
        bars = [part for part in ElementTree.fromstring(drawn).iter("rect") if part.get("fill") == "#123456"]
        upright, flat = bars
        assert (float(upright.get("y")), float(upright.get("height"))) == (MATRIX_SIZE / 4, MATRIX_SIZE / 2)
        assert (float(flat.get("x")), float(flat.get("width"))) == (MATRIX_LEFT + MATRIX_SIZE / 4, MATRIX_SIZE / 2)

    def test_numbers_the_first_the_middle_and_the_last_segment(self):
        drawn = matrix("data:,", events=[False] * 10, fill="#123456", rows="r", columns="c", title="t")
        words = [part.text for part in ElementTree.fromstring(drawn).iter("text")]
        assert sorted(words) == sorted(["1", "5", "10"] * 2 + ["r", "c"])

    def test_of_one_segment_numbers_it_once(self):
        drawn = matrix("data:,", events=[True], fill="#123456", rows="r", columns="c", title="t")
        assert [part.text for part in ElementTree.fromstring(drawn).iter("text")].count("1") == 2

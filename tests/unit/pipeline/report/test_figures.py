import re
from xml.etree import ElementTree

import numpy as np
import pytest

from pipeline.report.calibration import calibrate
from pipeline.report.figures import Mark, Series, line_chart, reliability_diagram, ticks


def points_of(svg, style):
    paths = [part for part in ElementTree.fromstring(svg).iter("path") if part.get("class") == style]
    return [tuple(map(float, point)) for point in re.findall(r"[ML]([\d.]+) ([\d.]+)", paths[0].get("d"))]


class TestTicks:
    @pytest.mark.parametrize(
        ("low", "high", "expected"),
        [
            (0, 1, [0, 0.25, 0.5, 0.75, 1]),
            (0, 3.4, [0, 1, 2, 3, 4]),
            (62, 81, [60, 65, 70, 75, 80, 85]),
            (-0.1, 0.1, [-0.1, -0.05, 0, 0.05, 0.1]),
            (5, 5, None),
        ],
    )
    def test_are_round_and_enclose_the_range(self, low, high, expected):
        found = ticks(low, high)
        assert found[0] <= low
        assert found[-1] >= high
        assert len(found) >= 2
        assert expected is None or found == pytest.approx(expected)


class TestLineChart:
    def test_puts_larger_values_higher_and_later_epochs_to_the_right(self):
        chart = line_chart([1, 2, 3], [Series("a", [1.0, 3.0, 2.0])], [], title="t")
        (x1, y1), (x2, y2), (x3, y3) = points_of(chart, "line first")
        assert x1 < x2 < x3
        assert y2 < y3 < y1

    def test_leaves_a_gap_where_there_is_no_value(self):
        chart = line_chart([1, 2, 3, 4], [Series("a", [1.0, None, 2.0, 3.0])], [], title="t")
        assert re.search(r'd="M[^ML]+M[^ML]+L[^ML]+"', chart)
        assert "epoch 2: no value" in chart

    def test_marks_an_epoch_with_a_dot_on_the_line(self):
        chart = line_chart([1, 2], [Series("a", [1.0, 3.0])], [Mark(2, "kept")], title="t")
        dot = next(ElementTree.fromstring(chart).iter("circle"))
        assert (float(dot.get("cx")), float(dot.get("cy"))) == points_of(chart, "line first")[1]
        assert ">kept</text>" in chart

    @pytest.mark.parametrize("values", [[2.0], [None], [0.0], [-1.0]])
    def test_can_draw_a_single_epoch(self, values):
        ElementTree.fromstring(line_chart([1], [Series("a", values)], [Mark(1)], title="t"))

    def test_can_draw_a_constant_line(self):
        chart = line_chart([1, 2], [Series("a", [7.0, 7.0])], [], title="t")
        (_, y1), (_, y2) = points_of(chart, "line first")
        assert y1 == y2


class TestReliabilityDiagram:
    @pytest.fixture
    def diagram(self):
        said = np.array([0.05] * 3 + [0.95] * 12_000)
        return ElementTree.fromstring(reliability_diagram(calibrate(said, said > 0.5), title="t"))

    def test_puts_a_point_where_said_and_found_meet_larger_for_more_segments(self, diagram):
        few, many = [(float(p.get("cx")), float(p.get("cy")), float(p.get("r"))) for p in diagram.iter("circle")]
        assert few[0] < many[0]
        assert few[1] > many[1]
        assert few[2] < many[2]

    def test_a_right_probability_is_on_the_diagonal(self):
        drawn = reliability_diagram(calibrate(np.full(4, 0.75), np.array([True, True, True, False])), title="t")
        parts = ElementTree.fromstring(drawn)
        line = next(part for part in parts.iter("line") if part.get("class") == "diagonal")
        x1, x2, y1, y2 = (float(line.get(key)) for key in ("x1", "x2", "y1", "y2"))
        dot = next(parts.iter("circle"))
        x, y = float(dot.get("cx")), float(dot.get("cy"))
        assert (x - x1) / (x2 - x1) == pytest.approx(0.75, abs=0.001)
        assert (y - y1) / (y2 - y1) == pytest.approx(0.75, abs=0.001)

    def test_writes_the_number_of_segments_under_every_bin(self, diagram):
        words = [part.text for part in diagram.iter("text")]
        assert words.count("0") == 8 + 2  # eight empty bins, and both axes
        assert "3" in words
        assert "12k" in words

    def test_can_be_drawn_of_nothing(self):
        drawn = ElementTree.fromstring(reliability_diagram(calibrate(np.zeros(0), np.zeros(0, bool)), title="t"))
        assert not list(drawn.iter("circle"))

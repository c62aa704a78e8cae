from xml.etree import ElementTree

from pipeline.report.parsing.clip_figures import (
    BAR_GAP,
    BAR_HEIGHT,
    CELL,
    CURVE_HEIGHT,
    MARK_HEIGHT,
    STRIP_BAR,
    STRIP_GAP,
    lane_figure,
    lanes_strip,
)
from pipeline.report.parsing.run import ParsedLane

FILL = "#123456"
CURVE_TOP = 2 * (BAR_HEIGHT + BAR_GAP) + MARK_HEIGHT


def lane(modality="audio", category="dog", gate=0.25):
    return ParsedLane(
        modality,
        category,
        truth=(True, True, False, False),
        predicted=(False, True, True, False),
        probability=(1.0, 0.5, 0.5, 0.0),
        has_media=(True, True, True, False),
        kinds=("missed", "right", "modality", "right"),
        gate=gate,
    )


def parts(svg, tag, style=None):
    return [part for part in ElementTree.fromstring(svg).iter(tag) if part.get("class") == style]


def box(part):
    return tuple(float(part.get(key)) for key in ("x", "y", "width", "height"))


class TestLaneFigure:
    def draw(self):
        return lane_figure(lane(), segment_seconds=0.5, fill=FILL)

    def test_has_truth_above_prediction_and_gaps_where_nothing_is(self):
        assert [(box(part), part.get("fill")) for part in parts(self.draw(), "rect")] == [
            ((0, 0, 2 * CELL, BAR_HEIGHT), FILL),
            ((CELL, BAR_HEIGHT + BAR_GAP, 2 * CELL, BAR_HEIGHT), FILL),
        ]

    def test_marks_wrong_segments_and_only_those(self):
        (mark,) = parts(self.draw(), "path", "mark")
        below = CURVE_TOP - MARK_HEIGHT + 1
        assert mark.get("d") == f"M0 {below}h{CELL}M{2 * CELL} {below}h{CELL}"

    def test_curve_is_as_high_as_the_probability_over_a_line_at_one_half(self):
        (curve,) = parts(self.draw(), "path", "line first")
        middle, floor = CURVE_TOP + CURVE_HEIGHT // 2, CURVE_TOP + CURVE_HEIGHT
        assert curve.get("d") == f"M5 {CURVE_TOP}L15 {middle}L25 {middle}L35 {floor}"
        (threshold,) = parts(self.draw(), "path", "threshold")
        assert threshold.get("d") == f"M0 {middle}h{4 * CELL}"

    def test_says_everything_in_words(self):
        assert ElementTree.fromstring(self.draw())[0].text == (
            "dog, heard: truth 1–2; predicted 2–3\n"
            "wrong: 1 wrong modality, 1 missed\n"
            "probability: 1.00 0.50 0.50 0.00\n"
            "the clip's: 0.25"
        )

    def test_every_segment_says_its_own(self):
        hovers = parts(self.draw(), "rect", "hover")
        assert [box(part)[0] for part in hovers] == [0, CELL, 2 * CELL, 3 * CELL]
        assert [part.find("title").text for part in hovers] == [
            "segment 1: heard, not predicted; missed; probability 1.00; closed by the clip's 0.25",
            "segment 2: heard, predicted; probability 0.50",
            "segment 3: not heard, predicted; wrong modality; probability 0.50",
            "segment 4: not heard, not predicted; probability 0.00; no media",
        ]


class TestStrip:
    def draw(self, *lanes):
        drawn = lanes_strip(lanes, segment_seconds=1.0, fills={"dog": FILL, "cat": "#654321"})
        return ElementTree.fromstring(drawn)

    def test_has_what_is_seen_and_what_is_heard_apart(self):
        strip = self.draw(lane("visual"), lane("audio"), lane("audio", "cat"))
        assert [part.text for part in strip.iter("span")] == [None, "seen", "heard"]
        seen, heard = strip.iter("svg")
        assert seen[0].text == "dog, seen: truth 1–2; predicted 2–3"
        assert heard[0].text == "dog, heard: truth 1–2; predicted 2–3\ncat, heard: truth 1–2; predicted 2–3"

    def test_leaves_out_a_modality_of_which_there_is_nothing(self):
        assert [part.text for part in self.draw(lane("audio")).iter("span")] == [None, "heard"]

    def test_has_truth_in_the_upper_half_of_each_lane_and_prediction_in_the_lower(self):
        bars = [part for part in self.draw(lane(), lane("audio", "cat")).iter("rect") if part.get("class") is None]
        second = 2 * STRIP_BAR + STRIP_GAP
        assert [(float(part.get("y")), part.get("fill")) for part in bars] == [
            (0, FILL), (STRIP_BAR, FILL), (second, "#654321"), (second + STRIP_BAR, "#654321")
        ]  # fmt: skip

    def test_is_as_high_as_its_lanes_need(self):
        (one,), (two,) = (list(self.draw(*lanes).iter("svg")) for lanes in ([lane()], [lane(), lane("audio", "cat")]))
        assert one.get("style") == f"height:{2 * STRIP_BAR}px"
        assert two.get("style") == f"height:{4 * STRIP_BAR + STRIP_GAP}px"

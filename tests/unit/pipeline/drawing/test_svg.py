from pipeline.drawing.svg import bars, element, path_through
from pipeline.drawing.timelines import Lane, TimeAxis, find_spans


class TestElement:
    def test_escapes_text_and_attributes(self):
        assert element("text", '<i>&"', title='"<') == '<text title="&#34;&lt;">&lt;i&gt;&amp;&#34;</text>'

    def test_keeps_elements_inside(self):
        assert element("g", element("path", d="M0 0")) == '<g><path d="M0 0"></path></g>'

    def test_writes_two_decimals_at_most(self):
        assert element("rect", x=1 / 3, fill_opacity=2.0) == '<rect x="0.33" fill-opacity="2"></rect>'


def test_a_path_lifts_the_pen_at_a_gap():
    assert path_through([(0, 1), (1.5, 2), None, (3, 1 / 3)]) == "M0 1L1.5 2M3 0.33"


def test_a_lane_is_a_bar_per_span_which_says_what_is_background_and_masked():
    lane = Lane("predicted", find_spans(("dog", "background", None, "background"), (False, False, False, True)))
    drawn = bars(lane, TimeAxis(0, 4, 0, 40), top=9, height=8, fills={"dog": "#111111", "background": "#333333"})
    assert drawn == [
        '<rect x="0" y="9" width="10" height="8" fill="#111111"></rect>',
        '<rect x="10" y="9" width="10" height="8" fill="#333333" class="background"></rect>',
        '<rect x="30" y="9" width="10" height="8" fill="#333333" class="background masked"></rect>',
    ]

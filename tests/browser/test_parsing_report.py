"""The report of parsing in a real browser: its filters, its lanes, and that nothing but its script runs."""

from urllib.parse import quote

import pytest


class TestList:
    def test_opens_with_its_filters_and_complains_of_nothing(self, show, parsing_page):
        shown = show(parsing_page)
        assert shown.console == []
        assert "hidden" not in shown.element("filters")
        assert shown.count == "52 of 52 clips"
        assert len(shown.visible_clips) == 40

    def test_a_clip_is_found_by_each_of_its_categories(self, show, parsing_page):
        for category in ("dog", "rain"):
            assert "clip-val1" in show(parsing_page, f"category={category}&split=val").visible_clips
        assert show(parsing_page, "category=bell&split=val").visible_clips == ["clip-val0"]

    @pytest.mark.parametrize(
        ("address", "number"),
        [
            ("outcome=right&split=test", 20),  # all right, and nothing to find
            ("outcome=modality", 10),
            ("outcome=boundary&category=bell", 3),  # clips 12, 27 and 42
            ("outcome=missed&text=val", 1),
            ("category=unknown", 52),
        ],
    )
    def test_an_address_can_name_any_of_the_filters(self, show, parsing_page, address, number):
        assert show(parsing_page, address).count == f"{number} of 52 clips"

    def test_without_its_script_every_clip_is_there(self, show, parsing_page, tmp_path):
        copy = tmp_path / "index.html"
        start, _, rest = parsing_page.read_text().rpartition("<script>")
        copy.write_text(start + rest.partition("</script>")[2])
        shown = show(copy, "split=val")
        assert len(shown.visible_clips) == 52
        assert "hidden" in shown.element("filters")


class TestLanes:
    @pytest.mark.parametrize("width", [360, 1100])
    def test_share_the_time_of_the_pictures_and_of_the_axis(self, act, parsing_page, width):
        found = act(
            parsing_page,
            """
            const timeline = [...document.querySelectorAll(".timeline")].find((part) => part.querySelector(".picture"));
            const sides = (part) => { const b = part.getBoundingClientRect(); return [b.left, b.right]; };
            results.lanes = [...timeline.querySelectorAll("svg.lane")].map(sides);
            results.tracks = [".pictures", ".sound", ".axis"].map((name) => sides(timeline.querySelector(name)));
            """,
            width,
        )
        assert len(found["lanes"]) == 2
        for sides in [*found["lanes"], *found["tracks"]]:
            assert sides == pytest.approx(found["tracks"][0], abs=0.5)

    def test_a_segment_without_media_is_hatched_behind_its_lane(self, act, parsing_page):
        found = act(
            parsing_page,
            """
            const hatched = document.querySelector(".lane-track > .hatched");
            const box = (part) => { const b = part.getBoundingClientRect(); return [b.top, b.bottom, b.right]; };
            results.hatched = box(hatched);
            results.lane = box(hatched.parentElement.querySelector("svg.lane"));
            """,
        )
        assert found["hatched"] == pytest.approx(found["lane"], abs=0.5)

    def test_strips_of_rows_begin_at_one_place_whichever_modalities_they_have(self, act, parsing_page):
        found = act(
            parsing_page,
            """
            const rows = [...document.querySelectorAll("li > .row")];
            const left = (part) => Math.round(part.getBoundingClientRect().left);
            results.counts = [...new Set(rows.map((row) => row.querySelectorAll("svg").length))];
            results.lefts = [...new Set(rows.flatMap((row) => [...row.querySelectorAll("svg")].map(left)))];
            """,
        )
        assert sorted(found["counts"]) == [1, 2]
        assert len([left for left in found["lefts"] if left]) == 1

    @pytest.mark.parametrize("width", [360, 800, 1400])
    def test_the_page_does_not_scroll_sideways_with_everything_open(self, act, parsing_page, width):
        found = act(
            parsing_page,
            """
            for (const part of document.querySelectorAll("details")) part.open = true;
            const ends = [...document.querySelectorAll(".row")].map((row) => row.getBoundingClientRect().right);
            Object.assign(results, {
              window: innerWidth, page: document.documentElement.scrollWidth, rows: Math.max(...ends),
            });
            """,
            width,
        )
        assert found["window"] == width
        assert found["rows"] < found["page"] <= width


class TestHostileNames:
    def test_run_nothing(self, show, hostile_parsing_page):
        shown = show(hostile_parsing_page)
        assert shown.console == []
        assert "<title>CPSP (parsing) on synthetic_parsing</title>" in shown.dom
        assert len(shown.visible_clips) == 7

    def test_can_be_filtered_by(self, show, hostile_parsing_page):
        name = quote("</svg><script>document.title = 'owned'</script>", safe="")
        assert show(hostile_parsing_page, f"category={name}").count == "4 of 7 clips"

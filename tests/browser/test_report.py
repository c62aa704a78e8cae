"""The report in a real browser: what its script does, and that nothing else runs."""

from urllib.parse import quote

import pytest

DARK = "--blink-settings=preferredColorScheme=0"

CHANGE = """
const visible = () => [...document.querySelectorAll("#list > li")].filter((row) => !row.hidden).length;
const change = (name, value) => {
  const field = document.getElementById(name);
  field.value = value;
  field.dispatchEvent(new Event("input"));
};
"""


class TestList:
    def test_opens_with_its_filters_and_the_first_rows_and_complains_of_nothing(self, show, page):
        shown = show(page)
        assert shown.console == []
        assert "hidden" not in shown.element("filters")
        assert shown.count == "52 of 52 clips"
        assert len(shown.visible_clips) == 40
        assert "Show more (12 left)" in shown.dom

    def test_an_address_with_filters_opens_with_what_they_let_through(self, show, page):
        shown = show(page, "category=bell&split=val")
        assert shown.console == []
        assert shown.count == "1 of 52 clips"
        assert shown.visible_clips == ["clip-val0"]

    def test_an_address_can_name_any_of_the_filters(self, act, page):
        wanted = {
            "split=val": 2,
            "category=bell": 25 + 1,
            "outcome=right": 1 + 1,
            "outcome=boundary&split=test": 49,
            "outcome=missed": 0,
            "text=VAL1": 1,
            "text=nowhere&category=dog": 0,
            "category=unknown&split=val": 2,
        }
        found = act(
            page,
            CHANGE
            + f"""
            for (const address of {list(wanted)}) {{
              history.replaceState(null, "", "#" + address);
              window.dispatchEvent(new HashChangeEvent("hashchange"));
              const gone = ["none", "more"].map((name) => document.getElementById(name).hidden);
              results[address] = [document.getElementById("count").textContent, visible(), ...gone];
            }}
            """,
        )
        assert found == {
            address: [f"{number} of 52 clips", min(number, 40), number > 0, number <= 40]
            for address, number in wanted.items()
        }

    def test_a_clip_with_several_kinds_of_mistakes_is_found_by_each(self, act, page):
        found = act(
            page,
            CHANGE
            + """
            document.getElementById("list").children[5].dataset.outcome = "missed invented";
            for (const kind of ["missed", "invented", "category"]) {
              change("outcome", kind);
              results[kind] = visible();
            }
            """,
        )
        assert found == {"missed": 1, "invented": 1, "category": 0}

    def test_going_to_a_section_leaves_the_filters_as_they_are(self, act, page):
        found = act(
            page,
            CHANGE
            + """
            change("split", "val");
            history.replaceState(null, "", "#scores");
            window.dispatchEvent(new HashChangeEvent("hashchange"));
            results.visible = visible();
            """,
        )
        assert found == {"visible": 2}

    def test_a_filter_changes_rows_and_address_and_reset_takes_it_back(self, act, page):
        found = act(
            page,
            CHANGE
            + """
            change("category", "dog"); change("text", "clip1");
            Object.assign(results, { filtered: visible(), address: location.hash });
            document.getElementById("reset").click();
            Object.assign(results, { all: visible(), plain: location.hash });
            """,
        )
        # clip1, clip11, clip13 … clip19
        assert found == {"filtered": 6, "address": "#category=dog&text=clip1", "all": 40, "plain": "#clips"}

    def test_more_shows_the_rest_and_leaves_the_keyboard_at_its_first_row(self, act, page):
        found = act(
            page,
            CHANGE
            + """
            document.getElementById("more").click();
            const rows = [...document.querySelectorAll("#list > li")];
            Object.assign(results, {
              visible: visible(), hidden: document.getElementById("more").hidden,
              place: rows.indexOf(document.activeElement),
            });
            """,
        )
        assert found == {"visible": 52, "hidden": True, "place": 40}

    def test_without_its_script_every_clip_is_there_and_no_filter(self, show, page, tmp_path):
        copy = tmp_path / "index.html"
        start, _, rest = page.read_text().rpartition("<script>")
        copy.write_text(start + rest.partition("</script>")[2])
        shown = show(copy, "split=val")
        assert len(shown.visible_clips) == 52
        assert "hidden" in shown.element("filters")
        assert "hidden" in shown.element("more")


class TestDetails:
    def test_attention_can_be_taken_off_the_pictures(self, act, page):
        found = act(
            page,
            """
            const overlay = document.querySelector(".attention");
            results.before = getComputedStyle(overlay).visibility;
            document.getElementById("with-attention").click();
            results.after = getComputedStyle(overlay).visibility;
            """,
        )
        assert found == {"before": "visible", "after": "hidden"}

    def test_attention_covers_exactly_the_picture_under_it(self, act, page):
        found = act(
            page,
            """
            const overlay = document.querySelector(".attention");
            const box = (part) => { const b = part.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; };
            Object.assign(results, { over: box(overlay), under: box(overlay.previousElementSibling) });
            """,
        )
        assert found["over"] == pytest.approx(found["under"], abs=0.5)
        assert found["under"][2] / found["under"][3] == pytest.approx(4 / 3, abs=0.05)

    @pytest.mark.parametrize("width", [360, 800, 1400])
    def test_the_page_does_not_scroll_sideways_with_everything_open(self, act, page, width):
        found = act(
            page,
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

    def test_follows_a_dark_system(self, act, page):
        script = "results.page = getComputedStyle(document.body).backgroundColor"
        light, dark = act(page, script), act(page, script, 1100, DARK)
        assert light["page"] == "rgb(251, 251, 250)"
        assert dark["page"] == "rgb(20, 23, 26)"


class TestHostileNames:
    def test_run_nothing(self, show, hostile_page):
        shown = show(hostile_page)
        assert shown.console == []
        assert "<title>CPSP on synthetic</title>" in shown.dom
        assert len(shown.visible_clips) == 5

    @pytest.mark.parametrize(
        ("name", "value", "num_clips"),
        [("category", '"><script>document.title = "owned"</script>', 3), ("text", "'OWNED'</script>1", 1)],
    )
    def test_can_be_filtered_by(self, show, hostile_page, name, value, num_clips):
        assert show(hostile_page, f"{name}={quote(value, safe='')}").count == f"{num_clips} of 5 clips"

    def test_a_script_that_got_in_would_not_run(self, show, hostile_page, tmp_path):
        copy = tmp_path / "index.html"
        text = hostile_page.read_text()
        copy.write_text(text.replace("</body>", "<script>document.title = 'owned'</script></body>"))
        shown = show(copy)
        assert any("Content Security Policy" in line for line in shown.console)
        assert "<title>CPSP on synthetic</title>" in shown.dom

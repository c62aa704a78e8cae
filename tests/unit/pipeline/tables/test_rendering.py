"""All tables in all formats from made-up runs, read back as their readers would."""

import csv
import html
import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.core.errors import PipelineError
from pipeline.params.schema import Params, TablesParams
from pipeline.tables.definitions import Definitions, load_definitions
from pipeline.tables.planning import plan_rows
from pipeline.tables.rendering import render_tables
from pipeline.tables.reported import ReportedNumber, load_reported

ROOT = Path(__file__).resolve().parents[4]
HOSTILE = '=1+1|<script>alert(1)</script> & "50 %" $x_1$ \\input{x} *b* `c` #~^[d]\nsecond'
ONE_LINE = " ".join(HOSTILE.split())
KINDS = ("md", "tex", "csv")


@pytest.fixture
def render(
    tmp_path: Path, published: Params, rows_file: Callable, select: Callable, write_runs: Callable
) -> Callable[..., Path]:
    """Return a renderer of the shipped tables, with AVE's params and two seeds; `label` is that of an ablation."""

    def make(
        *,
        selection: TablesParams | None = None,
        label: str = "PSP + PSA_V",
        params: Params = published,
        reported: list[ReportedNumber] | None = None,
        **rows: list[float | str | None],
    ) -> Path:
        ablations: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "tables/rows.yaml")["ablations"]
        ablations["psa_v"]["label"] = label
        definitions = load_definitions(rows_file(ablations), "localization")
        params = params.model_copy(update={"tables": selection or select(seeds=[1, 2])})
        output = tmp_path / "rendered"
        render_tables(
            params=params,
            definitions=definitions,
            plans=plan_rows(params, definitions),
            reported=load_reported(ROOT / "tables/reported.yaml") if reported is None else reported,
            runs=write_runs(**rows),
            output=output,
        )
        return output

    return make


@pytest.fixture
def render_parsing(
    tmp_path: Path,
    llp: Params,
    shipped_parsing: Definitions,
    select: Callable,
    write_runs: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Path]:
    """Return a renderer of the shipped tables with LLP's params, for two seeds of HAN and CPSP of parsing."""
    monkeypatch.setattr("pipeline.tables.planning.source_fingerprint", lambda *modules: "code")

    def make(**changes: object) -> Path:
        selection = select(rows=["han_weak", "mmil_cpsp_weak"], seeds=[1, 2], **changes)
        params = llp.model_copy(update={"tables": selection})
        output = tmp_path / "rendered"
        render_tables(
            params=params,
            definitions=shipped_parsing,
            plans=plan_rows(params, shipped_parsing),
            reported=load_reported(ROOT / "tables/reported.yaml"),
            runs=write_runs(task="parsing", han_weak=[50, 53], mmil_cpsp_weak=[60, 61]),
            output=output,
        )
        return output

    return make


def rows_of(path: Path) -> list[Mapping[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class Page(HTMLParser):
    """The tags of a page, and the cells of its tables by heading of their section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._section, self._text = "", None
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            assert not name.startswith("on"), value
            assert name not in ("src", "href") or value.startswith("#"), value
        if tag in ("h2", "th", "td"):
            self._text = ""
        elif tag == "tr":
            self.tables.setdefault(self._section, []).append([])

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "h2":
            self._section = self._text
        elif tag in ("th", "td"):
            self.tables[self._section][-1].append(self._text)
        self._text = None if tag in ("h2", "th", "td") else self._text


def test_every_table_is_written_in_every_format(render: Callable) -> None:
    output = render(psp_full=[70, 71], cpsp_full=[75, 76])
    assert {path.name for path in output.iterdir()} == {
        "index.html",
        *(f"{name}.{suffix}" for name in ("full", "published", "reruns") for suffix in ("md", "tex", "csv")),
    }


def test_scores_and_daggers_are_the_same_in_all_formats(render: Callable) -> None:
    output = render(psp_full=[76, 77], cpsp_full=[78, 79], test_above=1)
    markdown = [line.strip("| ").split(" | ") for line in (output / "full.md").read_text().splitlines() if "|" in line]
    assert markdown[2][1:4] == ["2", "40 of 42", "76.5 ± 0.7"]
    # PSP reports the best epoch on test, CPSP that on validation.
    groups = ["", "", "", *["Best epoch on validation: "] * 4, *["Best epoch on test: "] * 4]
    assert [heading.startswith(group) for heading, group in zip(["", *markdown[0]], groups, strict=False)]
    page = Page((output / "index.html").read_text()).tables["Full supervision"]
    assert page[0] == ["", "Best epoch on validation", "Best epoch on test"]
    psp, cpsp = page[2:]
    assert (psp[5:7], psp[9:11]) == (["–", "–"], ["77.8†", "−0.3"])
    assert (cpsp[5:7], cpsp[9:11]) == (["78.6†", "−0.1"], ["–", "–"])
    assert markdown[2] == psp
    assert markdown[3] == cpsp
    latex = (output / "full.tex").read_text()
    assert r"PSP & 2 & 40 of 42 & 76.5 $\pm$ 0.7 & " in latex
    assert r"& -- & -- & 77.5 $\pm$ 0.7 & " in latex
    assert r"77.8$^{\dagger}$ & $-$0.3 \\" in latex
    assert r"78.6$^{\dagger}$ & $-$0.1 & 79.5 $\pm$ 0.7 & " in latex
    table = rows_of(output / "full.csv")
    assert [row["test_selected_published"] for row in table] == ["77.8†", ""]
    assert [row["validation_selected_published"] for row in table] == ["", "78.6†"]
    assert float(table[0]["validation_selected_mean"]) == 76.5


def test_the_legend_of_the_dagger_is_where_a_dagger_is(render: Callable) -> None:
    output = render(psp_full=[76, 77], cpsp_full=[78, 79])
    for name in ("full.md", "full.tex", "published.md", "published.tex"):
        assert "not yet looked up in the publication" in (output / name).read_text(), name
    assert "not yet looked up" not in (output / "reruns.md").read_text()
    assert "59.9†‡" in (output / "published.md").read_text()
    assert r"59.9$^{\dagger}$$^{\ddagger}$" in (output / "published.tex").read_text()
    assert "59.9†‡" in (output / "published.csv").read_text()
    assert (output / "index.html").read_text().count("59.9†‡") == 1


def test_a_hole_is_in_all_formats_with_its_reason_and_the_way_to_fill_it(render: Callable) -> None:
    output = render(psp_full=[76, "killed by SIGKILL"], cpsp_full=["loss <nan>", "loss <nan>"])
    page = (output / "index.html").read_text()
    command = (
        "dvc repro --force --single-item tables/dvc.yaml:rows@psp_full-2 tables/dvc.yaml:rows@cpsp_full-1 "
        "tables/dvc.yaml:rows@cpsp_full-2 && dvc repro tables/dvc.yaml"
    )
    assert command in html.unescape(page)
    assert "<li>CPSP, seed 1: loss &lt;nan&gt;</li>" in page
    assert "| 1 of 2 | 40 of 42 | 76.0 |" in (output / "full.md").read_text()
    assert "| 0 of 2 | – | no score | – |" in (output / "full.md").read_text()
    assert "- CPSP, seed 1: loss &lt;nan&gt;" in (output / "full.md").read_text()
    assert r"CPSP & 0 of 2 & -- & no score & -- &" in (output / "full.tex").read_text()
    assert r"CPSP, seed 1: loss \textless{}nan\textgreater{}" in (output / "full.tex").read_text()
    assert rows_of(output / "full.csv")[1]["without_score"] == "seed 1: loss <nan>; seed 2: loss <nan>"
    assert "dvc repro --force" not in (render(psp_full=[76, 77], cpsp_full=[78, 79]) / "index.html").read_text()


def test_hostile_names_are_shown_as_they_are_in_all_formats(render: Callable, select: Callable) -> None:
    reported = [
        ReportedNumber(
            method=HOSTILE, dataset="ave", value=1.0, protocol="test", source=HOSTILE, kind=kind, provenance="read"
        )
        for kind in ("published", "rerun")
    ]
    selection = select("psa_v", seeds=[1, 2])
    output = render(selection=selection, label=HOSTILE, reported=reported, cpsp_full=[78, 79], psa_v=[70, HOSTILE])

    page = Page((output / "index.html").read_text())
    assert not {"script", "b", "i", "img"} & set(page.tags)
    assert page.tables["Terms of the objective, full supervision"][2][0] == HOSTILE
    assert page.tables["Published numbers"][1][0] == HOSTILE

    for name in ("terms", "published", "reruns"):
        lines = (output / f"{name}.md").read_text().splitlines()
        table = [re.split(r"(?<!\\)\|", line) for line in lines if line.startswith("|")]
        assert len({len(cells) for cells in table}) == 1, "a name has split a cell or a line"
        shown = html.unescape(re.sub(r"\\([\\`*_{}\[\]|~$#])", r"\1", table[2][1].strip()))
        assert shown == ONE_LINE
        assert "<" not in "".join(lines)

        latex = (output / f"{name}.tex").read_text()
        assert r"=1+1\textbar{}\textless{}script\textgreater{}" in latex
        assert r"\& \textquotedbl{}50 \%\textquotedbl{} \$x\_1\$ \textbackslash{}input\{x\}" in latex
        assert r"\#\textasciitilde{}\textasciicircum{}{[}d{]} second" in latex
        assert r"\input" not in latex.replace(r"\textbackslash{}input", "")
        depth = 0
        for character in re.sub(r"\\[{}]", "", latex):
            depth += {"{": 1, "}": -1}.get(character, 0)
            assert depth >= 0
        assert depth == 0

    (first, *_) = rows_of(output / "terms.csv")
    assert first["label"] == f"'{HOSTILE}", "a spreadsheet would compute it"
    assert first["without_score"] == f"seed 2: {ONE_LINE}"
    assert rows_of(output / "published.csv")[0]["method"] == f"'{HOSTILE}"


def test_negative_numbers_stay_numbers_in_the_csv(render: Callable) -> None:
    (psp, _) = rows_of(render(psp_full=[70, 71], cpsp_full=[75, 76]) / "full.csv")
    assert float(psp["compared_difference"]) == -5


@pytest.mark.slow
def test_what_the_scores_are_worth_is_said_first_in_all_formats(
    render: Callable, make_params: Callable, select: Callable
) -> None:
    selection = select(seeds=[1, 2], num_epochs=3)
    output = render(selection=selection, params=make_params(), psp_full=[70, 71], cpsp_full=[75, 76], weights="random")
    for name in ("index.html", "full.md", "full.tex"):
        text = (output / name).read_text()
        for caveat in ("Random network weights (visual)", "The embedded data set", "Other training settings"):
            assert caveat in text, name
        assert "3 (45)" in text
        assert "Published" not in text.split("Published numbers")[0]
    assert "spsa.form paper (released)" in (render(cpsp_full=[75, 76]) / "full.md").read_text()
    plain = render(selection=select(rows=["psp_full"]), psp_full=[70, 71])
    assert "Other training settings" not in (plain / "full.md").read_text()


def test_latex_has_a_rule_under_each_choice_of_the_epoch(render: Callable) -> None:
    latex = (render(psp_full=[76, 77], cpsp_full=[78, 79]) / "full.tex").read_text()
    assert r"\begin{tabular}{lrrrrrrrrrr}" in latex
    assert r"\multicolumn{4}{c}{Best epoch on validation} & \multicolumn{4}{c}{Best epoch on test}" in latex
    assert r"\cmidrule(lr){4-7} \cmidrule(lr){8-11}" in latex
    for rule in ("toprule", "midrule", "bottomrule"):
        assert latex.count(f"\\{rule}") == 1
    body = latex.split(r"\midrule")[1].split(r"\bottomrule")[0]
    assert [line.count(" & ") for line in body.strip().splitlines()] == [10, 10]


def test_the_page_needs_nothing_from_elsewhere(render: Callable) -> None:
    text = (render(psp_full=[76, 77], cpsp_full=[78, 79]) / "index.html").read_text()
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text
    assert "http" not in text.replace("http-equiv", "")


def test_the_same_runs_give_the_same_bytes(render: Callable) -> None:
    def read() -> dict[str, bytes]:
        output = render(psp_full=[76, 77], cpsp_full=[78, 79])
        return {path.name: path.read_bytes() for path in output.iterdir()}

    assert read() == read()


def test_a_damaged_run_stops_it(render: Callable, tmp_path: Path) -> None:
    folder = tmp_path / "runs/psp_full-1"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text("{")
    with pytest.raises(PipelineError, match="psp_full-1"):
        render(cpsp_full=[78, 79])


def test_ten_scores_are_the_same_in_all_formats(render_parsing: Callable) -> None:
    output = render_parsing()
    names = ("index.html", *(f"{name}.{kind}" for name in ("parsing", "published", "reruns") for kind in KINDS))
    assert {path.name for path in output.iterdir()} == set(names), "rows of localization are of no concern here"

    text = (output / "parsing.md").read_text()
    markdown = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]
    assert {len(cells) for cells in markdown} == {13}
    page = Page((output / "index.html").read_text()).tables["Parsing"]
    assert page[0] == ["", "Per segment", "Per event"]
    assert [cell.rpartition(": ")[2] for cell in markdown[0]] == page[1]
    body = [[html.unescape(cell).strip("*") for cell in cells] for cells in markdown[2:]]
    assert [cells[:1] if not any(cells[1:]) else cells for cells in body] == page[2:]
    assert [cells[0] for cells in body] == [
        *("Epoch that the recipe keeps", "HAN", "95 % interval", "Published", "Difference"),
        *("CPSP (parsing)", "95 % interval"),
        *("Best epoch on test", "HAN", "95 % interval", "CPSP (parsing)", "95 % interval"),
    ]
    assert body[3][3:] == ["60.1", "52.9", "48.9", "54.0", "55.4", "51.3", "48.9", "43.0", "47.7", "48.0"]

    latex = (output / "parsing.tex").read_text()
    lines = latex.split(r"\midrule", 1)[1].split(r"\bottomrule")[0].strip().splitlines()
    of_rows = [line.strip().removesuffix(r" \\").split(" & ") for line in lines if " & " in line]
    shown = [[cell.replace(r"$\pm$", "±").replace("$-$", "−").replace("--", "–") for cell in row] for row in of_rows]
    expected = [cells for cells in body if any(cells[1:])]
    assert [[cells[0].removeprefix(r"\quad ").replace(r"\%", "%"), *cells[1:]] for cells in shown] == expected
    of_csv = rows_of(output / "parsing.csv")
    assert len(of_csv) == 20
    assert [row["validation_selected_published"] for row in of_csv[:10]] == body[3][3:]


def test_latex_of_ten_scores_takes_the_width_of_the_page(render_parsing: Callable) -> None:
    output = render_parsing()
    latex = (output / "parsing.tex").read_text()
    assert latex.startswith("% \\usepackage{booktabs, graphicx}\n\\begin{table*}\n")
    assert latex.endswith("\\end{table*}\n")
    assert r"\resizebox{\textwidth}{!}{%" in latex
    assert r"\begin{tabular}{lrrrrrrrrrrrr}" in latex
    assert latex.count("{") == latex.count("}")
    assert r"\cmidrule(lr){4-8} \cmidrule(lr){9-13}" in latex
    assert r"\multicolumn{13}{l}{\emph{Best epoch on test}} \\" in latex
    assert latex.count("    \\quad 95 \\% interval & ") == 4, "lines that say more of another are indented"
    assert latex.count(r"\midrule") == 2, "one below the head, one between the blocks"
    assert "resizebox" not in (output / "published.tex").read_text()


def test_the_page_says_what_the_numbers_are(render: Callable, render_parsing: Callable) -> None:
    of_parsing = (render_parsing() / "index.html").read_text()
    assert "F-scores in percent" in of_parsing
    assert "Accuracy: segments" not in of_parsing
    assert "Accuracy: segments" in (render(psp_full=[70, 71]) / "index.html").read_text()


def test_published_numbers_of_parsing_leave_the_table_where_other_settings_are_trained(
    render_parsing: Callable,
) -> None:
    text = (render_parsing(num_epochs=3) / "parsing.md").read_text()
    assert "| Published |" not in text
    assert "- HAN: published A per segment 60.1, V per segment 52.9, " in text
    assert r"; not beside it: trained with other settings (num\_epochs)." in text
    assert "HAN, weak: not the published settings (those in brackets): num\\_epochs 3 (40)" in text

"""The page of parsing."""

from typing import Any

from pipeline.methods.settings import Gate
from pipeline.report.page import TaskPage
from pipeline.report.parsing import scores
from pipeline.report.parsing.clips import build_row
from pipeline.report.parsing.contact_sheets import draw_sheet
from pipeline.report.parsing.inputs import load_run
from pipeline.report.parsing.mistakes import KINDS
from pipeline.report.parsing.run import GATES, VERBS, ParsingRun

_GATE_MEANINGS: dict[Gate, str] = {
    "global": "its probability in the whole clip, whichever the modality",
    "own": "its probability in the clip in that modality",
}


def describe_rule(gate: Gate) -> str:
    """Return how what is heard and seen follows from the answers of the network."""
    return (
        "A category is heard, or seen, in a segment where its probability there is at least 0.5, and so is "
        f"{_GATE_MEANINGS[gate]} ({GATES[gate]})."
    )


def describe(run: ParsingRun) -> dict[str, Any]:
    """Return what the templates of parsing need."""
    return {
        "rule": describe_rule(run.gate),
        "gate": run.gate,
        "gate_name": GATES[run.gate],
        "other_gate_name": GATES[run.other_gate],
        "verbs": VERBS,
        "headlines": scores.HEADLINES,
        "columns": scores.COLUMN_WORDS.values(),
        "levels": scores.tabulate_scores(run),
        "mistakes": scores.count_mistakes(run),
        "reliability": scores.draw_reliability(run),
        "categories": scores.list_categories(run),
    }


PAGE = TaskPage(
    title="Audio-visual video parsing",
    score_title="Type@AV per segment, %",
    kinds=KINDS,
    style="parsing.css",
    load_run=load_run,
    describe=describe,
    build_row=build_row,
    draw_sheet=draw_sheet,
)

"""The page of localization."""

from typing import Any

from pipeline.methods.registry import METHODS
from pipeline.params.schema import TrainParams
from pipeline.report.localization import scores
from pipeline.report.localization.cards import CARDS
from pipeline.report.localization.clips import build_row
from pipeline.report.localization.contact_sheets import draw_sheet
from pipeline.report.localization.inputs import load_run
from pipeline.report.localization.run import LocalizationRun
from pipeline.report.mistakes import KINDS
from pipeline.report.page import TaskPage


def describe_rule(train: TrainParams) -> str:
    """Return how labels follow from the answers of the network that was trained."""
    if METHODS[train.method].rule == "per_segment":
        return "Every segment has the class that is most probable in it, background being one: there is no threshold."
    rule = "A segment above 0.5 has the category of its clip, the others are background"
    if train.conduct.background_class:
        rule += "; so are all of a clip whose class is background"
    return f"{rule}."


def describe(run: LocalizationRun) -> dict[str, Any]:
    """Return what the templates of localization need."""
    return {
        "rule": describe_rule(run.params.train),
        "cards": CARDS,
        "mistakes": scores.count_mistakes(run),
        "reliability": scores.draw_reliability(run),
        "confusion": scores.tabulate_confusion(run),
        "confusions": scores.list_confusions(run),
        "categories": scores.list_categories(run),
    }


PAGE = TaskPage(
    title="Audio-visual event localization",
    score_title="Accuracy, %",
    kinds=KINDS,
    style="",
    load_run=load_run,
    describe=describe,
    build_row=build_row,
    draw_sheet=draw_sheet,
)

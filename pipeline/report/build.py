"""The report: every part of the page as plain values, handed to the template, written as one file.

The same inputs give the same bytes: no times, no paths of this machine. Names come from data sets and are never
trusted: the template escapes, and a content security policy forbids every request and every script but the page's own,
which it names by its hash.
"""

import base64
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Template
from markupsafe import Markup

from pipeline.core.files import write_text
from pipeline.core.sections import flatten
from pipeline.drawing.pages import load_template
from pipeline.drawing.palette import Colour, colours
from pipeline.media.container import REASONS
from pipeline.methods.registry import METHODS
from pipeline.methods.settings import Task
from pipeline.params.schema import Params
from pipeline.report import provenance, scores, wording
from pipeline.report.contact_sheets import write_contact_sheets
from pipeline.report.explorer import Explorer, build_explorer
from pipeline.report.localization.page import PAGE as LOCALIZATION
from pipeline.report.mistakes import RIGHT
from pipeline.report.page import TaskPage
from pipeline.report.parsing.page import PAGE as PARSING
from pipeline.report.run import MODALITIES, PREDICTIONS, Run
from pipeline.store.ledger import LARGE_OFFSET_SECONDS
from pipeline.store.manifest import BACKGROUND
from pipeline.store.shards import SCHEMA

PAGES: Mapping[Task, TaskPage] = {"localization": LOCALIZATION, "parsing": PARSING}

MAX_PROBLEM_VIDEOS = 50
MAX_SPLIT_COLUMNS = 3  # of the audit's table; one of more stands on its side
NUM_OPEN = 3  # clips that show their details from the start


def build_report(
    *, params: Params, prepared: Path, features: Path, train: Path, evaluate: Path, raw: Path, output: Path
) -> Path:
    """Write ``index.html`` and ``plots/attention/*.png`` into `output` and return the path of the page.

    Parameters
    ----------
    params : Params
    prepared, train, evaluate : Path
        What the stages of these names wrote.
    features : Path
        The folder with ``visual`` and ``audio``.
    raw : Path
        The folder that the manifest's media paths start from.
    output : Path

    Raises
    ------
    PipelineError
        If a file is missing or contradicts another.
    """
    page = PAGES[params.dataset.task]
    run = page.load_run(params=params, prepared=prepared, features=features, train=train, evaluate=evaluate, raw=raw)
    path = output / "index.html"
    colour_of = colours(run.manifest.categories)
    explorer = build_explorer(
        run, page.kinds, lambda prediction, is_detailed: page.build_row(run, prediction, colour_of, is_detailed)
    )
    write_text(path, _render(page, run, explorer, colour_of))
    folder = output / "plots" / "attention"
    write_contact_sheets(run, folder, lambda prediction: page.draw_sheet(run, prediction, colour_of))
    return path


def _render(page: TaskPage, run: Run, explorer: Explorer, colour_of: Mapping[str, Colour]) -> str:
    task = run.params.dataset.task
    style, script = _read("report.css"), _read("report.js")
    if page.style:
        style += _read(f"{task}/{page.style}")
    return _load_template().render(
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        task=task,
        title=page.title,
        params=run.params,
        notice=provenance.describe_notice(run.params),
        metrics=run.metrics,
        method=METHODS[run.params.train.method].label,
        kept_epoch=run.params.train.conduct.selection.describe_kept(run.params.train.settings.num_epochs),
        unscored=scores.list_unscored(run),
        explorer=explorer,
        colours=colour_of,
        num_open=NUM_OPEN,
        background=BACKGROUND,
        kinds=page.kinds,
        category_words={name: name for name in run.manifest.categories},
        outcome_words={RIGHT: "all right", **{code: kind.name for code, kind in page.kinds.items()}},
        splits=scores.SPLIT_NAMES,
        files=PREDICTIONS,
        makings=provenance.describe_makings(run),
        charts=scores.draw_charts(run, page.score_title),
        audit=provenance.sort_audit(run.audit),
        max_columns=MAX_SPLIT_COLUMNS,
        ledgers={name: provenance.explain_ledger(run.features[name].summary) for name in MODALITIES},
        offsets=run.features["visual"].summary.offsets,
        explanation=provenance.explain_frames(run),
        large_offset=LARGE_OFFSET_SECONDS,
        problems=provenance.list_problem_videos(run),
        max_problems=MAX_PROBLEM_VIDEOS,
        reasons=REASONS,
        settings=provenance.list_settings(run.params),
        features=run.features,
        recipes={name: flatten(run.features[name].index.recipe) for name in MODALITIES},
        schema=SCHEMA,
        **page.describe(run),
    )


def _read(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


@functools.cache
def _load_template() -> Template:
    return load_template(
        "pipeline",
        "report",
        "report.html.j2",
        percent=wording.percent,
        value=wording.show_value,
        seconds=wording.show_seconds,
    )

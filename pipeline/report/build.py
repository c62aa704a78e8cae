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
from pipeline.params.schema import Params
from pipeline.report import provenance, scores, wording
from pipeline.report.cards import CARDS
from pipeline.report.contact_sheets import write_contact_sheets
from pipeline.report.explorer import Explorer, build_explorer
from pipeline.report.inputs import load_run
from pipeline.report.mistakes import KINDS, RIGHT
from pipeline.report.run import MODALITIES, PREDICTIONS, Run
from pipeline.store.ledger import LARGE_OFFSET_SECONDS
from pipeline.store.manifest import BACKGROUND
from pipeline.store.shards import SCHEMA

MAX_PROBLEM_VIDEOS = 50
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
    run = load_run(params=params, prepared=prepared, features=features, train=train, evaluate=evaluate, raw=raw)
    path = output / "index.html"
    colour_of = colours(run.manifest.categories)
    write_text(path, _render(run, build_explorer(run, colour_of), colour_of))
    write_contact_sheets(run, output / "plots" / "attention", colour_of)
    return path


def _render(run: Run, explorer: Explorer, colour_of: Mapping[str, Colour]) -> str:
    style, script = ((Path(__file__).parent / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    return _load_template().render(
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        params=run.params,
        notice=provenance.describe_notice(run.params),
        metrics=run.metrics,
        cards=CARDS,
        method=METHODS[run.params.train.method].label,
        rule=provenance.describe_rule(run.params.train),
        kept_epoch=run.params.train.conduct.selection.describe_kept(run.params.train.settings.num_epochs),
        unscored=scores.list_unscored(run),
        explorer=explorer,
        colours=colour_of,
        num_open=NUM_OPEN,
        background=BACKGROUND,
        kinds=KINDS,
        category_words={name: name for name in run.manifest.categories},
        outcome_words={RIGHT: "all right", **{code: kind.name for code, kind in KINDS.items()}},
        splits=scores.SPLIT_NAMES,
        files=PREDICTIONS,
        mistakes=scores.count_mistakes(run),
        reliability=scores.draw_reliability(run),
        makings=provenance.describe_makings(run),
        confusion=scores.tabulate_confusion(run),
        confusions=scores.list_confusions(run),
        categories=scores.list_categories(run),
        charts=scores.draw_charts(run),
        audit=provenance.sort_audit(run.audit),
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
    )


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

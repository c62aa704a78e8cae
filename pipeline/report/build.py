"""The report: every part of the page as plain values, handed to the template, written as one file.

The same inputs give the same bytes: no times, no paths of this machine. Names come from data sets and are never
trusted: the template escapes, and a content security policy forbids every request and every script but the page's own,
which it names by its hash.
"""

import base64
import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from pipeline.core.files import write_text
from pipeline.core.sections import flatten
from pipeline.drawing.palette import Colour, colours
from pipeline.media.container import REASONS
from pipeline.params.schema import Params
from pipeline.report.calibration import Calibration, calibrate
from pipeline.report.contact_sheets import write_contact_sheets
from pipeline.report.explorer import Explorer, build_explorer
from pipeline.report.figures import Mark, Series, confusion_map, line_chart, reliability_diagram
from pipeline.report.inputs import MODALITIES, PREDICTIONS, Prediction, Run, load_run
from pipeline.report.mistakes import KINDS, RIGHT, count_kinds, segment_kinds
from pipeline.store.ledger import LARGE_OFFSET_SECONDS, LedgerSummary, OffsetSummary, count_videos
from pipeline.store.manifest import BACKGROUND, SPLITS
from pipeline.store.shards import SCHEMA

MAX_TABLE_NAMES = 40
MAX_CELL_SHARES = 12
MAX_CONFUSIONS = 12
MAX_PROBLEM_VIDEOS = 50
MAX_AUDIT_ITEMS = 10
NUM_OPEN = 3  # clips that show their details from the start

SPLIT_NAMES = {"test": "test", "val": "validation"}

NO_VALUE = "–"
SPACE = "\N{NARROW NO-BREAK SPACE}"

_OTHER_COLUMNS = {"gradient_norm": "Gradient norm", "learning_rate": "Learning rate"}


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
    return _template().render(
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        params=run.params,
        notice=describe_notice(run.params),
        metrics=run.metrics,
        unscored=_unscored_clips(run),
        explorer=explorer,
        colours=colour_of,
        num_open=NUM_OPEN,
        background=BACKGROUND,
        kinds=KINDS,
        category_words={name: name for name in run.manifest.categories},
        outcome_words={RIGHT: "all right", **{code: kind.name for code, kind in KINDS.items()}},
        splits=SPLIT_NAMES,
        files=PREDICTIONS,
        mistakes=_mistakes(run),
        reliability=_reliability(run),
        makings=_makings(run),
        confusion=_confusion(run),
        confusions=_most_frequent_confusions(run),
        categories=_categories(run),
        charts=_charts(run),
        audit=_audit(run.audit),
        ledgers={name: _ledger(run.features[name].summary) for name in MODALITIES},
        offsets=run.features["visual"].summary.offsets,
        explanation=_explanation(run),
        large_offset=LARGE_OFFSET_SECONDS,
        problems=_problem_videos(run),
        max_problems=MAX_PROBLEM_VIDEOS,
        reasons=REASONS,
        settings=_settings(run.params),
        features=run.features,
        recipes={name: flatten(run.features[name].index.recipe) for name in MODALITIES},
        schema=SCHEMA,
    )


@functools.cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("pipeline", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, value=show_value, seconds=show_seconds)
    return environment.get_template("report.html.j2")


def percent(value: float | None, digits: int = 1) -> str:
    """Return a number of percent as text, with a space that does not break; None is a dash."""
    return NO_VALUE if value is None else f"{value:.{digits}f}{SPACE}%"


def show_value(value: object) -> str:
    """Return a parameter as people write it.

    >>> [show_value(value) for value in (None, True, [10, 20], 0.0005, "cpsp")]
    ['–', 'yes', '10, 20', '0.0005', 'cpsp']
    """
    if value is None:
        return NO_VALUE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(show_value(item) for item in value) or "none"
    return str(value)


def show_seconds(value: float) -> str:
    """Return a time as text, with a space that does not break.

    >>> show_seconds(0.4712).replace(SPACE, " ")
    '0.471 s'
    """
    return f"{value:.3g}{SPACE}s"


def describe_notice(params: Params) -> str:
    """Return why the scores say nothing about the method; empty if they do."""
    random = []
    if params.features.source == "extracted":
        random = [name for name in MODALITIES if getattr(params, name).weights == "random"]
        if params.audio.postprocess == "pca" and params.audio.pca_weights == "random":
            random.append("PCA of audio")
    reasons = []
    if random:
        reasons.append(f"random network weights ({', '.join(random)})")
    if params.dataset.format == "synthetic":
        reasons.append("the embedded data set")
    if not reasons:
        return ""
    text = " and ".join(reasons)
    return f"{text[0].upper()}{text[1:]}: these scores show that the pipeline works; they say nothing about the method."


def _unscored_clips(run: Run) -> list[dict[str, str]]:
    """Return the test clips without a score, and what the ledgers say about their videos."""
    scored = {prediction.clip.clip_id for prediction in run.predictions["test"]}
    rows = []
    for clip in run.test_clips:
        if clip.clip_id not in scored:
            reasons = [f"{name}: {run.features[name].ledger[clip.video_id].reason}" for name in MODALITIES]
            rows.append({"clip_id": clip.clip_id, "category": clip.category, "reasons": ", ".join(reasons)})
    return rows


def _makings(run: Run) -> dict[str, str]:
    """Return in a few words what each modality's features were made with."""
    makings = {}
    for name in MODALITIES:
        index = run.features[name].index
        if index.recipe.get("source") == "released":
            parts = ["as released by the authors of the data set"]
        else:
            network = " ".join(str(index.recipe[key]) for key in ("backbone", "layer") if key in index.recipe)
            parts = [network, f"weights {index.recipe.get('weights')}"]
        makings[name] = " · ".join([*parts, f"recipe {index.recipe_hash}"])
    return makings


def _mistakes(run: Run) -> list[dict[str, Any]]:
    """Return the wrong segments of each split by kind; splits without a prediction are left out."""
    rows = []
    for split in PREDICTIONS:
        of_split = run.predictions[split]
        kinds = [segment_kinds(prediction.truth, prediction.predicted) for prediction in of_split]
        counts = count_kinds(kinds)
        if of_split:
            rows.append(
                {
                    "split": SPLIT_NAMES[split],
                    "counts": counts,
                    "num_wrong": sum(counts.values()),
                    "num_segments": sum(map(len, kinds)),
                    "num_masked": _masked_mistakes(run, of_split, kinds),
                }
            )
    return rows


def _masked_mistakes(run: Run, predictions: Sequence[Prediction], kinds: Sequence[Sequence[str]]) -> int:
    """Return how many wrong segments lack a modality, so that nothing but background could be predicted."""
    return sum(
        is_masked and kind != RIGHT
        for prediction, of_clip in zip(predictions, kinds, strict=True)
        for kind, is_masked in zip(of_clip, run.is_masked(prediction.clip.video_id), strict=True)
    )


def _reliability(run: Run) -> list[dict[str, Any]]:
    """Return a diagram per split with predictions, over the segments that have both modalities."""
    parts = []
    for split in PREDICTIONS:
        if run.predictions[split]:
            calibration = _calibration(run, run.predictions[split])
            name = SPLIT_NAMES[split]
            figure = reliability_diagram(calibration, title=f"Reliability on {name}")
            parts.append(
                {
                    "split": name,
                    "figure": figure,
                    "error": calibration.expected_error,
                    "num_segments": int(calibration.counts.sum()),
                }
            )
    return parts


def _calibration(run: Run, predictions: Sequence[Prediction]) -> Calibration:
    pairs = [
        (relevance, truth != BACKGROUND)
        for prediction in predictions
        for relevance, truth, is_masked in zip(
            prediction.relevance, prediction.truth, run.is_masked(prediction.clip.video_id), strict=True
        )
        if not is_masked
    ]
    return calibrate(np.array([said for said, _ in pairs]), np.array([found for _, found in pairs], dtype=bool))


def _confusion(run: Run) -> dict[str, Any]:
    """Return a table of counts and row shares, or a map where there are too many names for a table."""
    names = run.names
    if len(names) > MAX_TABLE_NAMES:
        return {"names": names, "rows": [], "map": confusion_map(run.confusion, names), "with_shares": False}
    totals = run.confusion.sum(axis=1)
    shares = run.confusion / np.maximum(totals, 1)[:, np.newaxis]
    rows = [
        {
            "name": name,
            "total": int(totals[row]),
            "cells": [
                {"name": names[column], "count": int(count), "share": float(shares[row, column])}
                for column, count in enumerate(run.confusion[row])
            ],
        }
        for row, name in enumerate(names)
    ]
    return {"names": names, "rows": rows, "map": None, "with_shares": len(names) <= MAX_CELL_SHARES}


def _most_frequent_confusions(run: Run) -> list[dict[str, Any]]:
    names, counts = run.names, run.confusion
    wrong = [(int(counts[row, column]), row, column) for row, column in np.argwhere(counts) if row != column]
    wrong.sort(key=lambda item: (-item[0], item[1], item[2]))
    return [
        {
            "truth": names[row],
            "prediction": names[column],
            "count": count,
            "share": 100 * count / int(counts[row].sum()),
        }
        for count, row, column in wrong[:MAX_CONFUSIONS]
    ]


def _categories(run: Run) -> list[dict[str, Any]]:
    return [
        {
            "name": row["category"],
            "num_clips": row["num_clips"] or NO_VALUE,
            "num_segments": row["num_event_segments"],
            "segment_accuracy": float(row["segment_accuracy"]) if row["segment_accuracy"] else None,
            "category_accuracy": float(row["category_accuracy"]) if row["category_accuracy"] else None,
        }
        for row in run.per_class
    ]


def _charts(run: Run) -> list[dict[str, Any]]:
    """Return the accuracy and every other column of the history as a chart, with the selected epochs marked."""
    history = run.history
    epochs = [epoch for epoch in history["epoch"] if epoch is not None]
    best, test_best = run.metrics["best_epoch"], run.metrics["test_selected_epoch"]
    marks, plain = [], []
    if best is not None:
        marks.append(Mark(best, f"epoch {best:g}, selected"))
        plain.append(Mark(best))
    if test_best is not None and test_best != best and "test_accuracy" in history:
        marks.append(Mark(test_best, f"epoch {test_best:g}, best on test", "second"))
    accuracy = [Series("validation", history["validation_accuracy"])]
    if "test_accuracy" in history:
        accuracy.append(Series("test", history["test_accuracy"], "second"))
    title = "Accuracy, %"
    charts = [{"title": title, "series": accuracy, "figure": line_chart(epochs, accuracy, marks, title=title)}]
    for column in _chart_columns(history):
        series = [Series("training" if column.startswith("train_") else column, history[column])]
        title = _chart_title(column)
        charts.append({"title": title, "series": [], "figure": line_chart(epochs, series, plain, title=title)})
    return charts


def _chart_columns(history: Mapping[str, Sequence[float | None]]) -> list[str]:
    terms = [column for column in history if column.startswith("train_") and column != "train_loss"]
    return ["train_loss", *terms, *(column for column in _OTHER_COLUMNS if column in history)]


def _chart_title(column: str) -> str:
    if column in _OTHER_COLUMNS:
        return _OTHER_COLUMNS[column]
    term = column.removeprefix("train_")
    return "Total loss" if term == "loss" else f"Loss: {term}"


def _audit(audit: Mapping[str, Any]) -> dict[str, Any]:
    """Sort the audit into facts, splits and findings; only lists that hold something are findings."""
    findings = []
    for key, value in audit.items():
        if _is_list(value):
            findings.append((_in_words(key), value))
        elif isinstance(value, Mapping):
            findings += [(f"{_in_words(key)}: {part}", item) for part, item in value.items() if _is_list(item)]
    return {
        "facts": {
            _in_words(key): _audit_value(key, value)
            for key, value in audit.items()
            if not isinstance(value, (Mapping, list))
        },
        "splits": [{"name": split, **audit["splits"][split]} for split in SPLITS if split in audit.get("splits", {})],
        "findings": [
            {"name": name, "count": listed["count"], "items": _shown_items(listed)}
            for name, listed in findings
            if listed["count"]
        ],
    }


def _is_list(value: object) -> bool:
    return isinstance(value, Mapping) and set(value) == {"count", "items"}


def _shown_items(listed: Mapping[str, Any]) -> str:
    items = listed["items"][:MAX_AUDIT_ITEMS]
    texts = [
        "; ".join(f"{_in_words(key)} {show_value(value)}" for key, value in item.items())
        if isinstance(item, Mapping)
        else str(item)
        for item in items
    ]
    return ", ".join(texts) + (", …" if listed["count"] > len(items) else "")


def _audit_value(key: str, value: Any) -> str:
    if key == "num_bytes":
        return f"{value / 1e6:.1f} MB"
    if key.endswith("_share") and value is not None:
        return percent(100 * value)
    return show_value(value)


def _in_words(key: str) -> str:
    return key.removeprefix("num_").replace("_", " ")


def _explanation(run: Run) -> str:
    """Return in words where the features are from, and what another choice of frames would show."""
    if run.params.features.source == "released":
        return "The features are those that the authors of the data set released; no video was decoded for them."
    return explain_offsets(run.features["visual"].summary.offsets, run.params.visual.sampling)


def explain_offsets(offsets: OffsetSummary, sampling: str) -> str:
    """Return in words what the other choice of frames than `sampling` (``frames`` or ``time``) would show."""
    chosen, other = "by number, as the AVE release does", "by time"
    if sampling == "time":
        chosen, other = "by time", "by number, as the AVE release does,"
    first = f"Frames are chosen {chosen}"
    if offsets.max_seconds is None:
        return f"{first}; how far the choice {other} would be from that is not in the ledger."
    videos = count_videos(offsets.num_videos)
    if not offsets.max_seconds:
        return f"{first}; the choice {other} would show the same frames in {videos}."
    largest, video_id = show_seconds(offsets.max_seconds), offsets.furthest[0][0]
    if not offsets.num_large:
        return f"{first}; in {videos} the choice {other} would show frames at most {largest} away ({video_id})."
    return (
        f"{first}; in {offsets.num_large} of {videos} the choice {other} would show a frame more than "
        f"{show_seconds(LARGE_OFFSET_SECONDS)} away, at most {largest} ({video_id})."
    )


def _ledger(summary: LedgerSummary) -> dict[str, Any]:
    """Return the counts of one modality with the sentence that explains each reason."""
    reasons = [
        {"name": reason, "meaning": REASONS.get(reason, ""), "counts": counts}
        for reason, counts in summary.reasons.items()
    ]
    return {"summary": summary, "reasons": reasons}


def _problem_videos(run: Run) -> list[dict[str, Any]]:
    """Return a row per video and modality that is not whole, failed ones first."""
    num_segments = run.params.dataset.num_segments
    rows = [
        {
            "video_id": row.video_id,
            "modality": modality,
            "status": row.status,
            "reason": row.reason,
            "meaning": REASONS.get(row.reason, ""),
            "valid": run.features[modality].valid(row.video_id, num_segments),
            "detail": row.detail,
        }
        for modality in MODALITIES
        for row in run.features[modality].ledger.values()
        if row.status != "ok"
    ]
    return sorted(rows, key=lambda row: (row["status"] != "failed", row["video_id"], row["modality"]))


def _settings(params: Params) -> list[dict[str, Any]]:
    """Return the parameters that this run depends on, by section.

    How the machine was used changes no number, and the settings of other methods, of the other supervision and of an
    extraction that was not run had no part: they are left out, so that the page is the same whatever they are.
    """
    train = params.train
    sections = params.model_dump(exclude={"extract": True, "train": {"device", "cache"}, "tables": True})
    if params.features.source == "released":
        sections = {name: values for name, values in sections.items() if name not in MODALITIES}
    sections["train"] = {key: value for key, value in sections["train"].items() if not isinstance(value, dict)}
    sections["train"][f"{train.method}.{train.supervision}"] = train.settings.model_dump()
    if train.supervision == "weak":
        sections["train"]["weak"] = train.weak.model_dump()
    return [{"name": name, "values": flatten(values)} for name, values in sections.items()]

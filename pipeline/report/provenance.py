"""The parts of the page about where the scores are from: data, features, and the settings of the run.

Each is a plain value for the template.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.core.sections import flatten
from pipeline.media.container import REASONS
from pipeline.methods.settings import Schedule
from pipeline.params.schema import Params
from pipeline.report.run import MODALITIES, Run
from pipeline.report.wording import in_words, percent, show_seconds, show_value
from pipeline.store.ledger import LARGE_OFFSET_SECONDS, LedgerSummary, OffsetSummary, count_videos
from pipeline.store.manifest import SPLITS

MAX_AUDIT_ITEMS = 10


def describe_notice(params: Params) -> str:
    """Return why the scores say nothing about the method; empty if they do."""
    random = []
    if params.features.source == "extracted":
        random = [name for name in MODALITIES if getattr(params, name).weights == "random"]
        if params.visual.motion is not None and params.visual.motion.weights == "random":
            random.append("motion")
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


def describe_makings(run: Run) -> dict[str, str]:
    """Return in a few words what each modality's features were made with."""
    makings = {}
    for name in MODALITIES:
        index = run.features[name].index
        if index.origin == "released":
            parts = ["as released by the authors of the data set"]
        else:
            network = " ".join(str(index.recipe[key]) for key in ("backbone", "layer") if key in index.recipe)
            parts = [network, f"weights {index.origin}"]
            if motion := index.recipe.get("motion"):
                parts.append(f"motion {motion['backbone']} {motion['layer']}, weights {motion['weights']}")
        makings[name] = " · ".join([*parts, f"recipe {index.recipe_hash}"])
    return makings


def sort_audit(audit: Mapping[str, Any]) -> dict[str, Any]:
    """Sort the audit into facts, splits and findings; only lists that hold something are findings.

    Splits are a table: `columns`, and a row of cells per split, as text.
    """
    findings = []
    for key, value in audit.items():
        if _is_list(value):
            findings.append((in_words(key), value))
        elif isinstance(value, Mapping):
            findings += [(f"{in_words(key)}: {part}", item) for part, item in value.items() if _is_list(item)]
    return {
        "facts": {
            in_words(key): _audit_value(key, value)
            for key, value in audit.items()
            if not isinstance(value, (Mapping, list))
        },
        "splits": _tabulate_splits(
            {split: audit["splits"][split] for split in SPLITS if split in audit.get("splits", {})}
        ),
        "findings": [
            {"name": name, "count": listed["count"], "items": _shown_items(listed)}
            for name, listed in findings
            if listed["count"]
        ],
    }


def _tabulate_splits(splits: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    columns = [key for key, value in next(iter(splits.values()), {}).items() if not isinstance(value, (Mapping, list))]
    return {
        "columns": [in_words(key).removesuffix(" share") for key in columns],
        "rows": {split: [_audit_value(key, values.get(key)) for key in columns] for split, values in splits.items()},
    }


def _is_list(value: object) -> bool:
    return isinstance(value, Mapping) and set(value) == {"count", "items"}


def _shown_items(listed: Mapping[str, Any]) -> str:
    items = listed["items"][:MAX_AUDIT_ITEMS]
    texts = [
        "; ".join(f"{in_words(key)} {show_value(value)}" for key, value in item.items())
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


def explain_frames(run: Run) -> str:
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


def explain_ledger(summary: LedgerSummary) -> dict[str, Any]:
    """Return the counts of one modality with the sentence that explains each reason."""
    reasons = [
        {"name": reason, "meaning": REASONS.get(reason, ""), "counts": counts}
        for reason, counts in summary.reasons.items()
    ]
    return {"summary": summary, "reasons": reasons}


def list_problem_videos(run: Run) -> list[dict[str, Any]]:
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


def list_settings(params: Params) -> list[dict[str, Any]]:
    """Return the parameters that this run depends on, by section.

    How the machine was used changes no number, and the settings of other methods, of the other supervision and of an
    extraction that was not run had no part: they are left out, so that the page is the same whatever they are.
    """
    train = params.train
    sections = params.model_dump(exclude={"extract": True, "train": {"device", "cache"}, "tables": True})
    if params.features.source == "released":
        sections = {name: values for name, values in sections.items() if name not in MODALITIES}
    sections["train"] = {key: value for key, value in sections["train"].items() if not isinstance(value, dict)}
    for key, value in train.settings.model_dump().items():
        block = train.schedule_block if key in Schedule.model_fields else f"{train.method}.{train.supervision}"
        sections["train"].setdefault(block, {})[key] = value
    if train.supervision == "weak":
        sections["train"]["weak"] = train.weak.model_dump()
    return [{"name": name, "values": flatten(values)} for name, values in sections.items()]

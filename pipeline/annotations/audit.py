"""What a localization data set's annotations and files hold, and what in them should make one careful.

The audit changes nothing: clips that share a video, ids in two splits, missing videos stay as they are and are
counted. That of parsing is :mod:`pipeline.annotations.parsing_audit`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.annotations.audit_parts import (
    audit_videos,
    contradiction,
    escape,
    findings,
    findings_of_videos,
    listed,
    pairs_of_same_content,
    splits_of_videos,
    table,
)
from pipeline.annotations.ave_shares import SHARE_TOLERANCE
from pipeline.annotations.rules import Annotations
from pipeline.store.manifest import BACKGROUND, SPLITS, Clip, Manifest, VideoFile


def audit(name: str, annotations: Annotations, manifest: Manifest, *, needs_videos: bool = True) -> dict[str, Any]:
    """Return what ``audit.json`` holds.

    Background clips, which are in no split, are counted apart, and compared with the videos of the splits. A background
    clip of which only features exist has no video that could be counted or missing.

    Parameters
    ----------
    name : str
        Name of the data set.
    annotations : Annotations
        What the annotation file says.
    manifest : Manifest
        The clips and videos made of it.
    needs_videos : bool, optional
        Whether a missing video is worth a look.

    Returns
    -------
    dict
        Counts (`num_*`), that of background clips only where there are any; `splits`, `categories` and
        `event_length_clips` as nested dicts; `labels` says what segment labels and event shares are from; every list
        as ``{"count": …, "items": […]}``. Lists of what few data sets have are there only where they hold something:
        `duplicate_videos_in_two_splits`, `clips_that_contradict`, `leaks_left_out`, `chosen_videos`,
        `label_contradictions` (and with it `num_contradicting_segments`), `shares_that_differ`, `untimed_clips`.
    """
    clips = [clip for clip in manifest.clips if clip.split != BACKGROUND]
    videos = [video for video in manifest.videos if video.path]
    num_background_clips = len(manifest.clips) - len(clips)
    splits_with_background = (*SPLITS, BACKGROUND) if num_background_clips else SPLITS
    num_segments = len(clips[0].events) if clips else 0
    num_of_category: dict[str, Counter[str]] = {category: Counter() for category in manifest.categories}
    lengths: Counter[int] = Counter()
    num_clips: Counter[str] = Counter()
    num_event_segments: Counter[str] = Counter()
    num_timed: Counter[str] = Counter()
    for clip in clips:
        num_of_category[clip.category][clip.split] += 1
        num_clips[clip.split] += 1
        if clip.is_timed:
            length = clip.events.count("1")
            lengths[length] += 1
            num_timed[clip.split] += 1
            num_event_segments[clip.split] += length
    num_videos = Counter(split for splits in splits_of_videos(manifest.clips).values() for split in splits)
    of_videos = audit_videos(manifest.clips, videos, splits_with_background, needs_videos=needs_videos)
    rare = {
        "duplicate_videos_in_two_splits": of_videos.pop("duplicate_videos_in_two_splits"),
        "clips_that_contradict": listed(_contradictions(clips, videos)),
        "leaks_left_out": listed(annotations.leaks_left_out),
        "chosen_videos": listed(annotations.chosen_videos),
        "label_contradictions": listed(annotations.label_contradictions),
        "shares_that_differ": listed(clip.clip_id for clip in clips if _share_differs(clip)),
        "untimed_clips": listed(clip.clip_id for clip in clips if not clip.is_timed),
    }
    return {
        "dataset": name,
        "num_rows": annotations.num_rows,
        "num_clips": len(clips),
        **({"num_background_clips": num_background_clips} if num_background_clips else {}),
        "num_videos": len(videos),
        "num_categories": len(manifest.categories),
        "num_segments": num_segments,
        "num_bytes": sum(video.size_bytes or 0 for video in videos),
        "background_share": _background_share(num_event_segments.total(), num_timed.total(), num_segments),
        "splits": {
            split: {
                "num_clips": num_clips[split],
                "num_videos": num_videos[split],
                "background_share": _background_share(num_event_segments[split], num_timed[split], num_segments),
            }
            for split in SPLITS
        },
        "categories": {
            category: {split: counts[split] for split in SPLITS} for category, counts in num_of_category.items()
        },
        "event_length_clips": {str(length): lengths[length] for length in range(num_segments + 1)},
        "labels": {"segments": annotations.truth, "event_shares": annotations.event_shares},
        "qualities": annotations.qualities,
        **of_videos,
        "clips_without_event": listed(clip.clip_id for clip in clips if clip.is_timed and "1" not in clip.events),
        "rows_without_split": listed(annotations.rows_without_split),
        "categories_without_training_clips": listed(
            category for category, counts in num_of_category.items() if not counts["train"]
        ),
        **{key: found for key, found in rare.items() if found["count"]},
        **(
            {"num_contradicting_segments": annotations.num_contradicting_segments}
            if annotations.label_contradictions
            else {}
        ),
    }


def _share_differs(clip: Clip) -> bool:
    """Return whether a clip's event share, as a file says it, is not that of its segment labels."""
    if clip.event_share is None:
        return False
    return abs(clip.event_share - clip.events.count("1") / len(clip.events)) > SHARE_TOLERANCE


def _contradictions(clips: Iterable[Clip], videos: Iterable[VideoFile]) -> Iterator[str]:
    """Yield a sentence per two clips that say different things of the same media.

    They share a video or its content and name two categories for a segment; or two videos of the same content have one
    category and other events (two rows of one video may be two events of one category).
    """
    for one, other in pairs_of_same_content(filter(lambda clip: clip.is_timed, clips), videos):
        if _contradict(one, other):
            yield contradiction(one, other, lambda clip: f"{clip.category} {clip.events}")


def _contradict(one: Clip, other: Clip) -> bool:
    if one.category != other.category:
        return any(a == b == "1" for a, b in zip(one.events, other.events, strict=True))
    return one.video_id != other.video_id and one.events != other.events


def _background_share(num_event_segments: int, num_clips: int, num_segments: int) -> float | None:
    """Return the share of segments without an event; None without segments."""
    total = num_clips * num_segments
    return round(1 - num_event_segments / total, 6) if total else None


def audit_markdown(report: dict[str, Any]) -> str:
    """Return the audit as a page for people; names from the data set are escaped."""
    lines = [
        f"# Audit of {escape(report['dataset'])}",
        "",
        f"{report['num_rows']} rows, {report['num_clips']} clips, {report['num_videos']} videos "
        f"({report['num_bytes'] / 1e6:.1f} MB), {report['num_categories']} categories; "
        f"{_percent(report['background_share'])} of the segments are background.",
        "",
        f"Segment labels: {report['labels']['segments']}. Event shares: {report['labels']['event_shares']}.",
        "",
    ]
    if num_background_clips := report.get("num_background_clips"):
        lines += [
            f"Background clips, of no split, never scored, for weak training: {num_background_clips}.",
            "",
        ]
    lines += findings(_lists(report))
    lines += [
        "",
        "## Splits",
        "",
        *table(
            ("split", "clips", "videos", "background"),
            [
                (split, row["num_clips"], row["num_videos"], _percent(row["background_share"]))
                for split, row in report["splits"].items()
            ],
        ),
    ]
    lines += [
        "",
        "## Event segments per clip",
        "",
        *table(("event segments", "clips"), list(report["event_length_clips"].items())),
    ]
    if report["qualities"]:
        lines += ["", "## Quality as annotated", "", *table(("quality", "rows"), list(report["qualities"].items()))]
    lines += [
        "",
        "## Clips per category",
        "",
        *table(
            ("class", "category", *SPLITS),
            [
                (index, category, *counts.values())
                for index, (category, counts) in enumerate(report["categories"].items())
            ],
        ),
    ]
    return "\n".join(lines) + "\n"


def _lists(report: dict[str, Any]) -> list[tuple[str, dict[str, Any] | None]]:
    return [
        *findings_of_videos(report),
        (
            "rows on which Annotations.txt and a label file differ "
            f"({report.get('num_contradicting_segments')} segments)",
            report.get("label_contradictions"),
        ),
        ("clips whose event share is not that of their segment labels", report.get("shares_that_differ")),
        ("ids that name several files", report.get("chosen_videos")),
        ("clips without an event segment", report["clips_without_event"]),
        ("clips with a category but without times, for weak training only", report.get("untimed_clips")),
        ("rows in no split, left out", report["rows_without_split"]),
        ("categories without training clips", report["categories_without_training_clips"]),
    ]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"

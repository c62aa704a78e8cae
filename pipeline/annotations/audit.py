"""What a data set's annotations and files hold, and what in them should make one careful.

The audit changes nothing: clips that share a video, ids in two splits, missing videos stay as they are and are
counted. Lists hold the first :data:`MAX_ITEMS` items beside the number of all.
"""

import html
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any

from pipeline.annotations.ave_shares import SHARE_TOLERANCE
from pipeline.annotations.rules import Annotations
from pipeline.store.manifest import BACKGROUND, SPLITS, Clip, Manifest, VideoFile

MAX_ITEMS = 100
MAX_ITEMS_IN_TEXT = 10
MAX_COMPARED_CLIPS = 100  # of one content: thousands of copies of a placeholder would be millions of pairs


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
    clips_of_video = Counter(clip.video_id for clip in manifest.clips)
    splits_of_video: defaultdict[str, set[str]] = defaultdict(set)
    num_of_category: dict[str, Counter[str]] = {category: Counter() for category in manifest.categories}
    lengths: Counter[int] = Counter()
    num_clips: Counter[str] = Counter()
    num_event_segments: Counter[str] = Counter()
    for clip in manifest.clips:
        splits_of_video[clip.video_id].add(clip.split)
    num_timed: Counter[str] = Counter()
    for clip in clips:
        num_of_category[clip.category][clip.split] += 1
        num_clips[clip.split] += 1
        if clip.is_timed:
            length = clip.events.count("1")
            lengths[length] += 1
            num_timed[clip.split] += 1
            num_event_segments[clip.split] += length
    num_videos = Counter(split for splits in splits_of_video.values() for split in splits)

    ids_of_content: defaultdict[str, list[str]] = defaultdict(list)
    for video in videos:
        if video.sha256 and video.size_bytes:
            ids_of_content[video.sha256].append(video.video_id)
    duplicates = [
        {"video_ids": ids, "splits": [s for s in splits_with_background if any(s in splits_of_video[i] for i in ids)]}
        for ids in ids_of_content.values()
        if len(ids) > 1
    ]
    rare = {
        "duplicate_videos_in_two_splits": _listed(group for group in duplicates if len(group["splits"]) > 1),
        "clips_that_contradict": _listed(_contradictions(clips, videos)),
        "leaks_left_out": _listed(annotations.leaks_left_out),
        "chosen_videos": _listed(annotations.chosen_videos),
        "label_contradictions": _listed(annotations.label_contradictions),
        "shares_that_differ": _listed(clip.clip_id for clip in clips if _share_differs(clip)),
        "untimed_clips": _listed(clip.clip_id for clip in clips if not clip.is_timed),
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
        "missing_videos": _listed(video.video_id for video in videos if video.size_bytes is None and needs_videos),
        "empty_videos": _listed(video.video_id for video in videos if video.size_bytes == 0),
        "duplicate_videos": _listed(duplicates),
        "videos_with_several_clips": _listed(id_ for id_, count in clips_of_video.items() if count > 1),
        "videos_in_two_splits": {
            f"{one}/{other}": _listed(
                id_ for id_, splits in splits_of_video.items() if one in splits and other in splits
            )
            for one, other in combinations(splits_with_background, 2)
        },
        "clips_without_event": _listed(clip.clip_id for clip in clips if clip.is_timed and "1" not in clip.events),
        "rows_without_split": _listed(annotations.rows_without_split),
        "categories_without_training_clips": _listed(
            category for category, counts in num_of_category.items() if not counts["train"]
        ),
        **{key: listed for key, listed in rare.items() if listed["count"]},
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
    content = {video.video_id: video.sha256 for video in videos if video.sha256 and video.size_bytes}
    clips_of_content: defaultdict[str, list[Clip]] = defaultdict(list)
    for clip in filter(lambda clip: clip.is_timed, clips):
        clips_of_content[content.get(clip.video_id, f"id {clip.video_id}")].append(clip)
    for same in clips_of_content.values():
        for one, other in combinations(same[:MAX_COMPARED_CLIPS], 2):
            if _contradict(one, other):
                start = "" if one.video_id == other.video_id else "the same content: "
                yield f"{start}{_statement(one)} but {_statement(other)}"


def _contradict(one: Clip, other: Clip) -> bool:
    if one.category != other.category:
        return any(a == b == "1" for a, b in zip(one.events, other.events, strict=True))
    return one.video_id != other.video_id and one.events != other.events


def _statement(clip: Clip) -> str:
    return f"{clip.clip_id} ({clip.split}) says {clip.category} {clip.events}"


def _background_share(num_event_segments: int, num_clips: int, num_segments: int) -> float | None:
    """Return the share of segments without an event; None without segments."""
    total = num_clips * num_segments
    return round(1 - num_event_segments / total, 6) if total else None


def _listed(items: Iterable[Any]) -> dict[str, Any]:
    items = list(items)
    return {"count": len(items), "items": items[:MAX_ITEMS]}


def audit_markdown(report: dict[str, Any]) -> str:
    """Return the audit as a page for people; names from the data set are escaped."""
    lines = [
        f"# Audit of {_escape(report['dataset'])}",
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
    lines += ["## Worth a look", ""]
    lines += [f"- {text}" for text in _findings(report)] or ["Nothing."]
    lines += [
        "",
        "## Splits",
        "",
        *_table(
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
        *_table(("event segments", "clips"), list(report["event_length_clips"].items())),
    ]
    if report["qualities"]:
        lines += ["", "## Quality as annotated", "", *_table(("quality", "rows"), list(report["qualities"].items()))]
    lines += [
        "",
        "## Clips per category",
        "",
        *_table(
            ("class", "category", *SPLITS),
            [
                (index, category, *counts.values())
                for index, (category, counts) in enumerate(report["categories"].items())
            ],
        ),
    ]
    return "\n".join(lines) + "\n"


def _findings(report: dict[str, Any]) -> list[str]:
    findings = [
        ("missing videos", report["missing_videos"]),
        ("videos of zero bytes", report["empty_videos"]),
        ("groups of videos with the same content", report["duplicate_videos"]),
        ("of them across splits", report.get("duplicate_videos_in_two_splits")),
        ("videos that carry several clips", report["videos_with_several_clips"]),
        *(
            (f"videos in both {' and '.join(pair.split('/'))}", listed)
            for pair, listed in report["videos_in_two_splits"].items()
        ),
        ("clips of train and val left out, as their video is in test", report.get("leaks_left_out")),
        ("pairs of clips that contradict each other", report.get("clips_that_contradict")),
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
    return [f"{text}: {listed['count']} ({_first(listed)})" for text, listed in findings if listed and listed["count"]]


def _first(listed: dict[str, Any]) -> str:
    items = listed["items"][:MAX_ITEMS_IN_TEXT]
    more = ", …" if listed["count"] > len(items) else ""
    return ", ".join(_duplicates(item) if isinstance(item, dict) else _code(item) for item in items) + more


def _duplicates(group: dict[str, list[str]]) -> str:
    ids = group["video_ids"]
    more = " = …" if len(ids) > MAX_ITEMS_IN_TEXT else ""
    return f"{' = '.join(map(_code, ids[:MAX_ITEMS_IN_TEXT]))}{more} in {' and '.join(group['splits'])}"


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    cells = [header, ["---"] * len(header), *([_escape(str(cell)) for cell in row] for row in rows)]
    return [f"| {' | '.join(row)} |" for row in cells]


def _escape(text: str) -> str:
    """Return `text` so that Markdown shows it as it is: no HTML, no link, no cell of its own."""
    text = html.escape(text, quote=False)
    for character in "|`[]*":
        text = text.replace(character, f"&#{ord(character)};")
    return text


def _code(text: str) -> str:
    """Return `text` as inline code, inside which Markdown changes nothing."""
    return f"`{text.replace('`', chr(39))}`"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"

"""What a parsing data set's annotations and files hold, and what in them should make one careful.

The audit changes nothing, as that of localization: :mod:`pipeline.annotations.audit`.
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
from pipeline.annotations.parsing_events import ParsingAnnotations
from pipeline.store.manifest import SPLITS, VideoFile
from pipeline.store.parsing_manifest import ParsedClip, ParsingManifest

KINDS = ("audio", "visual", "both")
"""What is counted in segments: where a category is heard, where it is seen, where it is both."""

ODDITIES = {
    "names_in_no_list": "names in {} rows that no list has, so that their rows set nothing",
    "categories_as_names": "categories that stand for a name in {} rows",
    "names_with_stray_characters": "names with a stray character in {} rows",
    "empty_intervals": "{} rows that end where they start, and set nothing",
    "reversed_intervals": "{} rows that end before they start, and set nothing",
    "events_without_segment": "{} events too short for half a segment, which set nothing",
    "repeated_rows": "{} rows that repeat another",
    "overlapping_events": "clips with {} rows of one category that overlap or repeat",
    "rows_of_training_clips": "clips of train with {} rows, which nothing uses",
    "clips_without_rows": "clips of val and test without {} rows",
    "clips_whose_tags_differ": "clips of {} whose tags are not the categories of their rows",
    "repeated_tags": "clips of {} with a tag twice, taken once",
    "clips_without_tags": "clips of {} without a tag",
}
"""What the audit's page says of each kind of oddity; the blank is for the modality or the split."""


def audit_parsing(
    name: str,
    annotations: ParsingAnnotations,
    manifest: ParsingManifest,
    num_segments: int,
    *,
    needs_videos: bool = True,
) -> dict[str, Any]:
    """Return what ``audit.json`` holds.

    Parameters
    ----------
    name : str
        Name of the data set.
    annotations : ParsingAnnotations
        What the annotation files say.
    manifest : ParsingManifest
        The clips and videos made of them.
    num_segments : int
        T.
    needs_videos : bool, optional
        Whether a missing video is worth a look.

    Returns
    -------
    dict
        Counts (`num_*`); `splits`, of each the clips, those with times, the videos, those whose file is there, and the
        segments in which a category is heard, seen, and both, summed over categories; `categories`, of each and by
        split, the clips that have it as a tag, and these segments, None where no clip has times; `labels` says what
        segment labels are from; every list as ``{"count": …, "items": […]}``, lists of oddities by modality or split.
        Lists of what few data sets have are there only where they hold something: `duplicate_videos_in_two_splits`,
        `clips_that_contradict`, `leaks_left_out`, `chosen_videos`.
    """
    clips = manifest.clips
    tags = Counter((tag, clip.split) for clip in clips for tag in clip.tags)
    segments = _count_segments(clips)
    num_clips = Counter(clip.split for clip in clips)
    num_timed = Counter(clip.split for clip in clips if clip.is_timed)
    splits_of_video = splits_of_videos(clips)
    present = [video.video_id for video in manifest.videos if video.size_bytes is not None]
    of_videos = audit_videos(clips, manifest.videos, SPLITS, needs_videos=needs_videos)
    rare = {
        "duplicate_videos_in_two_splits": of_videos.pop("duplicate_videos_in_two_splits"),
        "clips_that_contradict": listed(_contradictions(clips, manifest.videos)),
        "leaks_left_out": listed(annotations.leaks_left_out),
        "chosen_videos": listed(annotations.chosen_videos),
    }
    return {
        "dataset": name,
        "task": "parsing",
        "num_rows": annotations.num_rows,
        "num_audio_rows": annotations.num_event_rows["audio"],
        "num_visual_rows": annotations.num_event_rows["visual"],
        "num_clips": len(clips),
        "num_videos": len(manifest.videos),
        "num_categories": len(manifest.categories),
        "num_segments": num_segments,
        "num_bytes": sum(video.size_bytes or 0 for video in manifest.videos),
        "splits": {
            split: {
                "num_clips": num_clips[split],
                "num_timed_clips": num_timed[split],
                "num_videos": sum(split in splits for splits in splits_of_video.values()),
                "num_videos_there": sum(split in splits_of_video[id_] for id_ in present),
                **{
                    f"num_{kind}_segments": sum(segments[kind, category, split] for category in manifest.categories)
                    for kind in KINDS
                },
            }
            for split in SPLITS
        },
        "categories": {
            category: {
                split: {
                    "tags": tags[category, split],
                    **{kind: segments[kind, category, split] if num_timed[split] else None for kind in KINDS},
                }
                for split in SPLITS
            }
            for category in manifest.categories
        },
        "labels": {"segments": annotations.truth},
        **of_videos,
        **{
            kind: {part: listed(texts) for part, texts in parts.items()} for kind, parts in annotations.oddities.items()
        },
        "categories_without_training_clips": listed(
            category for category in manifest.categories if not tags[category, "train"]
        ),
        **{key: found for key, found in rare.items() if found["count"]},
    }


def _count_segments(clips: Iterable[ParsedClip]) -> Counter[tuple[str, str, str]]:
    """Return the number of segments by kind, category and split."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for clip in clips:
        audio, visual = clip.audio_events or {}, clip.visual_events or {}
        for category, heard in audio.items():
            seen = visual.get(category, "")
            counts["audio", category, clip.split] += heard.count("1")
            counts["both", category, clip.split] += sum(a == b == "1" for a, b in zip(heard, seen, strict=False))
        for category, seen in visual.items():
            counts["visual", category, clip.split] += seen.count("1")
    return counts


def _contradictions(clips: Iterable[ParsedClip], videos: Iterable[VideoFile]) -> Iterator[str]:
    """Yield a sentence per two clips of the same media with other tags."""
    for one, other in pairs_of_same_content(clips, videos):
        if set(one.tags) != set(other.tags):
            yield contradiction(one, other, lambda clip: ", ".join(clip.tags) or "nothing")


def parsing_audit_markdown(report: dict[str, Any]) -> str:
    """Return the audit as a page for people; names from the data set are escaped."""
    timed = [split for split, row in report["splits"].items() if row["num_timed_clips"]]
    lines = [
        f"# Audit of {escape(report['dataset'])}",
        "",
        f"{report['num_rows']} rows of clips, {report['num_audio_rows']} of what is heard, "
        f"{report['num_visual_rows']} of what is seen; {report['num_clips']} clips, {report['num_videos']} videos "
        f"({report['num_bytes'] / 1e6:.1f} MB), {report['num_categories']} categories.",
        "",
        f"Segment labels: {report['labels']['segments']}.",
        "",
        *findings(_lists(report)),
        "",
        "## Splits",
        "",
        *table(
            ("split", "clips", "with times", "videos", "of them there", *(f"{kind} segments" for kind in KINDS)),
            ((split, *row.values()) for split, row in report["splits"].items()),
        ),
        "",
        "## Categories",
        "",
        "Clips with the tag in each split; segments in which the category is heard, seen, and both.",
        "",
        *table(
            ("class", "category", *SPLITS, *(f"{kind}, {split}" for split in timed for kind in KINDS)),
            (
                (
                    index,
                    category,
                    *(row[split]["tags"] for split in SPLITS),
                    *(row[split][kind] for split in timed for kind in KINDS),
                )
                for index, (category, row) in enumerate(report["categories"].items())
            ),
        ),
    ]
    return "\n".join(lines) + "\n"


def _lists(report: dict[str, Any]) -> list[tuple[str, dict[str, Any] | None]]:
    return [
        *findings_of_videos(report),
        ("ids that name several files", report.get("chosen_videos")),
        *(
            (text.format(part), found)
            for kind, text in ODDITIES.items()
            for part, found in report.get(kind, {}).items()
        ),
        ("categories without training clips", report["categories_without_training_clips"]),
    ]

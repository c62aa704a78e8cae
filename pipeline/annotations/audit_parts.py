"""What the audits of both tasks share: the files and contents of the videos, lists, and the Markdown of the page.

Lists hold the first :data:`MAX_ITEMS` items beside the number of all.
"""

import html
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, TypeVar

from pipeline.store.manifest import VideoFile
from pipeline.store.parsing_manifest import AnyClip

MAX_ITEMS = 100
MAX_ITEMS_IN_TEXT = 10
MAX_COMPARED_CLIPS = 100  # of one content: thousands of copies of a placeholder would be millions of pairs

C = TypeVar("C", bound=AnyClip)


def listed(items: Iterable[Any]) -> dict[str, Any]:
    """Return a list as an audit holds it: ``{"count": …, "items": […]}``."""
    items = list(items)
    return {"count": len(items), "items": items[:MAX_ITEMS]}


def splits_of_videos(clips: Iterable[AnyClip]) -> dict[str, set[str]]:
    """Return of each video id the splits that hold a clip of it."""
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for clip in clips:
        splits[clip.video_id].add(clip.split)
    return dict(splits)


def audit_videos(
    clips: Sequence[AnyClip], videos: Sequence[VideoFile], splits: Sequence[str], *, needs_videos: bool
) -> dict[str, Any]:
    """Return what is to be said of the videos: which are missing, empty, copies of each other, of several clips.

    Parameters
    ----------
    clips : sequence of Clip or ParsedClip
        Of every split.
    videos : sequence of VideoFile
        Those of which a file is expected.
    splits : sequence of str
        The splits that are compared with each other.
    needs_videos : bool
        Whether a missing video is worth a look.
    """
    splits_of_video = splits_of_videos(clips)
    clips_of_video = Counter(clip.video_id for clip in clips)
    ids_of_content: defaultdict[str, list[str]] = defaultdict(list)
    for video in videos:
        if video.sha256 and video.size_bytes:
            ids_of_content[video.sha256].append(video.video_id)
    duplicates = [
        {"video_ids": ids, "splits": [split for split in splits if any(split in splits_of_video[id_] for id_ in ids)]}
        for ids in ids_of_content.values()
        if len(ids) > 1
    ]
    return {
        "missing_videos": listed(video.video_id for video in videos if video.size_bytes is None and needs_videos),
        "empty_videos": listed(video.video_id for video in videos if video.size_bytes == 0),
        "duplicate_videos": listed(duplicates),
        "duplicate_videos_in_two_splits": listed(group for group in duplicates if len(group["splits"]) > 1),
        "videos_with_several_clips": listed(id_ for id_, count in clips_of_video.items() if count > 1),
        "videos_in_two_splits": {
            f"{one}/{other}": listed(id_ for id_, of_video in splits_of_video.items() if {one, other} <= of_video)
            for one, other in combinations(splits, 2)
        },
    }


def pairs_of_same_content(clips: Iterable[C], videos: Iterable[VideoFile]) -> Iterator[tuple[C, C]]:
    """Yield each two of `clips` that share a video, or its content under two ids."""
    content = {video.video_id: video.sha256 for video in videos if video.sha256 and video.size_bytes}
    clips_of_content: defaultdict[str, list[C]] = defaultdict(list)
    for clip in clips:
        clips_of_content[content.get(clip.video_id, f"id {clip.video_id}")].append(clip)
    for same in clips_of_content.values():
        yield from combinations(same[:MAX_COMPARED_CLIPS], 2)


def contradiction(one: C, other: C, says: Callable[[C], str]) -> str:
    """Return the sentence about two clips of the same media that disagree in what `says` makes of each."""
    start = "" if one.video_id == other.video_id else "the same content: "
    first, second = (f"{clip.clip_id} ({clip.split}) says {says(clip)}" for clip in (one, other))
    return f"{start}{first} but {second}"


def findings_of_videos(report: Mapping[str, Any]) -> list[tuple[str, dict[str, Any] | None]]:
    """Return what :func:`audit_videos` found as lines for :func:`findings`."""
    return [
        ("missing videos", report["missing_videos"]),
        ("videos of zero bytes", report["empty_videos"]),
        ("groups of videos with the same content", report["duplicate_videos"]),
        ("of them across splits", report.get("duplicate_videos_in_two_splits")),
        ("videos that carry several clips", report["videos_with_several_clips"]),
        *(
            (f"videos in both {' and '.join(pair.split('/'))}", videos)
            for pair, videos in report["videos_in_two_splits"].items()
        ),
        ("clips of train and val left out, as their video is in test", report.get("leaks_left_out")),
        ("pairs of clips that contradict each other", report.get("clips_that_contradict")),
    ]


def findings(lists: Iterable[tuple[str, dict[str, Any] | None]]) -> list[str]:
    """Return the section of the page with the lists that hold something, a line each."""
    lines = [f"- {text}: {found['count']} ({_first(found)})" for text, found in lists if found and found["count"]]
    return ["## Worth a look", "", *(lines or ["Nothing."])]


def _first(found: dict[str, Any]) -> str:
    items = found["items"][:MAX_ITEMS_IN_TEXT]
    more = ", …" if found["count"] > len(items) else ""
    return ", ".join(_duplicates(item) if isinstance(item, dict) else _code(item) for item in items) + more


def _duplicates(group: dict[str, list[str]]) -> str:
    ids = group["video_ids"]
    more = " = …" if len(ids) > MAX_ITEMS_IN_TEXT else ""
    return f"{' = '.join(map(_code, ids[:MAX_ITEMS_IN_TEXT]))}{more} in {' and '.join(group['splits'])}"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return a table of the page, a line each; cells are escaped."""
    cells = [header, ["---"] * len(header), *([escape(str(cell)) for cell in row] for row in rows)]
    return [f"| {' | '.join(row)} |" for row in cells]


def escape(text: str) -> str:
    """Return `text` so that Markdown shows it as it is: no HTML, no link, no cell of its own."""
    text = html.escape(text, quote=False)
    for character in "|`[]*":
        text = text.replace(character, f"&#{ord(character)};")
    return text


def _code(text: str) -> str:
    """Return `text` as inline code, inside which Markdown changes nothing."""
    return f"`{text.replace('`', chr(39))}`"

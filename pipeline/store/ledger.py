"""Summary of a ledger: videos by outcome, masked segments, and how far frames by number are from those by time.

Every video counts with all its T segments. Those of a failed video are masked without exception, so that the segments
masked in usable videos are also counted separately.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from pipeline.core.errors import ShardError, explain
from pipeline.media.container import REASONS
from pipeline.store.parsing_manifest import AnyClip
from pipeline.store.shards import LedgerRow

STATUSES = ("ok", "partial", "failed")

LARGE_OFFSET_SECONDS = 0.1
"""Offsets above this are counted: two to three frames, a tenth of a usual segment."""

NUM_FURTHEST = 5


@dataclass(frozen=True)
class OffsetSummary:
    """Distances of frames chosen by number from those chosen by time, over the usable videos where both are known.

    Parameters
    ----------
    num_videos : int
    median_seconds, max_seconds : float, optional
        Median and maximum of each video's largest offset; None without a video.
    num_large : int
        Videos with more than :data:`LARGE_OFFSET_SECONDS`.
    furthest : tuple of (str, float)
        The first :data:`NUM_FURTHEST` videos and their offsets in seconds, the largest first; none of zero.
    """

    num_videos: int
    median_seconds: float | None
    max_seconds: float | None
    num_large: int
    furthest: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class LedgerSummary:
    """One modality's ledger in numbers.

    Parameters
    ----------
    num_videos : int
    statuses : dict of str to int
        Videos by status; every status is there.
    reasons : dict of str to dict
        Videos by reason and status: ``ok`` first, then in the order of :data:`pipeline.media.container.REASONS`; only
        reasons that occur.
    num_segments, num_masked_segments : int
        Of all videos.
    num_usable_segments, num_masked_usable_segments : int
        Of the videos that did not fail.
    masked_share, masked_usable_share : float, optional
        0 to 1; None without a segment.
    offsets : OffsetSummary
    """

    num_videos: int
    statuses: dict[str, int]
    reasons: dict[str, dict[str, int]]
    num_segments: int
    num_masked_segments: int
    masked_share: float | None
    num_usable_segments: int
    num_masked_usable_segments: int
    masked_usable_share: float | None
    offsets: OffsetSummary


def summarise_ledger(rows: Sequence[LedgerRow], num_segments: int) -> LedgerSummary:
    """Return the numbers of a ledger whose videos have `num_segments` segments each.

    Raises
    ------
    ShardError
        If a status is unknown, a mask has another length, or an offset is no number of seconds.
    """
    for row in rows:
        _check(row, num_segments)
    statuses = Counter(row.status for row in rows)
    outcomes = Counter((row.reason, row.status) for row in rows)
    known = ["ok", *REASONS]
    found = {row.reason for row in rows}
    usable = [row for row in rows if row.status != "failed"]
    num_valid = sum(row.valid.count("1") for row in usable)
    num_all, num_usable = len(rows) * num_segments, len(usable) * num_segments
    return LedgerSummary(
        num_videos=len(rows),
        statuses={status: statuses[status] for status in STATUSES},
        reasons={
            reason: {status: outcomes[reason, status] for status in STATUSES}
            for reason in [*(reason for reason in known if reason in found), *sorted(found.difference(known))]
        },
        num_segments=num_all,
        num_masked_segments=num_all - num_valid,
        masked_share=_share(num_all - num_valid, num_all),
        num_usable_segments=num_usable,
        num_masked_usable_segments=num_usable - num_valid,
        masked_usable_share=_share(num_usable - num_valid, num_usable),
        offsets=_summarise_offsets(usable),
    )


def count_covered(clips: Iterable[AnyClip], ledgers: Iterable[Sequence[LedgerRow]]) -> dict[str, dict[str, int]]:
    """Return for each split how many clips have usable features in every ledger: ``num_covered``, ``num_clips``."""
    usable = [{row.video_id for row in rows if row.status != "failed"} for rows in ledgers]
    counts: dict[str, dict[str, int]] = {}
    for clip in clips:
        of_split = counts.setdefault(clip.split, {"num_covered": 0, "num_clips": 0})
        of_split["num_clips"] += 1
        of_split["num_covered"] += all(clip.video_id in videos for videos in usable)
    return counts


def sampling_offset_seconds(row: LedgerRow) -> float | None:
    """Return the sampling offset of one video, None where it is not known.

    Raises
    ------
    ShardError
        If it is no number of seconds.
    """
    if not row.sampling_offset:
        return None
    try:
        seconds = float(row.sampling_offset)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise _fault(row, "a sampling_offset of zero seconds or more", repr(row.sampling_offset))
    return seconds


def describe(summary: LedgerSummary) -> str:
    """Return a summary as one line.

    >>> rows = [LedgerRow("a", "ok", "ok", "11", "2.00", ""), LedgerRow("b", "failed", "missing", "", "", "")]
    >>> describe(summarise_ledger(rows, 2))
    '2 videos: 1 ok, 0 partial, 1 failed (missing 1); 50.0 % of the segments masked, 0.0 % in usable videos'
    """
    if not summary.num_videos:
        return "no videos"
    statuses = ", ".join(f"{count} {status}" for status, count in summary.statuses.items())
    reasons = ", ".join(f"{reason} {sum(row.values())}" for reason, row in summary.reasons.items() if reason != "ok")
    masked = f"{100 * (summary.masked_share or 0):.1f} % of the segments masked"
    if summary.statuses["failed"] and summary.masked_usable_share is not None:
        masked += f", {100 * summary.masked_usable_share:.1f} % in usable videos"
    parts = [f"{count_videos(summary.num_videos)}: {statuses}{f' ({reasons})' if reasons else ''}", masked]
    if offsets := describe_offsets(summary.offsets):
        parts.append(offsets)
    return "; ".join(parts)


def describe_in_full(summary: LedgerSummary) -> str:
    """Return a summary as Markdown: the line of :func:`describe`, then what each reason means, the furthest offsets."""
    lines = []
    for reason, statuses in summary.reasons.items():
        if reason != "ok":
            counts = ", ".join(f"{count} {status}" for status, count in statuses.items() if count)
            lines.append(f"- {reason}, {counts}: {REASONS.get(reason, 'not known to this version')}")
    if summary.offsets.furthest:
        furthest = ", ".join(f"{video_id} {seconds:.3g} s" for video_id, seconds in summary.offsets.furthest)
        lines.append(f"- furthest apart by number and by time: {furthest}")
    return "\n".join([describe(summary), *([""] if lines else []), *lines])


def describe_offsets(offsets: OffsetSummary) -> str:
    """Return the offsets as one phrase; empty where none is known, as for audio."""
    if offsets.max_seconds is None:
        return ""
    if not offsets.max_seconds:
        return f"the same frames by number and by time in {count_videos(offsets.num_videos)}"
    return (
        f"frames by number and by time more than {LARGE_OFFSET_SECONDS:g} s apart in {offsets.num_large} of "
        f"{count_videos(offsets.num_videos)}, at most {offsets.max_seconds:.3g} s ({offsets.furthest[0][0]}), "
        f"median {offsets.median_seconds:.3g} s"
    )


def count_videos(number: int) -> str:
    """Return a number of videos in words.

    >>> count_videos(1)
    '1 video'
    """
    return f"{number} video{'s' * (number != 1)}"


def _summarise_offsets(rows: Iterable[LedgerRow]) -> OffsetSummary:
    known = [(row.video_id, seconds) for row in rows if (seconds := sampling_offset_seconds(row)) is not None]
    values = [seconds for _, seconds in known]
    furthest = sorted((item for item in known if item[1] > 0), key=lambda item: (-item[1], item[0]))
    return OffsetSummary(
        num_videos=len(values),
        median_seconds=median(values) if values else None,
        max_seconds=max(values, default=None),
        num_large=sum(seconds > LARGE_OFFSET_SECONDS for seconds in values),
        furthest=tuple(furthest[:NUM_FURTHEST]),
    )


def _check(row: LedgerRow, num_segments: int) -> None:
    if row.status not in STATUSES:
        raise _fault(row, f"the status {', '.join(STATUSES)}", repr(row.status))
    lengths = (0, num_segments) if row.status == "failed" else (num_segments,)
    if len(row.valid) not in lengths or set(row.valid) - {"0", "1"}:
        raise _fault(row, f"a mask of {num_segments} segments (dataset.num_segments), each 0 or 1", repr(row.valid))


def _share(number: int, total: int) -> float | None:
    return number / total if total else None


def _fault(row: LedgerRow, expected: str, found: str) -> ShardError:
    return ShardError(
        explain(
            f"ledger row of {row.video_id!r}",
            expected=expected,
            found=found,
            remedy="run `dvc repro extract_visual extract_audio`",
        )
    )

"""The manifest: one row per labelled clip, and the list of video files the rows point to.

``manifest.csv``   clip_id, video_id, path, category, events, split, event_share
``videos.csv``     video_id, path, size_bytes, sha256 (empty size and hash: the file is missing)
``categories.txt`` one category per line; the line number is the class index

`path` is relative to ``data/<name>/raw``; `events` has one character per segment, ``1`` where the event is both
seen and heard. Several clips may share a video (45 do in AVE); features are extracted once per video.

A clip of which only the category is known, not when it happens, has ``?`` for every segment. `event_share` is the share
of a clip's segments with the event, 0 to 1; it is empty for such a clip.

A clip known to be background throughout, which may be added to weak training and is never scored, has the split
``background``, an empty category and no event. `path` is empty for a clip of which only features exist.

This is the manifest of localization; that of parsing, :mod:`pipeline.store.parsing_manifest`, differs in its clips.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.core.errors import AnnotationError, explain
from pipeline.core.files import read_csv, write_csv, write_text

SPLITS = ("train", "val", "test")
BACKGROUND = "background"
UNKNOWN = "?"

CLIP_COLUMNS = ("clip_id", "video_id", "path", "category", "events", "split", "event_share")
VIDEO_COLUMNS = ("video_id", "path", "size_bytes", "sha256")


@dataclass(frozen=True)
class Clip:
    """One labelled clip.

    Parameters
    ----------
    clip_id : str
        Unique in the manifest.
    video_id : str
        Names the media file; clips that share a video share its features.
    path : str
        The media file, relative to ``data/<name>/raw``; empty where only features exist.
    category : str
        What happens in the clip; never ``background``, empty in that split.
    events : str
        One character per segment: ``1`` audio-visual event, ``0`` background; ``?`` throughout where no time is known.
    split : str
        ``train``, ``val`` or ``test``; or ``background``, which belongs to none of them.
    event_share : float, optional
        Share of the segments with the event, 0 to 1: one number per clip, which says less than segment labels and
        more than a category. By default that of `events`; None where these are unknown.
    """

    clip_id: str
    video_id: str
    path: str
    category: str
    events: str
    split: str
    event_share: float | None = None

    def __post_init__(self) -> None:
        if self.event_share is None and self.events and self.is_timed:
            object.__setattr__(self, "event_share", self.events.count("1") / len(self.events))

    @property
    def is_timed(self) -> bool:
        """Whether it is known of each segment if the event is there."""
        return UNKNOWN not in self.events

    def event_mask(self) -> np.ndarray:
        """Return `events` as a boolean array of shape (T,).

        Raises
        ------
        AnnotationError
            If they are unknown.
        """
        if not self.is_timed:
            raise AnnotationError(
                explain(
                    f"clip {self.clip_id}",
                    expected="a label per segment",
                    found="a category alone, without times",
                    remedy="annotate its times, or use it for weak training only",
                )
            )
        return np.array([character == "1" for character in self.events])


@dataclass(frozen=True)
class VideoFile:
    """One media file: `size_bytes` and `sha256` are None where it is missing, `path` is empty where none exists."""

    video_id: str
    path: str
    size_bytes: int | None
    sha256: str | None


@dataclass(frozen=True)
class Manifest:
    """Clips in the order of the annotation file, the videos they use, and the category names in class order."""

    clips: tuple[Clip, ...]
    videos: tuple[VideoFile, ...]
    categories: tuple[str, ...]

    def save(self, folder: Path) -> None:
        """Write ``manifest.csv``, ``videos.csv`` and ``categories.txt`` into `folder`."""
        write_csv(folder / "manifest.csv", CLIP_COLUMNS, (vars(clip) for clip in self.clips))
        save_listing(folder, self.videos, self.categories)


def load_manifest(folder: Path) -> Manifest:
    """Read what :meth:`Manifest.save` wrote.

    Raises
    ------
    AnnotationError
        If a file is missing, or the manifest is of another task.
    """
    rows = read_rows(folder, CLIP_COLUMNS)
    return Manifest(tuple(map(_to_clip, rows)), *load_listing(folder))


def _to_clip(row: dict[str, str]) -> Clip:
    share = row.pop("event_share")
    return Clip(**row, event_share=float(share) if share else None)


def read_rows(folder: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of ``manifest.csv``.

    Raises
    ------
    AnnotationError
        If a file of the manifest is missing, or its columns are others.
    """
    for name in ("manifest.csv", "videos.csv", "categories.txt"):
        if not (folder / name).is_file():
            raise AnnotationError(
                explain(
                    folder / name,
                    expected="the output of the prepare stage",
                    found="no file",
                    remedy="run `dvc repro prepare`",
                )
            )
    rows = list(read_csv(folder / "manifest.csv"))
    if rows and set(rows[0]) != set(columns):
        raise AnnotationError(
            explain(
                folder / "manifest.csv",
                expected=f"the columns {', '.join(columns)}",
                found=", ".join(map(str, rows[0])),
                remedy="run `dvc repro prepare`",
            )
        )
    return rows


def save_listing(folder: Path, videos: Sequence[VideoFile], categories: Sequence[str]) -> None:
    """Write ``videos.csv`` and ``categories.txt``, which are the same for every task."""
    write_csv(
        folder / "videos.csv",
        VIDEO_COLUMNS,
        ({key: "" if value is None else value for key, value in vars(video).items()} for video in videos),
    )
    write_text(folder / "categories.txt", "".join(f"{name}\n" for name in categories))


def load_listing(folder: Path) -> tuple[tuple[VideoFile, ...], tuple[str, ...]]:
    """Return the videos and the categories that :func:`save_listing` wrote."""
    categories = (folder / "categories.txt").read_text(encoding="utf-8").split("\n")[:-1]
    return load_videos(folder / "videos.csv"), tuple(categories)


def load_videos(path: Path) -> tuple[VideoFile, ...]:
    """Read ``videos.csv``."""
    return tuple(
        VideoFile(
            video_id=row["video_id"],
            path=row["path"],
            size_bytes=int(row["size_bytes"]) if row["size_bytes"] else None,
            sha256=row["sha256"] or None,
        )
        for row in read_csv(path)
    )

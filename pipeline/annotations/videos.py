"""The media files a data set's clips name: which exist, how large they are, what they hold."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from pipeline.annotations.rules import MAX_REPORTED_FAULTS
from pipeline.core.errors import AnnotationError, explain
from pipeline.core.files import sha256_of_file
from pipeline.store.manifest import VideoFile
from pipeline.store.parsing_manifest import AnyClip

MAX_THREADS = 8  # hashing releases the interpreter lock; more readers only make a disk seek


def list_videos(clips: Iterable[AnyClip], raw: Path) -> tuple[VideoFile, ...]:
    """Return the videos of `clips` in the order in which the clips first name them, so that new rows move none.

    Files are read whole to be hashed, several at a time, with a progress bar on a terminal. A missing file has
    neither size nor hash. Nor has a video with an empty path: only its features exist.

    Raises
    ------
    AnnotationError
        If a file exists and cannot be read.
    """
    paths: dict[str, str] = {}
    for clip in clips:
        paths.setdefault(clip.video_id, clip.path)
    threads = min(MAX_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        files = pool.map(partial(_look_at, raw), paths.keys(), paths.values())
        return tuple(tqdm(files, total=len(paths), desc="hashing videos", unit="video", disable=None))


def _look_at(raw: Path, video_id: str, path: str) -> VideoFile:
    if not path:
        return VideoFile(video_id, "", None, None)
    file = raw / path
    if not file.is_file():
        return VideoFile(video_id, path, None, None)
    try:
        return VideoFile(video_id, path, file.stat().st_size, sha256_of_file(file))
    except OSError as error:
        raise AnnotationError(
            explain(
                file,
                expected="a readable video",
                found=error.strerror or type(error).__name__,
                remedy="mend its permissions or the disk, or delete it: a missing video is reported, not fatal",
            )
        ) from error


def media_names(folder: Path) -> list[str]:
    """Return the names of the mp4 files in `folder`, in no order; none where it is missing."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.name.endswith(".mp4") and entry.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def chosen_among(video_id: str, chosen: str, others: Sequence[str]) -> str:
    """Return the audit's sentence about a video id that names several files."""
    return f"{video_id}: {chosen} chosen, not {', '.join(others)}"


def refuse_several(folder: Path, files: Mapping[str, Sequence[str]]) -> NoReturn:
    """Raise an AnnotationError that names the ids of several `files` in `folder`."""
    named = " | ".join(f"{id_}: {', '.join(sorted(files[id_]))}" for id_ in list(files)[:MAX_REPORTED_FAULTS])
    raise AnnotationError(
        explain(
            folder,
            expected="one file per video id",
            found=f"{len(files)} ids with several, {named}",
            remedy="delete the files that are not meant, or set dataset.ambiguous_videos to largest",
        )
    )

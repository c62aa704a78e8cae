"""The media files a data set's clips name: which exist, how large they are, what they hold."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tqdm import tqdm

from pipeline.core.errors import AnnotationError, explain
from pipeline.core.files import sha256_of_file
from pipeline.store.manifest import Clip, VideoFile

MAX_THREADS = 8  # hashing releases the interpreter lock; more readers only make a disk seek


def list_videos(clips: Iterable[Clip], raw: Path) -> tuple[VideoFile, ...]:
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

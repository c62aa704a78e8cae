"""Background clips of AVE as videos, for weak training: ``raw/background/``, a file per clip, named by its id.

The 178 of the release come as features without ids; videos, and a new set of 178, are linked in issues 17 and 35
of the AVE-ECCV18 repository.
"""

from collections.abc import Iterable
from pathlib import Path

from pipeline.annotations.rules import fault_of_id
from pipeline.core.errors import AnnotationError, explain, shorten
from pipeline.store.manifest import BACKGROUND, Clip

BACKGROUND_VIDEOS = "background"


def read_background_videos(raw: Path, annotated: Iterable[str], num_segments: int) -> list[Clip]:
    """Return a background clip for each file in ``raw/background``, sorted by name; none without that folder.

    Hidden files do not count.

    Parameters
    ----------
    raw : Path
    annotated : iterable of str
        Ids of clips and videos that ``Annotations.txt`` names.
    num_segments : int
        T.

    Raises
    ------
    AnnotationError
        If two files have one id, or an id is no file name or one of the `annotated`.
    """
    folder = raw / BACKGROUND_VIDEOS
    if not folder.is_dir():
        return []
    taken = dict.fromkeys(annotated, "Annotations.txt")
    clips = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        video_id = path.stem
        found = fault_of_id(video_id)
        if video_id in taken:
            found = f"{shorten(video_id)}, which {taken[video_id]} has too"
        if found:
            raise AnnotationError(
                explain(
                    path,
                    expected="an id that no other clip has",
                    found=found,
                    remedy="rename the video, or delete it if it is the same",
                )
            )
        taken[video_id] = path.name
        clips.append(Clip(video_id, video_id, f"{BACKGROUND_VIDEOS}/{path.name}", "", "0" * num_segments, BACKGROUND))
    return clips

"""The manifest of parsing: clips with any number of categories, each of which may be heard, seen, or both.

``manifest.csv``   clip_id, video_id, path, tags, audio_events, visual_events, split

`tags` is a JSON list of names. `audio_events` and `visual_events` are JSON objects from a category to its segments, one
character each: ``1`` where it is heard, or seen. Both are empty for a clip of which no times are known. ``videos.csv``
and ``categories.txt`` are those of :mod:`pipeline.store.manifest`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.core.errors import AnnotationError, explain, shorten
from pipeline.core.files import write_csv
from pipeline.store.manifest import Clip, VideoFile, load_listing, read_rows, save_listing

PARSING_COLUMNS = ("clip_id", "video_id", "path", "tags", "audio_events", "visual_events", "split")
MODALITIES = ("audio", "visual")
"""In the order of every axis of two modalities."""


@dataclass(frozen=True)
class ParsedClip:
    """One clip labelled for parsing.

    Parameters
    ----------
    clip_id, video_id, path : str
        As those of :class:`Clip`.
    tags : tuple of str
        The categories of the clip, each once, as annotated for the whole clip: all that training knows. Where segments
        are annotated too, these may hold others (in LLP they do, in 30 of 649 and 52 of 1,200 clips).
    audio_events, visual_events : mapping of str to str, or None
        Of each category that is heard, or seen, one character per segment: ``1`` where it is. None where no times are
        known; both or neither.
    split : str
        ``train``, ``val`` or ``test``.
    """

    clip_id: str
    video_id: str
    path: str
    tags: tuple[str, ...]
    audio_events: Mapping[str, str] | None
    visual_events: Mapping[str, str] | None
    split: str

    def __post_init__(self) -> None:
        assert (self.audio_events is None) == (self.visual_events is None), self.clip_id

    @property
    def is_timed(self) -> bool:
        """Whether it is known of each segment what is heard and seen there."""
        return self.audio_events is not None

    def event_masks(self, categories: Sequence[str], num_segments: int) -> np.ndarray:
        """Return what is heard (0) and seen (1) of each category as a boolean array of shape (2, C, T).

        Raises
        ------
        AnnotationError
            If no times are known, or the events are not `num_segments` long or of none of `categories`.
        """
        if self.audio_events is None or self.visual_events is None:
            raise AnnotationError(
                explain(
                    f"clip {self.clip_id}",
                    expected="what is heard and seen in each segment",
                    found="tags alone, without times",
                    remedy="annotate its times, or put it into the split train",
                )
            )
        masks = np.zeros((2, len(categories), num_segments), bool)
        index = {name: number for number, name in enumerate(categories)}
        for modality, events in enumerate((self.audio_events, self.visual_events)):
            for name, text in events.items():
                if len(text) != num_segments:
                    raise AnnotationError(
                        explain(
                            f"clip {self.clip_id}",
                            expected=f"{num_segments} segments (dataset.num_segments)",
                            found=len(text),
                            remedy="run `dvc repro prepare`",
                        )
                    )
                if name not in index:
                    raise AnnotationError(
                        explain(
                            f"clip {self.clip_id}",
                            expected="categories of the manifest",
                            found=shorten(name),
                            remedy="run `dvc repro prepare`",
                        )
                    )
                masks[modality, index[name]] = [character == "1" for character in text]
        return masks


AnyClip = Clip | ParsedClip
"""A clip of either task: both have an id, a video, a path and a split."""


@dataclass(frozen=True)
class ParsingManifest:
    """Clips in the order of the annotation file, the videos they use, and the category names in class order."""

    clips: tuple[ParsedClip, ...]
    videos: tuple[VideoFile, ...]
    categories: tuple[str, ...]

    def save(self, folder: Path) -> None:
        """Write ``manifest.csv``, ``videos.csv`` and ``categories.txt`` into `folder`."""
        write_csv(folder / "manifest.csv", PARSING_COLUMNS, map(_to_row, self.clips))
        save_listing(folder, self.videos, self.categories)


def load_parsing_manifest(folder: Path) -> ParsingManifest:
    """Read what :meth:`ParsingManifest.save` wrote.

    Raises
    ------
    AnnotationError
        If a file is missing, or the manifest is of another task.
    """
    rows = read_rows(folder, PARSING_COLUMNS)
    return ParsingManifest(tuple(map(_to_clip, rows)), *load_listing(folder))


def _to_row(clip: ParsedClip) -> dict[str, str]:
    values = {**vars(clip), "tags": _to_json(clip.tags)}
    for name in ("audio_events", "visual_events"):
        events = getattr(clip, name)
        values[name] = "" if events is None else _to_json(dict(events))
    return values


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _to_clip(row: dict[str, str]) -> ParsedClip:
    audio, visual = (json.loads(row.pop(name) or "null") for name in ("audio_events", "visual_events"))
    return ParsedClip(tags=tuple(json.loads(row.pop("tags"))), audio_events=audio, visual_events=visual, **row)

"""A data set of one's own for parsing: ``clips.csv``, a row per clip, and ``events.csv``, a row per event.

::

    path,split,tags                       clip,modality,category,start,end
    dog1.mp4,train,Bark;Speech            street/bus.mp4,both,Bus,0,3.5
    street/bus.mp4,val,Bus                street/bus.mp4,visual,Bus,6,10
    "bell, church.mp4",test,Church bell   "bell, church.mp4",audio,Church bell,2,10

`path` is relative to the folder of the videos and stays inside it; `split` is train, val or test. `tags` are the
categories of the clip, separated by semicolons; a clip in which none of them happens has none. `clip` is a path of
``clips.csv``; `modality` is audio, visual or both: where the category is heard, seen, or both; `start` and `end` are
seconds. Events of clips of train are not used, as training knows tags alone; a clip of val or test without events has
none.

Columns may stand in any order; empty lines are skipped, spaces around values ignored. A clip's id is its path without
the suffix, with ``__`` for ``/``. Classes are numbered in the order in which the tags first name them.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from pipeline.annotations.csv_rows import check_id, check_path, check_split, read_csv_rows, video_id_of
from pipeline.annotations.parsing_events import EventRow, ParsingAnnotations, time_clips
from pipeline.annotations.rules import Faults, fault_of_name, parse_interval, videos_folder
from pipeline.core.errors import AnnotationError, explain, shorten
from pipeline.params.schema import DatasetParams
from pipeline.store.manifest import SPLITS
from pipeline.store.parsing_manifest import MODALITIES, ParsedClip

CLIP_COLUMNS = ("path", "split", "tags")
EVENT_COLUMNS = ("clip", "modality", "category", "start", "end")
SEPARATOR = ";"

_MODALITIES_OF = {"audio": ("audio",), "visual": ("visual",), "both": MODALITIES}


def read_csv_parsing(params: DatasetParams, raw: Path) -> ParsingAnnotations:
    """Read ``clips.csv`` and ``events.csv`` from `raw`.

    Raises
    ------
    AnnotationError
        If a file is missing or has another header, ``clips.csv`` has no rows or no tags, or a file names every faulty
        row: the first ten and their number.
    """
    remedy = f"write it as data/{params.name}/README.md shows for parsing"
    clips = _read_clips(raw / "clips.csv", videos_folder(params), remedy=remedy)
    categories = tuple(dict.fromkeys(tag for clip in clips.values() for tag in clip.tags))
    rows = _read_events(raw / "events.csv", clips, categories, params, remedy=remedy)
    timed, oddities = time_clips(clips.values(), rows, categories, params)
    without_tags = {
        split: [clip.clip_id for clip in timed if clip.split == split and not clip.tags] for split in SPLITS
    }
    return ParsingAnnotations(
        clips=timed,
        categories=categories,
        num_rows=len(clips),
        num_event_rows=Counter(row.modality for row in rows),
        truth="events.csv",
        oddities={**oddities, "clips_without_tags": without_tags},
    )


def _read_clips(path: Path, folder: str, *, remedy: str) -> dict[str, ParsedClip]:
    """Return the clips of ``clips.csv``, without times, by their path as it is written."""
    faults = Faults(path)
    clips: dict[str, ParsedClip] = {}
    first_line: dict[str, int] = {}
    path_of_id: dict[str, str] = {}
    for line, row in read_csv_rows(path, CLIP_COLUMNS, faults, others_allowed=False, remedy=remedy):
        name = row["path"]
        tags = [tag.strip() for tag in row["tags"].split(SEPARATOR)] if row["tags"] else []
        check_path(line, name, faults)
        check_split(line, row["split"], SPLITS, faults)
        for tag in dict.fromkeys(tags):
            if fault := fault_of_name(tag):
                faults.add(
                    line,
                    expected=f"categories separated by {SEPARATOR}",
                    found=fault,
                    remedy="name what happens; leave tags empty if nothing does",
                )
        if any(tag and count > 1 for tag, count in Counter(tags).items()):
            faults.add(line, expected="every tag once", found=shorten(row["tags"]), remedy="delete one of them")
        first = first_line.setdefault(name, line)
        if first != line:
            faults.add(
                line, expected="a row per clip", found=f"that of line {first} again", remedy="delete one of them"
            )
        else:
            check_id(line, name, path_of_id, faults)
        clip_id = video_id_of(name)
        clips[name] = ParsedClip(clip_id, clip_id, f"{folder}{name}", tuple(tags), None, None, row["split"])
    faults.raise_if_any()
    if not clips:
        raise AnnotationError(explain(path, expected="a row per clip", found="none", remedy=remedy))
    if not any(clip.tags for clip in clips.values()):
        raise AnnotationError(
            explain(path, expected="a clip with a tag", found="clips without tags alone", remedy=remedy)
        )
    return clips


def _read_events(
    path: Path, clips: Mapping[str, ParsedClip], categories: Collection[str], params: DatasetParams, *, remedy: str
) -> list[EventRow]:
    """Return the rows of ``events.csv``; one of both modalities is two of them."""
    faults = Faults(path)
    events = []
    first_line: dict[tuple[object, ...], int] = {}
    for line, row in read_csv_rows(path, EVENT_COLUMNS, faults, others_allowed=False, remedy=remedy):
        before = faults.count
        if row["clip"] not in clips:
            faults.add(
                line,
                expected="a path of clips.csv",
                found=shorten(row["clip"]) if row["clip"] else "nothing",
                remedy="write it as there, or add its row",
            )
        if row["modality"] not in _MODALITIES_OF:
            faults.add(
                line,
                expected=f"modality {', '.join(MODALITIES)} or both",
                found=shorten(row["modality"]) if row["modality"] else "nothing",
                remedy="write one of them in lower case",
            )
        if row["category"] not in categories:
            faults.add(
                line,
                expected="a category that is a tag in clips.csv",
                found=shorten(row["category"]) if row["category"] else "nothing",
                remedy="write it as there, or add it to the tags of its clip",
            )
        interval = parse_interval(row["start"], row["end"], params)
        if isinstance(interval, str):
            faults.add(
                line,
                expected="start and end in seconds within the clip",
                found=interval,
                remedy="mend the row, or dataset.num_segments if clips are longer",
            )
            continue
        for modality in _MODALITIES_OF.get(row["modality"], ()):
            first = first_line.setdefault((modality, row["clip"], row["category"], interval), line)
            if first != line:
                faults.add(
                    line,
                    expected="every event once",
                    found=f"line {first} again",
                    remedy="delete one of the rows",
                )
                break
            if faults.count == before:
                events.append(EventRow(line, modality, clips[row["clip"]].clip_id, row["category"], *interval))
    faults.raise_if_any()
    return events

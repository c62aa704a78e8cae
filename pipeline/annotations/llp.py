"""LLP as distributed (Tian et al., ECCV 2020): lists of clips with tags, and rows of what is heard and what is seen.

Separated by tabs, below a header line:

``AVVP_train.csv``, ``AVVP_val_pd.csv``, ``AVVP_test_pd.csv``
    ``filename``, ``event_labels``: a clip and its tags, separated by commas. The file says the split.
``AVVP_eval_audio.csv``, ``AVVP_eval_visual.csv``
    ``filename``, ``onset``, ``offset``, ``event_labels``: seconds within the clip, and one category. They hold clips of
    val and test; a row belongs to the clip whose name it has exactly, and other rows to none. Two copies of the first
    are published, see :data:`AUDIO_COPIES`.
``AVVP_dataset_full.csv``
    Need not be there. The three lists together, which are held to it.

A clip is named ``<id>_<start>_<end>``: the 11 characters of a YouTube id and the seconds that were cut from that video,
with decimals in five names. Ids may hold ``_`` and ``-``. `clip_id` is the whole name, `video_id` the 11 characters:
released feature files are named so, no two of the 11,849 clips share them, and a list in which two do is refused, as
neither a feature file nor a video could be told to be of one or the other. A video is ``<clip name>.mp4`` or
``<id>.mp4``, as scripts for downloading name it; where both lie there it is the former, or an error, as
``dataset.ambiguous_videos`` says.

The rendered data set of parsing (format ``synthetic``) is written in the same form, with categories of its own, which
are numbered in the order in which the lists first name them.
"""

import difflib
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.annotations.audit_parts import MAX_ITEMS
from pipeline.annotations.llp_rows import read_tab_rows
from pipeline.annotations.parsing_events import EventRow, Oddities, ParsingAnnotations, time_clips
from pipeline.annotations.rules import Faults, fault_of_id, fault_of_name, parse_interval, videos_folder
from pipeline.annotations.videos import chosen_among, media_names, refuse_several
from pipeline.core.errors import AnnotationError, explain, shorten
from pipeline.params.schema import DatasetParams
from pipeline.store.parsing_manifest import MODALITIES, ParsedClip

LISTS = {"train": "AVVP_train.csv", "val": "AVVP_val_pd.csv", "test": "AVVP_test_pd.csv"}
WHOLE_LIST = "AVVP_dataset_full.csv"
EVENTS = {"audio": "AVVP_eval_audio.csv", "visual": "AVVP_eval_visual.csv"}
LIST_COLUMNS = ("filename", "event_labels")
EVENT_COLUMNS = ("filename", "onset", "offset", "event_labels")

CATEGORIES = (
    "Speech",
    "Car",
    "Cheering",
    "Dog",
    "Cat",
    "Frying_(food)",
    "Basketball_bounce",
    "Fire_alarm",
    "Chainsaw",
    "Cello",
    "Banjo",
    "Singing",
    "Chicken_rooster",
    "Violin_fiddle",
    "Vacuum_cleaner",
    "Baby_laughter",
    "Accordion",
    "Lawn_mower",
    "Motorcycle",
    "Helicopter",
    "Acoustic_guitar",
    "Telephone_bell_ringing",
    "Baby_cry_infant_cry",
    "Blender",
    "Clapping",
)
"""The categories in class order.

None of the files has this order; it is that of the label arrays of the authors' code. Checked: with it the numbers of
segments per class in these arrays, all of which differ, are those of the files.
"""

AUDIO_COPIES = {
    "249122f65501d8d611c0027a48643798fe622bedee60f7e6224b5a8e3c02f886": (
        "as CPSP's repository has it: three damaged rows, used as they are"
    ),
    "d5435664668bec6e7eafb39059d2f424ed2682f6b55395262fc3cb691b7d0778": "as corrected in AVVP-ECCV20",
}
"""The published copies of ``AVVP_eval_audio.csv``, by the SHA-256 of the file with Unix line ends.

They differ in lines 930, 931 and 2449: in one copy these name a category in place of the clip, or end the name with a
stray character, and so belong to no clip.
"""

CLOSE_ENOUGH = 0.9
"""Share of characters in common from which a listed name is taken for what an unlisted one was to be."""

_NAME = re.compile(r"[A-Za-z0-9_-]{11}_[0-9]+(?:\.[0-9]+)?_[0-9]+(?:\.[0-9]+)?")
_CHARACTERS = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class _Listed:
    """A row of a list of clips; `tags` as they are written, `file` and `line` where they are."""

    file: str
    line: int
    name: str
    tags: tuple[str, ...]
    split: str

    @property
    def video_id(self) -> str:
        return self.name[:11]


def read_llp(params: DatasetParams, raw: Path) -> ParsingAnnotations:
    """Read the lists of clips and the rows of events from `raw`, and find the videos.

    Raises
    ------
    AnnotationError
        If a file is missing or is no table of this form, or names every faulty row: the first ten and their number; if
        the lists are not those of ``AVVP_dataset_full.csv``; or if a clip has two videos and `dataset.ambiguous_videos`
        is ``error``.
    """
    remedy = f"put the data set's files there as released, see data/{params.name}/README.md"
    known = CATEGORIES if params.format == "llp" else None
    seen: dict[str, _Listed] = {}
    listed = [
        clip for split, name in LISTS.items() for clip in _read_list(raw / name, split, known, seen, remedy=remedy)
    ]
    if (raw / WHOLE_LIST).exists():
        _compare(raw / WHOLE_LIST, _read_list(raw / WHOLE_LIST, "", known, {}, remedy=remedy), listed)
    categories = known or tuple(dict.fromkeys(tag for clip in listed for tag in clip.tags))
    rows, copies = [], []
    for modality, name in EVENTS.items():
        values = read_tab_rows(raw / name, EVENT_COLUMNS, remedy=remedy)
        rows += _read_events(raw / name, values, modality, categories, params)
        is_published = params.format == "llp" and modality == "audio"
        copies.append(f"{name} ({_copy_of(values)})" if is_published else name)
    paths, chosen = _find_videos(raw, listed, params)
    clips, oddities = time_clips(
        (
            ParsedClip(
                clip.name, clip.video_id, paths[clip.name], tuple(dict.fromkeys(clip.tags)), None, None, clip.split
            )
            for clip in listed
        ),
        rows,
        categories,
        params,
    )
    return ParsingAnnotations(
        clips=clips,
        categories=categories,
        num_rows=len(listed),
        num_event_rows=Counter(row.modality for row in rows),
        truth=" and ".join(copies),
        oddities={
            **_odd_names(rows, listed, categories),
            **oddities,
            "repeated_tags": _repeated_tags(listed),
        },
        chosen_videos=chosen,
    )


def _read_list(
    path: Path, split: str, known: Sequence[str] | None, seen: dict[str, _Listed], *, remedy: str
) -> list[_Listed]:
    """Read a list of clips; `seen` holds the clips of the lists before it by video id, and gets those of this one."""
    faults = Faults(path)
    clips = []
    for line, (name, tags) in read_tab_rows(path, LIST_COLUMNS, remedy=remedy):
        clip = _Listed(path.name, line, name, tuple(tags.split(",")), split)
        if fault := fault_of_id(name) or (None if _NAME.fullmatch(name) else shorten(name)):
            faults.add(line, expected="a clip named <11 characters>_<start>_<end>", found=fault, remedy="mend the row")
        for tag in clip.tags:
            _check_category(line, tag, known, faults)
        other = seen.setdefault(clip.video_id, clip)
        if other is not clip:
            is_same = other.name == name
            place = f"line {other.line}" if other.file == path.name else f"line {other.line} of {other.file}"
            faults.add(
                line,
                expected="every clip in one list, once"
                if is_same
                else "one clip of a video, whose id names its features and its file",
                found=f"{shorten(name)}, but {place} has {'it' if is_same else shorten(other.name)}",
                remedy="delete one of the rows",
            )
        clips.append(clip)
    faults.raise_if_any()
    return clips


def _check_category(line: int, name: str, known: Sequence[str] | None, faults: Faults) -> None:
    fault = fault_of_name(name)
    if fault is None and known is not None and name not in known:
        fault = shorten(name)
    if fault:
        faults.add(
            line,
            expected="a category" if known is None else f"one of the {len(known)} categories",
            found=fault,
            remedy="mend the row; a data set of other categories has a format of its own, dataset.format: csv",
        )


def _compare(path: Path, whole: Iterable[_Listed], listed: Sequence[_Listed]) -> None:
    """Refuse lists that are not, together, the clips of ``AVVP_dataset_full.csv``."""
    faults = Faults(path)
    by_name = {clip.name: clip for clip in listed}
    for row in whole:
        clip = by_name.pop(row.name, None)
        if clip is not None and set(clip.tags) == set(row.tags):
            continue
        says = "in none" if clip is None else f"{', '.join(clip.tags)} in line {clip.line} of {clip.file}"
        faults.add(
            row.line,
            expected=f"clips and tags of {', '.join(LISTS.values())}",
            found=f"{row.name} with {', '.join(row.tags)}, {says}",
            remedy=f"use the files of one release; {path.name} may be deleted",
        )
    faults.raise_if_any()
    for clip in by_name.values():
        raise AnnotationError(
            explain(
                path,
                expected=f"clips and tags of {', '.join(LISTS.values())}",
                found=f"{len(by_name)} clips fewer, the first is {clip.name} (line {clip.line} of {clip.file})",
                remedy=f"use the files of one release; {path.name} may be deleted",
            )
        )


def _read_events(
    path: Path,
    rows: Iterable[tuple[int, tuple[str, ...]]],
    modality: str,
    categories: Sequence[str],
    params: DatasetParams,
) -> list[EventRow]:
    """Return the rows of events; a name that no list has, and an interval that sets nothing, are no faults."""
    faults = Faults(path)
    events = []
    for line, (name, onset, offset, category) in rows:
        if fault := fault_of_id(name):
            faults.add(line, expected="the name of a clip", found=fault, remedy="mend the row")
        _check_category(line, category, categories, faults)
        interval = parse_interval(onset, offset, params, may_be_reversed=True)
        if isinstance(interval, str):
            faults.add(
                line,
                expected="onset and offset in seconds within the clip",
                found=interval,
                remedy="mend the row, or dataset.num_segments if clips are longer",
            )
            continue
        events.append(EventRow(line, modality, name, category, *interval))
    faults.raise_if_any()
    return events


def _copy_of(rows: Iterable[tuple[int, tuple[str, ...]]]) -> str:
    """Return which published copy of ``AVVP_eval_audio.csv`` these rows are."""
    text = "".join("\t".join(values) + "\n" for values in (EVENT_COLUMNS, *(values for _, values in rows)))
    return AUDIO_COPIES.get(hashlib.sha256(text.encode()).hexdigest(), "another than the two published copies")


def _find_videos(
    raw: Path, listed: Sequence[_Listed], params: DatasetParams
) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Return the path of each clip's video by name, and a sentence about each that was chosen among two."""
    folder = videos_folder(params)
    there = set(media_names(raw / folder))
    files = {clip: [file for file in (f"{clip.name}.mp4", f"{clip.video_id}.mp4") if file in there] for clip in listed}
    several = {clip.video_id: found for clip, found in files.items() if len(found) > 1}
    if several and params.ambiguous_videos == "error":
        refuse_several(raw / folder, several)
    paths = {clip.name: f"{folder}{found[0] if found else f'{clip.name}.mp4'}" for clip, found in files.items()}
    return paths, tuple(chosen_among(video_id, found[0], found[1:]) for video_id, found in several.items())


def _repeated_tags(listed: Iterable[_Listed]) -> dict[str, list[str]]:
    """Return, by split, the clips whose list names a tag twice."""
    texts: dict[str, list[str]] = {split: [] for split in LISTS}
    for clip in listed:
        if twice := [tag for tag, count in Counter(clip.tags).items() if count > 1]:
            texts[clip.split].append(f"{clip.name}: {', '.join(twice)}")
    return texts


def _odd_names(rows: Iterable[EventRow], listed: Iterable[_Listed], categories: Sequence[str]) -> Oddities:
    """Return, by modality, the names of rows that no list has, with the listed name that is like it, if any.

    Of these names, those that are a category, and those with a character that no name of a clip has, stand apart once
    more.
    """
    split_of = {clip.name: clip.split for clip in listed}
    odd: dict[str, dict[str, list[str]]] = {
        key: {modality: [] for modality in MODALITIES}
        for key in ("names_in_no_list", "categories_as_names", "names_with_stray_characters")
    }
    lines: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        if row.clip_id not in split_of:
            lines.setdefault((row.modality, row.clip_id), []).append(row.line)
    for (modality, name), of_name in lines.items():
        place = f"line {of_name[0]}" if len(of_name) == 1 else f"{len(of_name)} rows from line {of_name[0]} on"
        text = f"{name}: {place}"
        if name in categories:
            odd["categories_as_names"][modality].append(text)
        elif not _CHARACTERS.fullmatch(name):
            odd["names_with_stray_characters"][modality].append(text)
        texts = odd["names_in_no_list"][modality]
        close = difflib.get_close_matches(name, split_of, 1, CLOSE_ENOUGH) if len(texts) < MAX_ITEMS else []
        texts.append(f"{text}; {split_of[close[0]]} has {close[0]}" if close else text)
    return odd

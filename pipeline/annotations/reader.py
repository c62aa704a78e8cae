"""One way to read every format of annotations, and to choose the clips of a split."""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pipeline.annotations.ave import read_ave
from pipeline.annotations.csv_parsing import read_csv_parsing
from pipeline.annotations.csv_table import read_csv_table
from pipeline.annotations.llp import read_llp
from pipeline.annotations.parsing_events import ParsingAnnotations
from pipeline.annotations.rules import Annotations, FeatureSource
from pipeline.annotations.vggsound_avel import read_vggsound_avel
from pipeline.core.errors import AnnotationError, explain
from pipeline.params.schema import DatasetParams

A = TypeVar("A", Annotations, ParsingAnnotations)


def read_clips(
    params: DatasetParams, raw: Path, source: FeatureSource = "extracted"
) -> Annotations | ParsingAnnotations:
    """Read the annotations in `raw` as task and format of `params` say, and keep the clips that the split does.

    Parameters
    ----------
    params : DatasetParams
    raw : Path
        ``data/<name>/raw``.
    source : {"extracted", "released"}
        Where the features come from: AVE's released features also hold background clips, of which no videos exist.

    Raises
    ------
    AnnotationError
        If the folder or a file is missing, or a file contradicts its format.
    """
    if not raw.is_dir():
        raise AnnotationError(
            explain(
                raw,
                expected=f"the files of data set {params.name}",
                found="no folder",
                remedy=f"put there what data/{params.name}/README.md lists",
            )
        )
    if params.task == "parsing":
        return _of_split(_read_parsing(params, raw), params)
    return _of_split(_read_localization(params, raw, source), params)


def _read_localization(params: DatasetParams, raw: Path, source: FeatureSource) -> Annotations:
    match params.format:
        case "vggsound_avel":
            return read_vggsound_avel(params, raw)
        case "csv":
            return read_csv_table(params, raw)
        case _:
            return read_ave(params, raw, source)


def _read_parsing(params: DatasetParams, raw: Path) -> ParsingAnnotations:
    return read_csv_parsing(params, raw) if params.format == "csv" else read_llp(params, raw)


def _of_split(annotations: A, params: DatasetParams) -> A:
    return without_leaks(annotations) if params.split == "leak_free" else annotations


def without_leaks(annotations: A) -> A:
    """Leave out the clips of train and val whose video has a clip in test; what was left out is noted.

    A video is known by its id here: the same content under two ids is for the audit to find.
    """
    tested = {clip.video_id for clip in annotations.clips if clip.split == "test"}
    leaks = [clip for clip in annotations.clips if clip.split in ("train", "val") and clip.video_id in tested]
    names = {clip.clip_id for clip in leaks}
    return replace(
        annotations,
        clips=tuple(clip for clip in annotations.clips if clip.clip_id not in names),
        leaks_left_out=tuple(f"{clip.clip_id} ({clip.split})" for clip in leaks),
    )

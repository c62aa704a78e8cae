"""From a data set as distributed to what every later stage reads."""

import logging
from pathlib import Path
from typing import Any

from pipeline.annotations.audit import audit, audit_markdown
from pipeline.annotations.parsing_audit import audit_parsing, parsing_audit_markdown
from pipeline.annotations.parsing_events import ParsingAnnotations
from pipeline.annotations.reader import read_clips
from pipeline.annotations.rules import FeatureSource
from pipeline.annotations.videos import list_videos
from pipeline.core.files import write_json, write_text
from pipeline.params.schema import DatasetParams
from pipeline.store.manifest import Manifest
from pipeline.store.parsing_manifest import ParsingManifest

logger = logging.getLogger(__name__)

RELEASED_FILES = ("visual_feature.h5", "features")


def prepare(
    params: DatasetParams, raw: Path, output: Path, *, source: FeatureSource = "extracted"
) -> Manifest | ParsingManifest:
    """Read the annotations in `raw`, look at the videos, write manifest and audit into `output`.

    Parameters
    ----------
    params : DatasetParams
        Task, format, name and clip length.
    raw : Path
        ``data/<name>/raw``.
    output : Path
        Receives ``manifest.csv``, ``videos.csv``, ``categories.txt``, ``audit.json``, ``audit.md``.
    source : {"extracted", "released"}
        Whether features are computed from the videos, or those that the data set's authors published.

    Returns
    -------
    Manifest or ParsingManifest
        That of the task.

    Raises
    ------
    AnnotationError
        If annotations are missing or faulty, or a video exists and cannot be read. A missing video is counted.
    """
    annotations = read_clips(params, raw, source)
    videos = list_videos(annotations.clips, raw)
    is_without_videos = source == "released" and all(video.size_bytes is None for video in videos)
    manifest: Manifest | ParsingManifest
    if isinstance(annotations, ParsingAnnotations):
        manifest = ParsingManifest(annotations.clips, videos, annotations.categories)
        report = audit_parsing(
            params.name, annotations, manifest, params.num_segments, needs_videos=not is_without_videos
        )
        page = parsing_audit_markdown(report)
    else:
        manifest = Manifest(annotations.clips, videos, annotations.categories)
        report = audit(params.name, annotations, manifest, needs_videos=not is_without_videos)
        page = audit_markdown(report)
    manifest.save(output)
    write_json(output / "audit.json", report)
    write_text(output / "audit.md", page)
    logger.info("%s; see %s", _summary(report, raw, raw / params.videos, is_without_videos), output / "audit.md")
    return manifest


def _summary(report: dict[str, Any], raw: Path, folder: Path, is_without_videos: bool) -> str:
    splits = ", ".join(f"{row['num_clips']} {split}" for split, row in report["splits"].items())
    if "num_background_clips" in report:
        splits += f"; and {report['num_background_clips']} of background alone"
    if "untimed_clips" in report:
        splits += f"; {report['untimed_clips']['count']} of train without times"
    num_videos, num_missing = report["num_videos"], report["missing_videos"]["count"]
    if is_without_videos:
        videos = "features are the released ones, no videos"
    elif num_missing < num_videos:
        videos = f"{num_videos} videos, {num_missing} missing"
    else:
        videos = f"{num_videos} videos, none of them in {folder}"
        if any((raw / name).exists() for name in RELEASED_FILES):
            videos += " (features lie there: features.source: released uses them)"
    return (
        f"{report['dataset']}: {report['num_clips']} clips ({splits}), {videos}, {report['num_categories']} categories"
    )

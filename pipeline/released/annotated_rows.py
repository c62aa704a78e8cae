"""AVE's form of a release: a feature file per modality with a row per row of ``Annotations.txt``."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.annotations.ave_rows import background_video_ids, read_rows
from pipeline.core.errors import AnnotationError, ShardError, explain
from pipeline.features.recipes import Modality
from pipeline.params.schema import Params
from pipeline.released.files import ReleasedFile, Values, channels_last, check_categories, check_same_video
from pipeline.released.release import Release, Released, content_hash, usable
from pipeline.store.manifest import VideoFile

logger = logging.getLogger(__name__)


class AnnotatedRows(Release):
    """A row per row of ``Annotations.txt``, and the background clips in a file of their own."""

    may_be_damaged = False

    def __init__(self, params: Params, modality: Modality, videos: Sequence[VideoFile], raw: Path) -> None:
        super().__init__(params, modality, raw)
        annotations = raw / "Annotations.txt"
        rows = read_rows(annotations, remedy=self.remedy)
        self.video_ids = [row.fields[1] for row in rows]
        self.categories = [row.fields[0] for row in rows]
        background = _not_annotated(videos, self.video_ids, annotations)
        try:
            main = self._open(raw / f"{modality}_feature.h5", self.video_ids, "row of Annotations.txt")
            self.feature_shape = main.file.feature_shape
            self.streams = [main]
            self.missing = {}
            path = raw / f"{modality}_feature_noisy.h5"
            if background and path.exists():
                self.streams.append(self._open(path, background, "background clip of labels_noisy.h5"))
                self._require_one_shape(*self.streams)
            elif background:
                self.missing = dict.fromkeys(background, f"no {path.name}")
        except BaseException:
            self.files.close()
            raise

    def _open(self, path: Path, video_ids: Sequence[str], what: str) -> "_RowStream":
        if not path.is_file():
            raise ShardError(
                explain(path, expected=f"the released {self.modality} features", found="no file", remedy=self.remedy)
            )
        file = self.files.enter_context(ReleasedFile(path, self.modality, self.num_segments))
        if file.num_rows != len(video_ids):
            beyond = "rows of no video behind them"
            if file.num_rows < len(video_ids):
                beyond = f"none for row {file.num_rows}, video {video_ids[file.num_rows]}, and those behind it"
            raise ShardError(
                explain(
                    path,
                    expected=f"{len(video_ids)} rows, one per {what}",
                    found=f"{file.num_rows}, {beyond}",
                    remedy="use files of one release, and download again what is incomplete",
                )
            )
        return _RowStream(file, video_ids, Values(self.storage, may_be_negative=False))

    def _require_one_shape(self, main: "_RowStream", background: "_RowStream") -> None:
        if main.file.feature_shape != background.file.feature_shape:
            raise ShardError(
                explain(
                    background.file.path,
                    expected=f"{main.file.feature_shape} per segment, as in {main.file.path.name}",
                    found=background.file.feature_shape,
                    remedy="use files of one release",
                )
            )

    def start(self) -> None:
        """Compare the rows that are of one video, and say what is missing."""
        self.same_video = check_same_video(self.streams[0].file, self.video_ids)
        if differing := self.same_video["differing"]:
            named = ", ".join(
                f"{pair['video_id']} (rows {pair['rows'][0]} and {pair['rows'][1]})" for pair in differing
            )
            logger.warning(
                "import %s: rows of one video differ: %s; the first row of each is used", self.modality, named
            )
        if self.missing:
            logger.warning(
                "import %s: %s: the %d background clips have no %s features and cannot be used",
                self.modality,
                next(iter(self.missing.values())),
                len(self.missing),
                self.modality,
            )

    def take(self, video_id: str) -> Released:
        """Read the features of a video that is not missing, from the file that has it."""
        stream = next(stream for stream in self.streams if video_id in stream)
        return stream.take(video_id)

    def finish(self) -> dict[str, Any]:
        """Read what is left, hold the order of the rows against their categories, and return the facts."""
        for stream in self.streams:
            stream.finish()
        main = self.streams[0]
        categories = check_categories(main.file.path, np.stack(main.means), self.video_ids, self.categories)
        return {
            "files": [{"name": self.name_of(stream.file.path), **stream.facts()} for stream in self.streams],
            "row_order": {"same_video": self.same_video, "categories": categories},
        }


def _not_annotated(videos: Sequence[VideoFile], annotated: Sequence[str], path: Path) -> list[str]:
    """Return the ids of the background clips, which are all that ``Annotations.txt`` does not name."""
    known = set(annotated)
    others = [video.video_id for video in videos if video.video_id not in known]
    for found, expected in zip(others, background_video_ids(len(others)), strict=True):
        if found != expected:
            raise AnnotationError(
                explain(
                    path,
                    expected="a row for every video of videos.csv",
                    found=f"none for {found}",
                    remedy="run `dvc repro prepare`, and use the annotations that it read",
                )
            )
    return others


class _RowStream:
    """A feature file, read once from its first row to its last while videos are taken from it in the order of rows.

    A video whose row has been passed is read by itself: it comes later than its first row if the clip of that row is
    in no split.
    """

    def __init__(self, file: ReleasedFile, video_ids: Sequence[str], values: Values) -> None:
        self.file, self.values, self.means = file, values, list[np.ndarray]()
        self._video_ids = video_ids
        self._first_row: dict[str, int] = {}
        for row, video_id in enumerate(video_ids):
            self._first_row.setdefault(video_id, row)
        self._rows = self._read()

    def __contains__(self, video_id: str) -> bool:
        return video_id in self._first_row

    def _read(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield each row as it is in the file and as it is stored."""
        for row, (features, video_id) in enumerate(zip(self.file, self._video_ids, strict=True)):
            stored = self.values.add(features, f"{self.file.path} row {row}, video {video_id},")
            self.means.append(self._arranged(features).mean(axis=tuple(range(features.ndim - 1)), dtype=np.float64))
            yield features, stored

    def _arranged(self, features: np.ndarray) -> np.ndarray:
        return channels_last(features, is_channels_first=self.file.is_channels_first)

    def take(self, video_id: str) -> Released:
        """Read on to the first row of this video, or back."""
        row = self._first_row[video_id]
        if row < len(self.means):
            features = self.file.row(row)
            stored = features.astype(self.values.storage)
        else:
            while len(self.means) <= row:
                features, stored = next(self._rows)
        valid = np.ones(len(stored), bool)
        detail = f"{self.file.path.name} row {row}"
        return usable(video_id, content_hash(features), self._arranged(stored), valid, detail)

    def finish(self) -> None:
        """Read what is left, for the checks."""
        for _ in self._rows:
            pass

    def facts(self) -> dict[str, Any]:
        """Return what ``import.json`` holds of this file."""
        return {
            "shape": list(self.file.shape),
            "dtype": str(self.file.dtype),
            **self.values.facts(),
        }

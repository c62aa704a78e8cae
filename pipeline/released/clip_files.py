"""VGGSound-AVEL's form of a release: a file per video and modality, see :mod:`pipeline.store.clip_arrays`.

A clip of fewer segments than T is masked at the end, or its last segment is repeated, as the loader of VGGSound-AVEL's
authors does: ``dataset.short_clips``.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.errors import PipelineError, ShardError, explain
from pipeline.features.recipes import Modality
from pipeline.params.schema import Params
from pipeline.released.files import Values, channels_last, is_channels_first
from pipeline.released.release import Release, Released, content_hash, failed_row, usable
from pipeline.store.clip_arrays import ClipArrays
from pipeline.store.manifest import VideoFile

logger = logging.getLogger(__name__)

NUM_NAMED = 10
"""Of the videos without usable features, in an error."""


class ClipFiles(Release):
    """A file per video, named by it; all of one shape but for the number of segments."""

    may_be_damaged = True

    def __init__(self, params: Params, modality: Modality, videos: Sequence[VideoFile], raw: Path) -> None:
        super().__init__(params, modality, raw)
        self._path = self._find(raw / "features" / modality)
        self._values = Values(self.storage, may_be_negative=True)
        self._dtypes: set[str] = set()
        self._num_taken = 0
        self._repeats_last = params.dataset.short_clips == "repeat"
        # A video without a path is a background clip of AVE's features: an addition that may be missing.
        self._needed = frozenset(video.video_id for video in videos if video.path)
        try:
            self._arrays = self.files.enter_context(ClipArrays(self._path))
            self.missing = {v.video_id: "no such file" for v in videos if v.video_id not in self._arrays}
            self._max_failed_fraction = getattr(params, modality).max_failed_fraction
            self._damaged: dict[str, str] = {}
            self._require_enough()
            first, features = self._first_array(videos)
            self._is_channels_first = is_channels_first(features.shape, modality, self._subject(first))
            self._shape = features.shape[1:]
            self.feature_shape = self._arranged(features).shape[1:]
        except BaseException:
            self.files.close()
            raise

    def _find(self, folder: Path) -> Path:
        archive = folder.with_name(f"{folder.name}.zip")
        found = [path for path in (folder, archive) if path.exists()]
        if len(found) != 1:
            raise ShardError(
                explain(
                    folder,
                    expected=f"the released {self.modality} features, as a folder or as {archive.name} beside it",
                    found="both" if found else "neither",
                    remedy="move one away" if found else self.remedy,
                )
            )
        return found[0]

    def _require_enough(self) -> None:
        """Refuse too many videos whose features are missing or, as far as they are read, damaged."""
        failed = [video_id for video_id in self.missing | self._damaged if video_id in self._needed]
        if len(failed) == len(self._needed) or len(failed) > self._max_failed_fraction * len(self._needed):
            listed = ", ".join(failed[:NUM_NAMED])
            more = f" and {len(failed) - NUM_NAMED} more" if len(failed) > NUM_NAMED else ""
            if self._damaged:
                more += f"; {len(self._damaged)} of them damaged, {next(iter(self._damaged.values()))}"
            share = f"{self._max_failed_fraction:.2%}"
            raise PipelineError(
                explain(
                    self._path,
                    expected=f"a file for each of {len(self._needed)} videos, with at most {share} missing or damaged",
                    found=f"none for {len(failed)}: {listed}{more}",
                    remedy=f"put them there, or raise {self.modality}.max_failed_fraction",
                )
            )

    def _first_array(self, videos: Sequence[VideoFile]) -> tuple[str, np.ndarray]:
        """Read the first array that can be read, whose shape all others must have."""
        for video in videos:
            if video.video_id not in self.missing:
                try:
                    return video.video_id, self._arrays.read(video.video_id)
                except ShardError as error:
                    damage = error
        raise damage

    def _subject(self, video_id: str) -> str:
        return f"{self._path} {video_id}"

    def _arranged(self, features: np.ndarray) -> np.ndarray:
        return channels_last(features, is_channels_first=self._is_channels_first)

    def start(self) -> None:
        """Nothing: files that are named by their video have no order."""

    def take(self, video_id: str) -> Released:
        """Read the features of a video that is not missing; a damaged file is that video's failure alone."""
        try:
            features = self._arrays.read(video_id)
        except ShardError as error:
            self._damaged[video_id] = str(error)
            self._require_enough()
            return Released(None, failed_row(video_id, "bad_array", str(error)))
        if features.shape[1:] != self._shape or not len(features) or features.dtype.kind not in "fiu":
            raise ShardError(
                explain(
                    self._subject(video_id),
                    expected=f"numbers of shape (T, {', '.join(map(str, self._shape))}), as in the first file",
                    found=f"{features.shape} {features.dtype}",
                    remedy="use features of one network",
                )
            )
        self._num_taken += 1
        self._dtypes.add(str(features.dtype))
        num_found, num_segments = len(features), self.num_segments
        stored = self._values.add(features[:num_segments], self._subject(video_id))
        valid = np.full(num_segments, self._repeats_last) | (np.arange(num_segments) < num_found)
        detail = ""
        if num_found < num_segments:
            last = stored[-1] if self._repeats_last else np.zeros_like(stored[-1])
            stored = np.concatenate([stored, np.stack([last] * (num_segments - num_found))])
            detail = f"{num_found} of {num_segments} segments{', the last repeated' * self._repeats_last}"
        elif num_found > num_segments:
            detail = f"the first {num_segments} of {num_found} segments"
        return usable(video_id, content_hash(features), self._arranged(stored), valid, detail)

    def finish(self) -> dict[str, Any]:
        """Say what is odd about the files, and return the facts."""
        if self._damaged:
            logger.warning(
                "import %s: %d files cannot be used, such as %s",
                self.modality,
                len(self._damaged),
                next(iter(self._damaged.values())),
            )
        if self._values.minimum < 0:
            logger.warning(
                "import %s: values down to %.4g: these features were not taken after a ReLU, as those of AVE are",
                self.modality,
                self._values.minimum,
            )
        file = {
            "name": self.name_of(self._path),
            "shape": [self._num_taken, self.num_segments, *self._shape],
            "dtype": ", ".join(sorted(self._dtypes)),
            **self._values.facts(),
        }
        return {"files": [file], "row_order": None}

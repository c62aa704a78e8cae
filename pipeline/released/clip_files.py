"""Releases of a file per video, see :mod:`pipeline.store.clip_arrays`: VGGSound-AVEL's and LLP's.

==========================  ===========================================================================================
``visual``, ``audio``       maps (T, H, W, C) or (T, C, H, W), and vectors (T, 128); of parsing ``visual`` may also
                            be vectors (T, C) or stacks of them (T, K, C)
``vggish``                  LLP's sound, (T, 128)
``res152, r2plus1d_18``     LLP's pictures, (8 T, 2048) and (T, 512); a segment is one vector: eight frames, then motion
==========================  ===========================================================================================

Files are named by the video, of LLP too: by its id on YouTube. A clip of fewer segments than T is masked at the end, or
its last segment is repeated, as the loader of VGGSound-AVEL's authors does: ``dataset.short_clips``.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.errors import PipelineError, ShardError, explain
from pipeline.features.recipes import LLP_LAYOUT, Modality
from pipeline.params.schema import Params
from pipeline.released.files import AUDIO_CHANNELS, Values, channels_last, is_channels_first
from pipeline.released.release import Release, Released, content_hash, failed_row, usable
from pipeline.store.clip_arrays import ClipArrays
from pipeline.store.manifest import VideoFile

logger = logging.getLogger(__name__)

NUM_NAMED = 10
"""Of the videos without usable features, in an error."""


@dataclass(frozen=True)
class Folder:
    """A folder or archive of a release.

    Parameters
    ----------
    name : str
    row_shape : tuple of int, optional
        Of one row of an array; where it is not known, the first file tells; see :func:`is_channels_first`.
    rows_per_segment : int, optional
    """

    name: str
    row_shape: tuple[int, ...] | None = None
    rows_per_segment: int = 1


_NUM_FRAMES, _FRAME_FEATURES = LLP_LAYOUT.appearance_shape

LLP_FOLDERS: dict[Modality, tuple[Folder, ...]] = {
    "audio": (Folder("vggish", (AUDIO_CHANNELS,)),),
    "visual": (
        Folder("res152", (_FRAME_FEATURES,), _NUM_FRAMES),
        Folder("r2plus1d_18", (LLP_LAYOUT.motion_features,)),
    ),
}
"""As LLP's download names them, below its folder ``feats``."""


class ClipFiles(Release):
    """A file per video in each folder, all files of a folder of one shape but for the number of segments."""

    may_be_damaged = True

    def __init__(self, params: Params, modality: Modality, videos: Sequence[VideoFile], raw: Path) -> None:
        super().__init__(params, modality, raw)
        folders = LLP_FOLDERS[modality] if params.dataset.format == "llp" else (Folder(modality),)
        self.may_be_vectors = params.dataset.task == "parsing"  # localization attends to the positions of maps
        self._num_taken = 0
        self._repeats_last = params.dataset.short_clips == "repeat"
        # A video without a path is a background clip of AVE's features: an addition that may be missing.
        self._needed = frozenset(video.video_id for video in videos if video.path)
        self._max_failed_fraction = getattr(params, modality).max_failed_fraction
        self._damaged: dict[str, str] = {}
        self.missing = {}
        try:
            self._parts = [_Part(self, folder, self._find(raw / "features" / folder.name)) for folder in folders]
            for part in self._parts:
                why = "no such file" if len(self._parts) == 1 else f"no such file in {part.name}"
                self.missing |= {v.video_id: why for v in videos if v.video_id not in part}
            self._require_enough()
            present = [video.video_id for video in videos if video.video_id not in self.missing]
            for part in self._parts:
                part.learn_shape(present)
            self.feature_shape = _joined([np.empty((1, *part.feature_shape)) for part in self._parts]).shape[1:]
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
                    " and ".join(str(part.path) for part in self._parts),
                    expected=f"a file for each of {len(self._needed)} videos, with at most {share} missing or damaged",
                    found=f"none for {len(failed)}: {listed}{more}",
                    remedy=f"put them there, or raise {self.modality}.max_failed_fraction",
                )
            )

    def start(self) -> None:
        """Nothing: files that are named by their video have no order."""

    def take(self, video_id: str) -> Released:
        """Read the features of a video that is not missing; a damaged file is that video's failure alone."""
        try:
            arrays = [part.read(video_id) for part in self._parts]
        except ShardError as error:
            self._damaged[video_id] = str(error)
            self._require_enough()
            return Released(None, failed_row(video_id, "bad_array", str(error)))
        segments = [part.segments(video_id, array) for part, array in zip(self._parts, arrays, strict=True)]
        self._num_taken += 1
        num_found, num_segments = min(len(of_part) for of_part in segments), self.num_segments
        features = _joined(
            [
                part.arranged(part.values.add(of_part[: min(num_found, num_segments)], part.subject(video_id)))
                for part, of_part in zip(self._parts, segments, strict=True)
            ]
        )
        valid = np.full(num_segments, self._repeats_last) | (np.arange(num_segments) < num_found)
        detail = ""
        if num_found < num_segments:
            last = features[-1] if self._repeats_last else np.zeros_like(features[-1])
            features = np.concatenate([features, np.stack([last] * (num_segments - num_found))])
            detail = f"{num_found} of {num_segments} segments{', the last repeated' * self._repeats_last}"
        elif num_found > num_segments:
            detail = f"the first {num_segments} of {num_found} segments"
        return usable(video_id, content_hash(*arrays), features, valid, detail)

    def finish(self) -> dict[str, Any]:
        """Say what is odd about the files, and return the facts."""
        if self._damaged:
            logger.warning(
                "import %s: %d files cannot be used, such as %s",
                self.modality,
                len(self._damaged),
                next(iter(self._damaged.values())),
            )
        for part in self._parts:
            if part.values.minimum < 0:
                logger.warning(
                    "import %s: %s has values down to %.4g: these features were not taken after a ReLU",
                    self.modality,
                    part.name,
                    part.values.minimum,
                )
        return {"files": [part.facts(self._num_taken) for part in self._parts], "row_order": None}


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return features (T, ...): those of the only part as they are, of several flattened, one behind the other."""
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


class _Part:
    """One folder of a release, opened."""

    def __init__(self, release: ClipFiles, folder: Folder, path: Path) -> None:
        self.name, self.path = folder.name, path
        self.values = Values(release.storage, may_be_negative=True)
        self._release, self._folder = release, folder
        self._arrays = release.files.enter_context(ClipArrays(path))
        self._dtypes: set[str] = set()
        self._is_channels_first = False

    def __contains__(self, video_id: str) -> bool:
        return video_id in self._arrays

    def learn_shape(self, video_ids: Sequence[str]) -> None:
        """Learn the shape of a row, which all arrays have: from the first that can be read, where it is not known."""
        self._row_shape = self._folder.row_shape
        if self._row_shape is None:
            video_id, first = self._first_array(video_ids)
            self._is_channels_first = is_channels_first(
                first.shape,
                self._release.modality,
                self.subject(video_id),
                may_be_vectors=self._release.may_be_vectors,
            )
            self._row_shape = first.shape[1:]
        rows = np.empty((self._folder.rows_per_segment, *self._row_shape), np.uint8)
        self.feature_shape = self.arranged(self._by_segment(rows)).shape[1:]

    def _first_array(self, video_ids: Sequence[str]) -> tuple[str, np.ndarray]:
        for video_id in video_ids:
            try:
                return video_id, self.read(video_id)
            except ShardError as error:
                damage = error
        raise damage

    def subject(self, video_id: str) -> str:
        """Return what an error calls a video's array."""
        return f"{self.path} {video_id}"

    def read(self, video_id: str) -> np.ndarray:
        """Read the array of a video that is not missing."""
        return self._arrays.read(video_id)

    def segments(self, video_id: str, array: np.ndarray) -> np.ndarray:
        """Return an array's rows by segment, (T, ...), or (T, K, ...) for K rows of each.

        Raises
        ------
        ShardError
            If it has another shape, or holds no numbers.
        """
        assert self._row_shape is not None
        num_rows = self._folder.rows_per_segment
        has_rows = array.shape[1:] == self._row_shape and len(array) > 0 and len(array) % num_rows == 0
        if not has_rows or array.dtype.kind not in "fiu":
            rows = f"{num_rows} T" if num_rows > 1 else "T"
            origin = "as in the first file" if self._folder.row_shape is None else f"as {self.name} of LLP has"
            raise ShardError(
                explain(
                    self.subject(video_id),
                    expected=f"numbers of shape ({rows}, {', '.join(map(str, self._row_shape))}), {origin}",
                    found=f"{array.shape} {array.dtype}",
                    remedy="use features of one network",
                )
            )
        self._dtypes.add(str(array.dtype))
        return self._by_segment(array)

    def _by_segment(self, array: np.ndarray) -> np.ndarray:
        num_rows = self._folder.rows_per_segment
        return array.reshape(-1, num_rows, *array.shape[1:]) if num_rows > 1 else array

    def arranged(self, features: np.ndarray) -> np.ndarray:
        """Return features (T, ...) with the channels last."""
        return channels_last(features, is_channels_first=self._is_channels_first)

    def facts(self, num_taken: int) -> dict[str, Any]:
        """Return what ``import.json`` holds of the folder."""
        assert self._row_shape is not None
        return {
            "name": self._release.name_of(self.path),
            "shape": [num_taken, self._release.num_segments * self._folder.rows_per_segment, *self._row_shape],
            "dtype": ", ".join(sorted(self._dtypes)),
            **self.values.facts(),
        }

"""Features and labels joined, as training and evaluation are given them: what both tasks have in common.

There are two objects on purpose. :class:`Clips` has features and what is known of each clip as a whole, and no segment
label anywhere in it: it is all that weak training gets. :class:`Labelled` adds labels per segment. What these are is up
to the task: :mod:`pipeline.training.localization`, :mod:`pipeline.training.parsing`.

This module knows where each clip's features are; :mod:`pipeline.training.loading` reads them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from pipeline.core.errors import ShardError, TrainingError, explain
from pipeline.core.references import resolve
from pipeline.methods.settings import Supervision, Task
from pipeline.metrics.segments import VideoCounts
from pipeline.params.schema import Params, TrainParams
from pipeline.store.manifest import SPLITS
from pipeline.store.shards import Shard, ShardIndex, require_recipe, verify_shard
from pipeline.training.outputs import Outputs
from pipeline.training.reading import FeatureFiles


class FeatureFolder:
    """The shards of one modality: which videos they hold, where, and what of each is valid."""

    def __init__(self, folder: Path, recipe: Mapping[str, Any]) -> None:
        """Look at the shards in `folder`, checking recipe and hashes.

        Raises
        ------
        ShardError
            If the features were made by another recipe, or a shard is missing, damaged or of another shape than the
            first.
        """
        self.index: ShardIndex = require_recipe(folder, recipe)
        if not self.index.shards:
            raise ShardError(
                explain(folder, expected="at least one shard", found="none", remedy="see ledger.csv in that folder")
            )
        paths, starts, layouts = [], [], []
        self._places: dict[str, int] = {}
        self._valid: list[np.ndarray] = []
        for entry in self.index.shards:
            path = folder / entry.file
            verify_shard(path, entry.sha256)
            with Shard(path) as shard:
                layouts.append((shard.features.shape[1:], shard.features.dtype))
                starts.append(len(self._valid))
                self._places.update({video_id: starts[-1] + row for row, video_id in enumerate(shard.video_ids)})
                self._valid.extend(shard.valid)
            paths.append(path)
            if layouts[-1] != layouts[0]:
                raise ShardError(
                    explain(
                        path,
                        expected="features of {} {} as in the first shard".format(*layouts[0]),
                        found="{} {}".format(*layouts[-1]),
                        remedy="extract the features again",
                    )
                )
        shape, dtype = layouts[0]
        self.files = FeatureFiles(tuple(paths), tuple(starts), len(self._valid), shape, dtype)

    def __contains__(self, video_id: str) -> bool:
        return video_id in self._places

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of one segment's features."""
        return self.files.shape[1:]

    @property
    def num_bytes(self) -> int:
        """Size of all features in memory, in the type they are stored in."""
        return self.files.num_videos * self.files.num_bytes_per_video

    def valid(self, video_id: str) -> np.ndarray:
        """Return which segments of a video have media, (T,) bool."""
        return self._valid[self._places[video_id]]

    def places(self, video_ids: Iterable[str]) -> Tensor:
        """Return the places of the videos in the folder, int64, 0 to N - 1, in the order on the disk."""
        return torch.tensor([self._places[video_id] for video_id in video_ids], dtype=torch.int64)


@dataclass(frozen=True)
class ClipBatch:
    """Features (B, T, ...) of both modalities, and what is known of each clip as a whole, (B,) or (B, C)."""

    visual: Tensor
    audio: Tensor
    categories: Tensor


@dataclass(frozen=True)
class Clips(ABC):
    """Covered clips, as a rule those of a split, without any segment label.

    Parameters
    ----------
    clip_ids, video_ids : tuple of str
    categories : torch.Tensor
        What is known of each clip as a whole, a row per clip: of localization its category, of parsing its tags.
    num_categories : int
        C; background is not one of them.
    visual, audio : FeatureFolder
    """

    clip_ids: tuple[str, ...]
    video_ids: tuple[str, ...]
    categories: Tensor
    num_categories: int
    visual: FeatureFolder
    audio: FeatureFolder

    def __len__(self) -> int:
        return len(self.clip_ids)

    @abstractmethod
    def labels(self, batch: ClipBatch, positions: Sequence[int]) -> Any:
        """Return what the terms of an objective compare the answers about a batch with."""

    @abstractmethod
    def decide(self, answer: Any, *, with_maps: bool) -> Outputs:
        """Return what a network's answer about a batch means; with the steps that led there, if asked for.

        Raises
        ------
        TrainingError
            If an answer is infinite or NaN.
        """

    def identity(self) -> list[Any]:
        """Return everything in it that determines the result of a training, as JSON values."""
        return [list(self.clip_ids), self.categories.tolist()]


class Labelled(ABC):
    """The covered clips of a split with labels per segment; `num_expected` counts those that the manifest lists."""

    clips: Clips
    num_expected: int

    def __len__(self) -> int:
        return len(self.clips)

    @abstractmethod
    def labels(self, batch: ClipBatch, positions: Sequence[int]) -> Any:
        """Return what the terms of an objective compare the answers about a batch with."""

    @abstractmethod
    def score(self, outputs: Any, rule: str) -> float:
        """Return the score by which an epoch is selected, in percent; `rule` is that of the method."""

    @abstractmethod
    def per_video(self, outputs: Any, rule: str) -> dict[str, VideoCounts]:
        """Return the scores of each video, by name; that by which epochs are selected comes first."""

    @abstractmethod
    def identity(self) -> list[Any]:
        """Return everything in it that determines the result of a training, as JSON values."""


@dataclass(frozen=True)
class Splits:
    """The clips of a run: those to train on, with or without segment labels, and the labelled ones to score.

    Under weak supervision no segment label of the clips to train on can be reached from here.
    """

    training: Clips | Labelled
    val: Labelled
    test: Labelled

    @property
    def training_clips(self) -> Clips:
        """The clips to train on, without labels per segment."""
        return self.training.clips if isinstance(self.training, Labelled) else self.training


class Dataset(ABC):
    """The three splits, the category names in class order, and the features they read."""

    task: ClassVar[Task]
    score_name: ClassVar[str]
    """The score by which epochs are selected, as ``metrics.json`` calls it."""
    score_words: ClassVar[str]
    """The same for people, behind a number in percent."""

    train: Any
    val: Any
    test: Any
    categories: tuple[str, ...]
    visual: FeatureFolder
    audio: FeatureFolder

    @property
    @abstractmethod
    def network_inputs(self) -> dict[str, Any]:
        """The sizes of the features as a network of the task is told them: JSON values, which a checkpoint holds."""

    @abstractmethod
    def splits(self, params: TrainParams) -> Splits:
        """Return the splits as the supervision lets a run see them.

        Raises
        ------
        TrainingError
            If a split is empty, or clips are asked for that the data set does not have.
        """

    def require_clips(self, *splits: str) -> None:
        """Check that splits have clips.

        Raises
        ------
        TrainingError
            If a split has none; the first such split is named.
        """
        for split in splits:
            if len(getattr(self, split)) == 0:
                raise TrainingError(
                    explain(
                        f"split {split}",
                        expected="at least one clip with features",
                        found="none",
                        remedy="see data/<name>/prepared/audit.md and the ledgers",
                    )
                )

    def require_trainable(self, supervision: Supervision) -> None:
        """Check that there are clips to train on, to select on and to test on.

        Raises
        ------
        TrainingError
            As :meth:`require_clips`.
        """
        self.require_clips(*SPLITS)


DATASETS: Mapping[Task, str] = {
    "localization": "pipeline.training.localization.dataset:load_localization",
    "parsing": "pipeline.training.parsing.dataset:load_parsing",
}
"""References to what joins the manifest of a task with the features."""


def load_dataset(params: Params, prepared: Path, features: Path) -> Any:
    """Join the manifest with both feature folders; the data set is of the class that its task has.

    Parameters
    ----------
    params : Params
        Its `dataset`, and the recipes that the features must have been made by.
    prepared : Path
        Output of the prepare stage.
    features : Path
        Folder with ``visual/`` and ``audio/``.

    Raises
    ------
    ParamsError
        If no network of the task can use the features.
    AnnotationError
        If the manifest is of another task, or does not fit `dataset.num_segments`.
    ShardError
        If features are missing, damaged, of another recipe, or cover too few clips of a split.
    """
    return resolve(DATASETS[params.dataset.task])(params, prepared, features)


class ListedClip(Protocol):
    """What a clip of any task's manifest has."""

    @property
    def video_id(self) -> str:
        """Names the media file, and with it the features."""


L = TypeVar("L", bound=ListedClip)


def covered_clips(listed: Sequence[L], visual: FeatureFolder, audio: FeatureFolder) -> list[L]:
    """Return the clips of which both modalities have features."""
    return [clip for clip in listed if clip.video_id in visual and clip.video_id in audio]


def require_coverage(subject: str, num_covered: int, num_expected: int, min_coverage: float) -> None:
    """Check that enough of the clips have features.

    Raises
    ------
    ShardError
        If fewer than the share `min_coverage` have.
    """
    if num_covered < min_coverage * num_expected:
        raise ShardError(
            explain(
                subject,
                expected=f"features of at least {min_coverage:.1%} of its clips (dataset.min_coverage)",
                found=f"{num_covered} of {num_expected}",
                remedy="see the ledgers in data/<name>/features for the reasons",
            )
        )

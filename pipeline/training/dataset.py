"""Features and labels joined, as training and evaluation are given them.

There are two objects on purpose. :class:`Clips` has features and one category per clip, and no segment label anywhere
in it: it is all that weak training gets. :class:`LabelledClips` adds a label per segment.

The weak training of PSP (2021), alone among the released methods, also sees the share of each clip's segments with the
event. It is one number per clip, weaker than a label per segment and stronger than a category, so that it is given
only where it is asked for: :meth:`LabelledClips.without_segment_labels`.

This module knows where each clip's features are; :mod:`pipeline.training.loading` reads them.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.localization.losses import BACKGROUND_CLIP
from pipeline.backbones.registry import BACKBONES
from pipeline.core.errors import AnnotationError, ParamsError, ShardError, TrainingError, explain
from pipeline.features.recipes import feature_recipe, visual_feature_shape
from pipeline.methods.settings import Supervision
from pipeline.params.schema import Params
from pipeline.store.manifest import BACKGROUND, SPLITS, Clip, load_manifest
from pipeline.store.shards import Shard, ShardIndex, require_recipe, verify_shard
from pipeline.training.reading import FeatureFiles

logger = logging.getLogger(__name__)


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
    """Features (B, T, ...) of both modalities and one category index per clip (B,)."""

    visual: Tensor
    audio: Tensor
    categories: Tensor


@dataclass(frozen=True)
class Clips:
    """Covered clips, as a rule those of a split, without any segment label.

    Parameters
    ----------
    clip_ids, video_ids : tuple of str
    categories : torch.Tensor
        Shape (N,), int64: class index of each clip, :data:`models.localization.losses.BACKGROUND_CLIP` for one known to
        be background throughout.
    num_categories : int
        C; background is not one of them.
    visual, audio : FeatureFolder
    event_shares : torch.Tensor, optional
        Shape (N,), float64, 0 to 1: the share of each clip's segments with the event, 0 for a background clip. One
        number per clip, weaker than segment labels and stronger than a category. None unless it was asked for.
    """

    clip_ids: tuple[str, ...]
    video_ids: tuple[str, ...]
    categories: Tensor
    num_categories: int
    visual: FeatureFolder
    audio: FeatureFolder
    event_shares: Tensor | None = None

    def __len__(self) -> int:
        return len(self.clip_ids)

    def joined(self, other: "Clips") -> "Clips":
        """Return these clips followed by those of `other`, which has the same categories and features.

        If one of the two has event shares, so has the result; background clips need none, theirs are 0.

        Raises
        ------
        TrainingError
            If only one of the two has event shares, and a clip of the other is no background clip.
        """
        assert (self.num_categories, self.visual, self.audio) == (other.num_categories, other.visual, other.audio)
        has_shares = self.event_shares is not None or other.event_shares is not None
        return replace(
            self,
            clip_ids=self.clip_ids + other.clip_ids,
            video_ids=self.video_ids + other.video_ids,
            categories=torch.cat([self.categories, other.categories]),
            event_shares=torch.cat([self._shares(), other._shares()]) if has_shares else None,
        )

    def _shares(self) -> Tensor:
        """Return the event shares, those of background clips also where none were given."""
        if self.event_shares is not None:
            return self.event_shares
        unknown = (self.categories != BACKGROUND_CLIP).nonzero()
        if len(unknown):
            raise TrainingError(
                explain(
                    f"clip {self.clip_ids[int(unknown[0])]}",
                    expected="an event share, as the clips that it is joined with have",
                    found="none",
                    remedy="leave clips without times out of training with event shares",
                )
            )
        return torch.zeros(len(self), dtype=torch.float64)


@dataclass(frozen=True)
class LabelledClips:
    """The covered clips of a split with a label per segment.

    Parameters
    ----------
    clips : Clips
    events : torch.Tensor
        Shape (N, T), bool: the training target; segments without media are background.
    truth : torch.Tensor
        Shape (N, T), int64: category index, or C for background, as annotated.
    has_media : torch.Tensor
        Shape (N, T), bool: both modalities have media there.
    num_expected : int
        Clips with times that the manifest lists for the split, covered or not.
    event_shares : torch.Tensor, optional
        Shape (N,), float64, 0 to 1: as the manifest has them, also where segments lack media. None where clips were
        put together without a manifest.
    """

    clips: Clips
    events: Tensor
    truth: Tensor
    has_media: Tensor
    num_expected: int
    event_shares: Tensor | None = None

    def __len__(self) -> int:
        return len(self.clips)

    def without_segment_labels(self, *, with_event_shares: bool = False) -> Clips:
        """Return the same clips as weak training may see them.

        Parameters
        ----------
        with_event_shares : bool, optional
            Whether it may also see the share of each clip's segments with the event, which says less than segment
            labels and more than a category. Of the released methods PSP (2021) alone trains so (``prob_label.h5``).
        """
        if not with_event_shares:
            return self.clips
        assert self.event_shares is not None
        return replace(self.clips, event_shares=self.event_shares)


@dataclass(frozen=True)
class Dataset:
    """The three splits, the category names in class order, and the features they read.

    `background` are clips of no split, known to be background throughout: weak training may add them, nothing scores
    them. `untimed` are clips of the training split whose category is known and whose times are not: weak training may
    add them, `train` has none of them. Most data sets have neither.
    """

    train: LabelledClips
    val: LabelledClips
    test: LabelledClips
    background: Clips
    untimed: Clips
    categories: tuple[str, ...]
    visual: FeatureFolder
    audio: FeatureFolder

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
            As :meth:`require_clips`; clips without times are enough to train on under weak supervision.
        """
        has_untimed = supervision == "weak" and len(self.untimed) > 0
        self.require_clips(*(split for split in SPLITS if not (split == "train" and has_untimed)))


def load_dataset(params: Params, prepared: Path, features: Path) -> Dataset:
    """Join the manifest with both feature folders.

    Background clips are joined like the others, but `dataset.min_coverage` does not apply to them: they are an
    addition to training, and no score becomes doubtful without some of them. Clips without times are kept apart.

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
        If the visual features are no maps.
    AnnotationError
        If the manifest's event strings are not `dataset.num_segments` long, or those of val or test say no times.
    ShardError
        If features are missing, damaged, of another recipe, or cover too few clips of a split.
    """
    _require_maps(params)
    manifest = load_manifest(prepared)
    num_segments = params.dataset.num_segments
    visual = FeatureFolder(features / "visual", feature_recipe(params, "visual"))
    audio = FeatureFolder(features / "audio", feature_recipe(params, "audio"))
    for clip in manifest.clips:
        if len(clip.events) != num_segments:
            raise AnnotationError(
                explain(
                    f"clip {clip.clip_id}",
                    expected=f"{num_segments} segments (dataset.num_segments)",
                    found=len(clip.events),
                    remedy="run `dvc repro prepare`",
                )
            )
    class_index = {category: index for index, category in enumerate(manifest.categories)}
    splits = {}
    for split in SPLITS:
        listed = [clip for clip in manifest.clips if clip.split == split and (clip.is_timed or split != "train")]
        splits[split] = _join(listed, class_index, visual, audio, num_segments)
        _require_coverage(f"split {split}", len(splits[split]), len(listed), params.dataset.min_coverage)
        logger.info("%s: %d of %d clips have features", split, len(splits[split]), len(listed))
    listed = [clip for clip in manifest.clips if clip.split == BACKGROUND]
    background = _clips(_covered(listed, visual, audio), class_index, visual, audio)
    if listed:
        logger.info("%s: %d of %d clips have features", BACKGROUND, len(background), len(listed))
    listed = [clip for clip in manifest.clips if clip.split == "train" and not clip.is_timed]
    untimed = _clips(_covered(listed, visual, audio), class_index, visual, audio)
    if listed:
        _require_coverage("clips of train without times", len(untimed), len(listed), params.dataset.min_coverage)
        logger.info(
            "train: %d of %d clips without times have features; full training leaves them out",
            len(untimed),
            len(listed),
        )
    return Dataset(
        **splits,
        background=background,
        untimed=untimed,
        categories=manifest.categories,
        visual=visual,
        audio=audio,
    )


def _require_maps(params: Params) -> None:
    """Check that an extracted segment has one map, as every released one has: networks attend to its positions."""
    visual = params.visual
    shape = visual_feature_shape(visual)
    if params.features.source == "extracted" and len(shape) != 3:
        of_maps = [name for name, backbone in BACKBONES.items() if len(backbone.feature_shape) == 3]
        raise ParamsError(
            explain(
                f"visual features of {visual.backbone}, combine: {visual.combine}",
                expected="one map (H, W, C) per segment, to whose positions every network attends",
                found=f"shape {shape}",
                remedy=f"train on {', '.join(of_maps)} with combine: mean; these can be extracted, not trained on",
            )
        )


def _join(
    listed: Sequence[Clip],
    class_index: Mapping[str, int],
    visual: FeatureFolder,
    audio: FeatureFolder,
    num_segments: int,
) -> LabelledClips:
    covered = _covered(listed, visual, audio)
    shape = (len(covered), num_segments)
    annotated = np.array([clip.event_mask() for clip in covered], bool).reshape(shape)
    has_media = np.array([visual.valid(clip.video_id) & audio.valid(clip.video_id) for clip in covered], bool).reshape(
        shape
    )
    clips = _clips(covered, class_index, visual, audio)
    truth = torch.where(torch.from_numpy(annotated), clips.categories[:, None], len(class_index))
    return LabelledClips(
        clips,
        torch.from_numpy(annotated & has_media),
        truth,
        torch.from_numpy(has_media),
        len(listed),
        torch.tensor([clip.event_share for clip in covered], dtype=torch.float64),
    )


def _covered(listed: Sequence[Clip], visual: FeatureFolder, audio: FeatureFolder) -> list[Clip]:
    return [clip for clip in listed if clip.video_id in visual and clip.video_id in audio]


def _clips(
    covered: Sequence[Clip], class_index: Mapping[str, int], visual: FeatureFolder, audio: FeatureFolder
) -> Clips:
    categories = [BACKGROUND_CLIP if clip.split == BACKGROUND else class_index[clip.category] for clip in covered]
    return Clips(
        clip_ids=tuple(clip.clip_id for clip in covered),
        video_ids=tuple(clip.video_id for clip in covered),
        categories=torch.tensor(categories, dtype=torch.int64),
        num_categories=len(class_index),
        visual=visual,
        audio=audio,
    )


def _require_coverage(subject: str, num_covered: int, num_expected: int, min_coverage: float) -> None:
    if num_covered < min_coverage * num_expected:
        raise ShardError(
            explain(
                subject,
                expected=f"features of at least {min_coverage:.1%} of its clips (dataset.min_coverage)",
                found=f"{num_covered} of {num_expected}",
                remedy="see the ledgers in data/<name>/features for the reasons",
            )
        )

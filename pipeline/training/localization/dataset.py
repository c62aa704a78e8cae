"""The data set of localization: clips of one category each, with or without a label per segment.

The weak training of PSP (2021), alone among the released methods, also sees the share of each clip's segments with the
event. It is one number per clip, weaker than a label per segment and stronger than a category, so that it is given
only where it is asked for: :meth:`LabelledClips.without_segment_labels`.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.localization.answers import Localization
from models.localization.losses import BACKGROUND_CLIP
from pipeline.backbones.registry import BACKBONES
from pipeline.core.errors import AnnotationError, ParamsError, TrainingError, explain
from pipeline.features.recipes import feature_recipe, visual_feature_shape
from pipeline.methods.registry import METHODS
from pipeline.methods.settings import Supervision
from pipeline.metrics.labels import mask_labels
from pipeline.metrics.segments import VideoCounts, segment_accuracy, video_counts
from pipeline.params.schema import Params, TrainParams
from pipeline.store.manifest import BACKGROUND, SPLITS, Clip, load_manifest
from pipeline.training.dataset import (
    ClipBatch,
    Clips,
    Dataset,
    FeatureFolder,
    Labelled,
    Splits,
    covered_clips,
    require_coverage,
)
from pipeline.training.localization.decisions import Decisions, decide
from pipeline.training.localization.labels import ClipLabels, SegmentLabels, ShareLabels

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CategoryClips(Clips):
    """Clips of which the category is known.

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

    event_shares: Tensor | None = None

    def labels(self, batch: ClipBatch, positions: Sequence[int]) -> ClipLabels:
        """Return the categories of a batch, and the event shares where they were given."""
        if self.event_shares is None:
            return ClipLabels(batch.categories, self.num_categories)
        shares = self.event_shares[list(positions)].to(batch.categories.device)
        return ShareLabels(batch.categories, self.num_categories, shares)

    def decide(self, answer: Localization, *, with_maps: bool) -> Decisions:
        """Return the labels that an answer means."""
        return decide(answer, self.num_categories, with_maps=with_maps)

    def identity(self) -> list[Any]:
        """Return ids, categories and, where they were given, event shares."""
        shares = [] if self.event_shares is None else [self.event_shares.tolist()]
        return [*super().identity(), *shares]

    def joined(self, other: "CategoryClips") -> "CategoryClips":
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
class LabelledClips(Labelled):
    """The covered clips of a split with a label per segment.

    Parameters
    ----------
    clips : CategoryClips
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

    clips: CategoryClips
    events: Tensor
    truth: Tensor
    has_media: Tensor
    num_expected: int
    event_shares: Tensor | None = None

    def labels(self, batch: ClipBatch, positions: Sequence[int]) -> SegmentLabels:
        """Return the categories of a batch and the events per segment."""
        events = self.events[list(positions)].to(batch.categories.device)
        return SegmentLabels(batch.categories, self.clips.num_categories, events)

    def predicted(self, outputs: Decisions) -> np.ndarray:
        """Return the label of each segment, (N, T) int64; where a modality has no media, background."""
        return mask_labels(outputs.labels, self.has_media.numpy(), num_categories=self.clips.num_categories)

    def score(self, outputs: Decisions, rule: str) -> float:
        """Return the percentage of segments that are labelled right; a network's answer has its rule with it."""
        return segment_accuracy(self.predicted(outputs), self.truth.numpy())

    def per_video(self, outputs: Decisions, rule: str) -> dict[str, VideoCounts]:
        """Return how many segments of each video there are, and how many are labelled right."""
        return {"segment_accuracy": video_counts(self.predicted(outputs), self.truth.numpy(), self.clips.video_ids)}

    def identity(self) -> list[Any]:
        """Return the clips, and the labels of their segments."""
        return [*self.clips.identity(), self.events.tolist(), self.truth.tolist(), self.has_media.tolist()]

    def without_segment_labels(self, *, with_event_shares: bool = False) -> CategoryClips:
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
class LocalizationDataset(Dataset):
    """The three splits, the category names in class order, and the features they read.

    `background` are clips of no split, known to be background throughout: weak training may add them, nothing scores
    them. `untimed` are clips of the training split whose category is known and whose times are not: weak training may
    add them, `train` has none of them. Most data sets have neither.
    """

    task = "localization"
    score_name = "segment_accuracy"
    score_words = "of segments"

    train: LabelledClips
    val: LabelledClips
    test: LabelledClips
    background: CategoryClips
    untimed: CategoryClips
    categories: tuple[str, ...]
    visual: FeatureFolder
    audio: FeatureFolder

    @property
    def network_inputs(self) -> dict[str, Any]:
        """The channels and positions of the visual maps, and the number of audio features."""
        *map_shape, channels = self.visual.feature_shape
        return {
            "visual_channels": channels,
            "num_positions": math.prod(map_shape),
            "audio_features": self.audio.feature_shape[-1],
        }

    def require_trainable(self, supervision: Supervision) -> None:
        """Check that there are clips to train on, to select on and to test on.

        Raises
        ------
        TrainingError
            As :meth:`Dataset.require_clips`; clips without times are enough to train on under weak supervision.
        """
        has_untimed = supervision == "weak" and len(self.untimed) > 0
        self.require_clips(*(split for split in SPLITS if not (split == "train" and has_untimed)))

    def splits(self, params: TrainParams) -> Splits:
        """Return the splits as the supervision lets a run see them, with background clips where they are asked for.

        Raises
        ------
        TrainingError
            If a split is empty, or background clips are asked for that the data set does not have.
        """
        self.require_trainable(params.supervision)
        if params.supervision == "full":
            if len(self.untimed):
                logger.info("full training leaves out %d clips without times", len(self.untimed))
            return Splits(self.train, self.val, self.test)
        needs_shares = METHODS[params.method].needs_event_shares
        training = self.train.without_segment_labels(with_event_shares=needs_shares)
        if needs_shares:
            self.require_clips("train")
            if len(self.untimed):
                logger.info("%s leaves out %d clips without times: it needs shares", params.method, len(self.untimed))
        elif len(self.untimed):
            training = training.joined(self.untimed)
        wanted = params.weak.background_clips
        if wanted is True and len(self.background) == 0:
            raise TrainingError(
                explain(
                    "train.weak.background_clips: true",
                    expected="clips of the split `background` with features",
                    found="none",
                    remedy="add them to the data set, or write auto or false",
                )
            )
        if wanted is True or (wanted == "auto" and params.conduct.background_clips):
            logger.info("weak training with %d background clips (train.weak.background_clips)", len(self.background))
            training = training.joined(self.background)
        return Splits(training, self.val, self.test)


def load_localization(params: Params, prepared: Path, features: Path) -> LocalizationDataset:
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
        require_coverage(f"split {split}", len(splits[split]), len(listed), params.dataset.min_coverage)
        logger.info("%s: %d of %d clips have features", split, len(splits[split]), len(listed))
    listed = [clip for clip in manifest.clips if clip.split == BACKGROUND]
    background = _clips(covered_clips(listed, visual, audio), class_index, visual, audio)
    if listed:
        logger.info("%s: %d of %d clips have features", BACKGROUND, len(background), len(listed))
    listed = [clip for clip in manifest.clips if clip.split == "train" and not clip.is_timed]
    untimed = _clips(covered_clips(listed, visual, audio), class_index, visual, audio)
    if listed:
        require_coverage("clips of train without times", len(untimed), len(listed), params.dataset.min_coverage)
        logger.info(
            "train: %d of %d clips without times have features; full training leaves them out",
            len(untimed),
            len(listed),
        )
    return LocalizationDataset(
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
    covered = covered_clips(listed, visual, audio)
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


def _clips(
    covered: Sequence[Clip], class_index: Mapping[str, int], visual: FeatureFolder, audio: FeatureFolder
) -> CategoryClips:
    categories = [BACKGROUND_CLIP if clip.split == BACKGROUND else class_index[clip.category] for clip in covered]
    return CategoryClips(
        clip_ids=tuple(clip.clip_id for clip in covered),
        video_ids=tuple(clip.video_id for clip in covered),
        categories=torch.tensor(categories, dtype=torch.int64),
        num_categories=len(class_index),
        visual=visual,
        audio=audio,
    )

"""The data set of parsing: clips with their tags, and labels per segment and modality of those that are scored.

Training sees the tags alone: the clips to train on have no label per segment, whatever the manifest says of them.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.parsing.answers import Parsing
from pipeline.core.errors import ShardError, explain
from pipeline.features.recipes import LLP_LAYOUT, VisualLayout, feature_recipe, visual_layout
from pipeline.methods.contract import gate_of_rule
from pipeline.methods.settings import Gate
from pipeline.metrics.parsing import clip_f_scores, clip_scores, count_matches, name_scores
from pipeline.metrics.segments import VideoCounts, per_video
from pipeline.params.schema import Params, TrainParams
from pipeline.store.manifest import SPLITS
from pipeline.store.parsing_manifest import ParsedClip, load_parsing_manifest
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
from pipeline.training.parsing.decisions import ParsingOutputs, decide
from pipeline.training.parsing.labels import TagLabels

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaggedClips(Clips):
    """Clips of which the tags are known: `categories` is (N, C), bool."""

    def labels(self, batch: ClipBatch, positions: Sequence[int]) -> TagLabels:
        """Return the tags of a batch."""
        return TagLabels(batch.categories)

    def decide(self, answer: Parsing, *, with_maps: bool) -> ParsingOutputs:
        """Return the probabilities of an answer; they are all that is kept of it."""
        return decide(answer)


@dataclass(frozen=True)
class ParsedClips(Labelled):
    """The covered clips of a split with labels per segment.

    Parameters
    ----------
    clips : TaggedClips
    truth : torch.Tensor
        Shape (N, 2, C, T), bool: what is heard (0) and seen (1), as annotated.
    has_media : torch.Tensor
        Shape (N, 2, T), bool: where there is sound (0), and where there are pictures (1).
    num_expected : int
        Clips that the manifest lists for the split, covered or not.
    """

    clips: TaggedClips
    truth: Tensor
    has_media: Tensor
    num_expected: int

    def labels(self, batch: ClipBatch, positions: Sequence[int]) -> TagLabels:
        """Return the tags of a batch."""
        return self.clips.labels(batch, positions)

    def predicted(self, outputs: ParsingOutputs, gate: Gate) -> np.ndarray:
        """Return what is heard (0) and seen (1) in each segment, (N, 2, C, T) bool; nothing where there is no media."""
        return outputs.decoded(gate, self.has_media.numpy())

    def score(self, outputs: ParsingOutputs, rule: str) -> float:
        """Return Type@AV per segment, in percent, decoded by the gate of a method's rule."""
        counts = count_matches(self.predicted(outputs, gate_of_rule(rule)), self.truth.numpy(), level="segment")
        return 100 * float(name_scores("segment", clip_f_scores(counts))["segment_type_at_av"].mean())

    def per_video(self, outputs: ParsingOutputs, rule: str) -> dict[str, VideoCounts]:
        """Return the ten scores of each video, summed over its clips, decoded by the gate of a method's rule."""
        return self.sum_scores(self.predicted(outputs, gate_of_rule(rule)))

    def sum_scores(self, predicted: np.ndarray) -> dict[str, VideoCounts]:
        """Return the ten scores of each video, summed over its clips, of a prediction (N, 2, C, T) bool."""
        scores = clip_scores(predicted, self.truth.numpy())
        names = sorted(scores, key=lambda name: name != ParsingDataset.score_name)
        return {name: per_video(scores[name], self.clips.video_ids) for name in names}

    def identity(self) -> list[Any]:
        """Return the clips, and where which labels of their segments are."""
        return [*self.clips.identity(), self.truth.nonzero().tolist(), self.has_media.tolist()]


@dataclass(frozen=True)
class ParsingDataset(Dataset):
    """The three splits, the category names in class order, and the features they read."""

    task = "parsing"
    score_name = "segment_type_at_av"
    score_words = "Type@AV per segment"

    train: TaggedClips
    val: ParsedClips
    test: ParsedClips
    categories: tuple[str, ...]
    visual: FeatureFolder
    audio: FeatureFolder
    layout: VisualLayout

    @property
    def network_inputs(self) -> dict[str, Any]:
        """The shape of a segment's appearance features, and the numbers of its motion and audio features."""
        return {
            "visual_shape": list(self.layout.appearance_shape),
            "motion_features": self.layout.motion_features,
            "audio_features": self.audio.feature_shape[-1],
        }

    def splits(self, params: TrainParams) -> Splits:
        """Return the splits: tags to train on, labels per segment to score.

        Raises
        ------
        TrainingError
            If a split is empty.
        """
        self.require_trainable(params.supervision)
        return Splits(self.train, self.val, self.test)


def load_parsing(params: Params, prepared: Path, features: Path) -> ParsingDataset:
    """Join the manifest with both feature folders.

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
    AnnotationError
        If the manifest is of another task, does not fit `dataset.num_segments`, or a clip of val or test has no times.
    ShardError
        If features are missing, damaged, of another recipe or shape, or cover too few clips of a split.
    """
    manifest = load_parsing_manifest(prepared)
    visual = FeatureFolder(features / "visual", feature_recipe(params, "visual"))
    audio = FeatureFolder(features / "audio", feature_recipe(params, "audio"))
    layout = _layout(params, visual)
    covered = {}
    for split in SPLITS:
        listed = [clip for clip in manifest.clips if clip.split == split]
        covered[split] = covered_clips(listed, visual, audio)
        require_coverage(f"split {split}", len(covered[split]), len(listed), params.dataset.min_coverage)
        logger.info("%s: %d of %d clips have features", split, len(covered[split]), len(listed))

    def tagged(split: str) -> TaggedClips:
        return _tagged(covered[split], manifest.categories, visual, audio)

    def parsed(split: str) -> ParsedClips:
        clips, shape = covered[split], (2, len(manifest.categories), params.dataset.num_segments)
        truth = np.array([clip.event_masks(manifest.categories, params.dataset.num_segments) for clip in clips], bool)
        has_media = np.array([[audio.valid(clip.video_id), visual.valid(clip.video_id)] for clip in clips], bool)
        return ParsedClips(
            tagged(split),
            torch.from_numpy(truth.reshape(-1, *shape)),
            torch.from_numpy(has_media.reshape(-1, 2, shape[2])),
            sum(clip.split == split for clip in manifest.clips),
        )

    return ParsingDataset(
        train=tagged("train"),
        val=parsed("val"),
        test=parsed("test"),
        categories=manifest.categories,
        visual=visual,
        audio=audio,
        layout=layout,
    )


def _tagged(
    covered: Sequence[ParsedClip], categories: Sequence[str], visual: FeatureFolder, audio: FeatureFolder
) -> TaggedClips:
    tags = torch.zeros((len(covered), len(categories)), dtype=torch.bool)
    index = {name: number for number, name in enumerate(categories)}
    for row, clip in enumerate(covered):
        tags[row, [index[name] for name in clip.tags]] = True
    return TaggedClips(
        clip_ids=tuple(clip.clip_id for clip in covered),
        video_ids=tuple(clip.video_id for clip in covered),
        categories=tags,
        num_categories=len(categories),
        visual=visual,
        audio=audio,
    )


def _layout(params: Params, visual: FeatureFolder) -> VisualLayout:
    """Return what the stored visual features consist of: what the recipe says, of released ones what LLP's are."""
    if params.features.source == "extracted":
        layout = visual_layout(params.visual)
    elif visual.feature_shape == LLP_LAYOUT.feature_shape:
        layout = LLP_LAYOUT
    else:
        layout = VisualLayout(visual.feature_shape, 0)
    if layout.feature_shape != visual.feature_shape:
        raise ShardError(
            explain(
                "visual features",
                expected=f"shape {layout.feature_shape} per segment",
                found=visual.feature_shape,
                remedy="extract or import the features again",
            )
        )
    return layout

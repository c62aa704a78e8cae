"""The streams of a network that parses: what it makes of the features of each modality, segment by segment.

Axes: B clip, T segment, H W map, K sample of a segment (frame, or position of a map), C channel, D feature (512),
M motion feature.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import ClassVar

import torch
from torch import nn

from models.localization.released import inside
from models.shapes import require_shape

NUM_FEATURES = 512
"""D, of either modality."""


class VisualStreams(nn.Module):
    """Project the visual features of a segment, and fuse those of appearance with those of motion where it has both.

    The appearance is averaged over the samples and projected. With motion, a linear layer maps both projections, one
    behind the other, to D features. There is no activation: the released code projects each sample and averages then,
    which is the same up to rounding, and K times the work. The releases on LLP have eight vectors of ResNet-152 per
    segment and one of R(2+1)D-18.

    Parameters
    ----------
    visual_shape : sequence of int
        Appearance features of a segment: (C,), samples (K, C), or a map (H, W, C).
    motion_features : int, optional
        M; 0 where there is no motion, and no layer for it.

    Raises
    ------
    ValueError
        If the shape has no axis, more than three, or one of no size, or the number of motion features is negative.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        "fc_v": "appearance",
        "fc_st": "motion",
        "fc_fusion": "fusion",
    }

    def __init__(self, *, visual_shape: Sequence[int], motion_features: int = 0) -> None:
        super().__init__()
        self.visual_shape = tuple(visual_shape)
        self.motion_features = motion_features
        if not 1 <= len(self.visual_shape) <= 3 or min(self.visual_shape) < 1:
            raise ValueError(f"visual_shape: expected (C,), (K, C) or (H, W, C), found {self.visual_shape}")
        if motion_features < 0:
            raise ValueError(f"motion_features: expected at least 0, found {motion_features}")
        self.appearance = nn.Linear(self.visual_shape[-1], NUM_FEATURES)
        if motion_features:
            self.motion = nn.Linear(motion_features, NUM_FEATURES)
            self.fusion = nn.Linear(2 * NUM_FEATURES, NUM_FEATURES)

    def forward(self, visual: torch.Tensor) -> torch.Tensor:
        """Project features as the pipeline stores them.

        Parameters
        ----------
        visual : torch.Tensor, shape (B, T, *visual_shape)
            With motion (B, T, prod(visual_shape) + M): the flattened appearance, and behind it the motion.

        Returns
        -------
        torch.Tensor, shape (B, T, D)

        Raises
        ------
        ValueError
            If the shape is another; maps with channels first are refused.
        """
        if not self.motion_features:
            hint = "channels come last" if len(self.visual_shape) == 3 else ""
            require_shape("visual", visual, ("B", "T", *self.visual_shape), hint=hint)
            return self._project(visual)
        sizes = [prod(self.visual_shape), self.motion_features]
        require_shape("visual", visual, ("B", "T", sum(sizes)), hint=f"{sizes[0]} of appearance, {sizes[1]} of motion")
        appearance, motion = visual.split(sizes, dim=-1)
        both = torch.cat([self._project(appearance), self.motion(motion)], dim=-1)
        fused: torch.Tensor = self.fusion(both)
        return fused

    def _project(self, appearance: torch.Tensor) -> torch.Tensor:
        """Return the projected mean, (B, T, D), of the samples that the last axes of the appearance hold."""
        samples = appearance.reshape(*appearance.shape[:2], -1, self.visual_shape[-1])
        projected: torch.Tensor = self.appearance(samples.mean(dim=2))
        return projected


class InputStreams(nn.Module):
    """Project both modalities to D features per segment: :class:`VisualStreams`, and one linear layer for the audio.

    Parameters
    ----------
    visual_shape, motion_features :
        As :class:`VisualStreams`, whose errors these are.
    audio_features : int
        Size of the audio vector of a segment.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        **inside("", "visual", VisualStreams.released_names),
        "fc_a": "audio",
    }

    def __init__(self, *, visual_shape: Sequence[int], motion_features: int = 0, audio_features: int) -> None:
        super().__init__()
        self.audio_features = audio_features
        self.visual = VisualStreams(visual_shape=visual_shape, motion_features=motion_features)
        self.audio = nn.Linear(audio_features, NUM_FEATURES)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Project visual features, as :class:`VisualStreams` takes them, and audio (B, T, audio_features).

        Returns
        -------
        visual, audio : torch.Tensor, shape (B, T, D)

        Raises
        ------
        ValueError
            If the shapes do not fit the network or each other.
        """
        seen = self.visual(visual)
        require_shape("audio", audio, (*seen.shape[:2], self.audio_features))
        return seen, self.audio(audio)

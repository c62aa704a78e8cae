"""The settings of methods: those that every method has, and those that the terms of an objective need."""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, field_validator

from pipeline.core.sections import Count, Fraction, NonNegative, Positive, Section
from pipeline.methods.recipe import Recipe

Supervision = Literal["full", "weak"]

Task = Literal["localization", "parsing"]
"""Localization: the one event of a clip that is seen and heard. Parsing: all that are seen, heard, or both."""

Gate: TypeAlias = Literal["global", "own"]
"""Of parsing: which prediction about a clip a category must have to count in its segments."""

GateChoice: TypeAlias = Literal["authors", "global", "own"]
"""The same as it is asked for. The authors' choice is that of the method's release."""


class Schedule(Section):
    """The schedule of the optimiser; `milestones` are epochs, or steps, after which the learning rate falls."""

    batch_size: Count
    num_epochs: Count
    learning_rate: Positive
    milestones: list[Count]
    learning_rate_factor: Annotated[float, Field(gt=0, le=1)]
    max_gradient_norm: Positive | None

    @field_validator("milestones")
    @classmethod
    def _milestones_increase(cls, milestones: list[int]) -> list[int]:
        if milestones != sorted(set(milestones)):
            raise ValueError("increasing numbers, each once")
        return milestones


class ScheduleParams(Schedule):
    """The settings that every method has in either supervision: its authors' schedule."""

    @property
    def milestones_are_steps(self) -> bool:
        """Whether `milestones` count steps of the optimiser instead of epochs."""
        return False

    def network_settings(self, recipe: Recipe) -> dict[str, Any]:
        """Return the settings that shape the network, as JSON-like values, which a checkpoint holds."""
        return {}

    def begin_epoch(self, network: Any, epoch: int) -> None:
        """Tell the network that an epoch of training begins, the first being 1; few networks ask."""


class PoolingParams(ScheduleParams):
    """The settings of a method with a choice of how segments are pooled for the category."""

    pooling: Literal["mean", "max"]

    def network_settings(self, recipe: Recipe) -> dict[str, Any]:
        """Return the settings that shape the network."""
        return {**super().network_settings(recipe), "pooling": self.pooling}


class PropagationParams(PoolingParams):
    """The settings of a method with positive sample propagation; a pair of segments is kept above the share `tau`."""

    tau: Fraction

    def network_settings(self, recipe: Recipe) -> dict[str, Any]:
        """Return the settings that shape the network."""
        return {**super().network_settings(recipe), "tau": self.tau}


class AvpspParams(Section):
    """L_avpsp, the pair-similarity loss between the modalities of one segment."""

    weight: NonNegative


class EventShareParams(AvpspParams):
    """L_avpsp as PSP's own release has it: targets of the batch alone, or with what earlier batches left behind."""

    targets: Literal["intended", "released"]


class SpsaParams(Section):
    """L_spsa, the segment-level contrastive loss."""

    weight: NonNegative
    form: Literal["paper", "released"]
    temperature: Annotated[float, Field(ge=0.02)]  # below, exp(1 / temperature) leaves the range of float32


class VpsaParams(Section):
    """L_vpsa, the video-level contrastive loss: margin and negatives of the triplets, ratio and eta of InfoNCE."""

    weight: NonNegative
    form: Literal["triplet", "infonce"]
    margin: NonNegative
    num_negatives: Count
    ratio: Annotated[float, Field(gt=0, le=1)]
    eta: Annotated[float, Field(ge=0.001)]  # below, the loss leaves the range of float32


class ParsingVpsaParams(Section):
    """L_vpsa between clips of several categories each, InfoNCE; `form`: what a row without negatives leaves out."""

    weight: NonNegative
    form: Literal["intended", "released"]  # that row alone, or the term of the whole batch
    ratio: Annotated[float, Field(gt=0, le=1)]
    eta: Annotated[float, Field(ge=0.02)]  # below, exp(1 / eta) leaves the range of float32


class SynchronyParams(Section):
    """The contrast of each segment's sound with the pictures of all segments of its clip."""

    weight: NonNegative
    temperature: Annotated[float, Field(ge=0.02)]
    smoothing: Annotated[float, Field(ge=0, lt=1)]


class TaggedParams(ScheduleParams):
    """The settings of a method that learns from the tags of clips, which each modality sees more or less smoothed."""

    audio_smoothing: Annotated[float, Field(ge=0, lt=1)]
    visual_smoothing: Annotated[float, Field(ge=0, lt=1)]


class NceParams(Section):
    """The label-free contrast between the modalities of SSPSP."""

    weight: NonNegative
    temperature: Positive


CPSP_RELEASE_FULL: dict[str, Any] = {
    "batch_size": 64,
    "num_epochs": 45,
    "learning_rate": 0.001,
    "milestones": [10, 20, 30],
    "learning_rate_factor": 0.5,
    "max_gradient_norm": 0.1,
}
CPSP_RELEASE_WEAK: dict[str, Any] = {**CPSP_RELEASE_FULL, "milestones": [5, 20, 40]}
CPSP_RELEASE_PARSING: dict[str, Any] = {
    "batch_size": 16,
    "num_epochs": 12,
    "learning_rate": 0.0003,
    "milestones": [10],
    "learning_rate_factor": 0.1,
    "max_gradient_norm": None,
}
CPSP_RELEASE: dict[Task, dict[Supervision, dict[str, Any]]] = {
    "localization": {"full": CPSP_RELEASE_FULL, "weak": CPSP_RELEASE_WEAK},
    "parsing": {"weak": CPSP_RELEASE_PARSING},
}
"""The schedules that the CPSP release trains the methods of its tables with."""

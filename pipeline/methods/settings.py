"""The settings of methods: those that every method has, and those that the terms of an objective need."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from pipeline.core.sections import Count, Fraction, NonNegative, Positive, Section

Supervision = Literal["full", "weak"]


class ScheduleParams(Section):
    """The schedule, which every method has in either supervision."""

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
            raise ValueError("increasing epochs, each once")
        return milestones

    def network_settings(self, supervision: Supervision) -> dict[str, Any]:
        """Return the settings that shape the network, as JSON-like values, which a checkpoint holds."""
        return {}


class PoolingParams(ScheduleParams):
    """The settings of a method with a choice of how segments are pooled for the category."""

    pooling: Literal["mean", "max"]

    def network_settings(self, supervision: Supervision) -> dict[str, Any]:
        """Return the settings that shape the network."""
        return {**super().network_settings(supervision), "pooling": self.pooling}


class PropagationParams(PoolingParams):
    """The settings of a method with positive sample propagation; a pair of segments is kept above the share `tau`."""

    tau: Fraction

    def network_settings(self, supervision: Supervision) -> dict[str, Any]:
        """Return the settings that shape the network."""
        return {**super().network_settings(supervision), "tau": self.tau}


class AvpspParams(Section):
    """L_avpsp, the pair-similarity loss between the modalities of one segment."""

    weight: NonNegative


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
"""The schedules that the CPSP release trains the methods of its table with."""

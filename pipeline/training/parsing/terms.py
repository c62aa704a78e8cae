"""The terms of the objectives of parsing: the losses of :mod:`models.parsing.losses` with their inputs.

Answers and settings that one method alone has are not named by their type: the code of every method's network would
name the results of all.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from models.parsing.answers import Parsing
from models.parsing.losses import parsing_vpsa_loss, synchrony_loss, tag_loss
from pipeline.methods.settings import ParsingVpsaParams, SynchronyParams, TaggedParams
from pipeline.training.objective import Term
from pipeline.training.parsing.labels import TagLabels


def audio_tags(settings: TaggedParams) -> Term:
    """Return the loss of the tags, predicted from the sound alone."""

    def compute(output: Parsing, labels: TagLabels) -> Tensor:
        return tag_loss(output.audio_probabilities, labels.tags, smoothing=settings.audio_smoothing)

    return Term("audio", 1.0, compute)


def visual_tags(settings: TaggedParams) -> Term:
    """Return the loss of the tags, predicted from the pictures alone, which do not show what is only heard."""

    def compute(output: Parsing, labels: TagLabels) -> Tensor:
        return tag_loss(output.visual_probabilities, labels.tags, smoothing=settings.visual_smoothing)

    return Term("visual", 1.0, compute)


def _global_tags(output: Parsing, labels: TagLabels) -> Tensor:
    return tag_loss(output.global_probabilities, labels.tags)


def synchrony(settings: SynchronyParams) -> Term:
    """Return the contrast of each segment's sound with the pictures of its clip."""

    def compute(output: Any, labels: TagLabels) -> Tensor:
        audio = output.features[:, :, 0]
        return synchrony_loss(
            audio, output.visual_inputs, temperature=settings.temperature, smoothing=settings.smoothing
        )

    return Term("synchrony", settings.weight, compute)


def vpsa(settings: ParsingVpsaParams) -> Term:
    """Return L_vpsa, between the clips of a batch (CPSP)."""

    def compute(output: Any, labels: TagLabels) -> Tensor:
        return parsing_vpsa_loss(
            output.features, labels.tags, ratio=settings.ratio, eta=settings.eta, form=settings.form
        )

    return Term("vpsa", settings.weight, compute)


TERMS: Mapping[str, Callable[[Any], Term]] = {
    "audio_tags": audio_tags,
    "visual_tags": visual_tags,
    "global_tags": lambda settings: Term("global", 1.0, _global_tags),
    "synchrony": lambda settings: synchrony(settings.synchrony),
    "vpsa": lambda settings: vpsa(settings.vpsa),
}
"""From the settings of a method, the term of each name: the clip's tags through each of the three predictions about a
clip, and the contrasts."""

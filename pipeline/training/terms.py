"""The terms of the methods' objectives: the losses of :mod:`models.localization.losses` with their inputs."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from models.localization.answers import GatedLocalization, Localization
from models.localization.losses import (
    IGNORED,
    avpsp_loss,
    category_loss,
    label_free_nce,
    one_hot,
    relevance_loss,
    spsa_loss,
    vpsa_infonce_loss,
    vpsa_loss,
    weak_category_loss,
)
from models.localization.psp import PSPLocalization
from pipeline.methods.registry import METHODS
from pipeline.methods.settings import AvpspParams, NceParams, ScheduleParams, SpsaParams, Supervision, VpsaParams
from pipeline.training.objective import ClipLabels, SegmentLabels, Term


def _relevance(output: GatedLocalization, labels: SegmentLabels) -> Tensor:
    return relevance_loss(output.event_logits, labels.events)


def _category(output: GatedLocalization, labels: SegmentLabels) -> Tensor:
    return category_loss(output.category_logits, _categories(labels))


def _weak_category(output: Localization, labels: ClipLabels) -> Tensor:
    return weak_category_loss(output.clip_probabilities, labels.categories)


def avpsp(settings: AvpspParams) -> Term:
    """Return L_avpsp, between the modalities of a segment (PSP)."""

    def compute(output: PSPLocalization, labels: SegmentLabels) -> Tensor:
        return avpsp_loss(output.similarity, labels.events)

    return Term("avpsp", settings.weight, compute)


def spsa(settings: SpsaParams) -> Term:
    """Return L_spsa, between the segments of a clip (CPSP)."""

    def compute(output: Localization, labels: SegmentLabels) -> Tensor:
        return spsa_loss(output.fusion, labels.events, temperature=settings.temperature, form=settings.form)

    return Term("spsa", settings.weight, compute)


def vpsa(settings: VpsaParams) -> Term:
    """Return L_vpsa, between the clips of a batch (CPSP), in either form."""

    def compute(output: GatedLocalization, labels: ClipLabels) -> Tensor:
        categories = _categories(labels)
        if settings.form == "triplet":
            return vpsa_loss(output.fusion, categories, margin=settings.margin, num_negatives=settings.num_negatives)
        targets = one_hot(categories, output.category_logits.shape[1])
        return vpsa_infonce_loss(output.fusion, targets, ratio=settings.ratio, eta=settings.eta)

    return Term("vpsa", settings.weight, compute)


def nce(settings: NceParams) -> Term:
    """Return the label-free contrast between the modalities (SSPSP)."""

    def compute(output: PSPLocalization, labels: ClipLabels) -> Tensor:
        return label_free_nce(output.audio, output.visual, temperature=settings.temperature)

    return Term("nce", settings.weight, compute)


def _categories(labels: ClipLabels) -> Tensor:
    """Return the categories to learn; a clip without any event segment has none.

    The released code makes such a clip class 0.
    """
    if isinstance(labels, SegmentLabels):
        return torch.where(labels.events.any(dim=1), labels.categories, IGNORED)
    return labels.categories


TERMS: Mapping[str, Callable[[Any], Term]] = {
    "relevance": lambda settings: Term("relevance", 1.0, _relevance),
    "category": lambda settings: Term("category", 1.0, _category),
    "weak_category": lambda settings: Term("category", 1.0, _weak_category),
    "avpsp": lambda settings: avpsp(settings.avpsp),
    "spsa": lambda settings: spsa(settings.spsa),
    "vpsa": lambda settings: vpsa(settings.vpsa),
    "nce": lambda settings: nce(settings.nce),
}
"""From the settings of a method, the term of each name: is there an event in the segment, of which category is the
clip (with segment labels, and through the weak head without), and the contrasts."""


def terms_of(method: str, supervision: Supervision, settings: ScheduleParams) -> tuple[Term, ...]:
    """Return the terms of a method under these settings; a term of weight 0 is left out."""
    terms = (TERMS[name](settings) for name in METHODS[method].terms[supervision])
    return tuple(term for term in terms if term.weight > 0)

"""The terms of the methods' objectives: the losses of :mod:`models.localization` with their inputs.

Answers and settings that one method alone has are not named by their type: the code of every method's network would
name the results of all.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from models.localization.answers import GatedLocalization, Localization, SegmentLocalization
from models.localization.contrasts import foreground_contrast
from models.localization.losses import (
    IGNORED,
    avpsp_loss,
    category_loss,
    gate_loss,
    label_free_nce,
    one_hot,
    relevance_loss,
    similarity_share_loss,
    spsa_loss,
    vpsa_infonce_loss,
    vpsa_loss,
    weak_category_loss,
)
from models.localization.segment_losses import (
    accumulate_targets,
    class_share_loss,
    event_share_targets,
    segment_class_loss,
    segment_margin_loss,
)
from pipeline.methods.settings import AvpspParams, NceParams, SpsaParams, VpsaParams
from pipeline.training.localization.labels import ClipLabels, SegmentLabels, ShareLabels
from pipeline.training.objective import Term


def _relevance(output: GatedLocalization, labels: SegmentLabels) -> Tensor:
    return relevance_loss(output.event_logits, labels.events)


def _category(output: GatedLocalization, labels: SegmentLabels) -> Tensor:
    return category_loss(output.category_logits, _categories(labels))


def _weak_category(output: Localization, labels: ClipLabels) -> Tensor:
    return weak_category_loss(output.clip_probabilities, labels.classes)


def _segment_class(output: SegmentLocalization, labels: SegmentLabels) -> Tensor:
    return segment_class_loss(output.segment_logits, labels.segment_classes)


def _segment_margin(output: SegmentLocalization, labels: SegmentLabels) -> Tensor:
    return segment_margin_loss(torch.softmax(output.segment_logits, dim=-1), labels.segment_classes)


def _class_share(output: Localization, labels: ShareLabels) -> Tensor:
    of_events = labels.event_shares.to(output.clip_probabilities).unsqueeze(1)
    shares = of_events * one_hot(labels.categories, labels.num_categories)
    return class_share_loss(output.clip_probabilities, torch.cat([shares, 1 - of_events], dim=1))


def _class_scores(output: Any, labels: SegmentLabels) -> Tensor:
    return category_loss(output.class_scores, _categories(labels))


def avpsp(settings: AvpspParams) -> Term:
    """Return L_avpsp, between the modalities of a segment (PSP)."""

    def compute(output: Any, labels: SegmentLabels) -> Tensor:
        return avpsp_loss(output.similarity, labels.events)

    return Term("avpsp", settings.weight, compute)


def event_share(settings: Any) -> Term:
    """Return L_avpsp as PSP's own release has it, whose targets may keep what earlier batches left in their rows."""
    state: dict[str, Tensor] = {}

    def compute(output: Any, labels: SegmentLabels) -> Tensor:
        targets = event_share_targets(labels.events, dtype=output.similarity.dtype)
        if settings.avpsp.targets == "released":
            rows = (settings.batch_size, targets.shape[1])
            buffer = state.setdefault("targets", torch.zeros(rows, dtype=targets.dtype, device=targets.device))
            targets = accumulate_targets(buffer, targets)
        return similarity_share_loss(output.similarity, targets)

    return Term("avpsp", settings.avpsp.weight, compute, state=state)


def spsa(settings: SpsaParams) -> Term:
    """Return L_spsa, between the segments of a clip (CPSP)."""

    def compute(output: Localization, labels: SegmentLabels) -> Tensor:
        return spsa_loss(output.fusion, labels.events, temperature=settings.temperature, form=settings.form)

    return Term("spsa", settings.weight, compute)


def vpsa(settings: VpsaParams) -> Term:
    """Return L_vpsa, between the clips of a batch (CPSP), in either form."""

    def compute(output: Localization, labels: ClipLabels) -> Tensor:
        categories = _categories(labels)
        if settings.form == "triplet":
            return vpsa_loss(output.fusion, categories, margin=settings.margin, num_negatives=settings.num_negatives)
        targets = one_hot(categories, labels.num_categories)
        return vpsa_infonce_loss(output.fusion, targets, ratio=settings.ratio, eta=settings.eta)

    return Term("vpsa", settings.weight, compute)


def nce(settings: NceParams) -> Term:
    """Return the label-free contrast between the modalities (SSPSP)."""

    def compute(output: Any, labels: ClipLabels) -> Tensor:
        return label_free_nce(output.audio, output.visual, temperature=settings.temperature)

    return Term("nce", settings.weight, compute)


def gate(settings: Any) -> Term:
    """Return the loss of the gate that both modalities form together (CMBS, CACE-Net)."""

    def compute(output: Any, labels: SegmentLabels) -> Tensor:
        return gate_loss(output.gate, labels.events, form=settings.gate)

    return Term("gate", 1.0, compute)


def foreground(settings: Any) -> Term:
    """Return the contrast of foreground and background within a clip (CACE-Net)."""

    def compute(output: Any, labels: SegmentLabels) -> Tensor:
        return foreground_contrast(output.query, output.key, labels.events, temperature=settings.temperature)

    return Term("foreground", settings.weight, compute, first_epoch=settings.first_epoch)


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
    "segment_class": lambda settings: Term("category", 1.0, _segment_class),
    "segment_margin": lambda settings: Term("category", 1.0, _segment_margin),
    "class_share": lambda settings: Term("category", 1.0, _class_share),
    "class_scores": lambda settings: Term("class_scores", 1.0, _class_scores),
    "gate": gate,
    "avpsp": lambda settings: avpsp(settings.avpsp),
    "event_share": event_share,
    "spsa": lambda settings: spsa(settings.spsa),
    "vpsa": lambda settings: vpsa(settings.vpsa),
    "nce": lambda settings: nce(settings.nce),
    "foreground": lambda settings: foreground(settings.foreground),
}
"""From the settings of a method, the term of each name: is there an event in the segment, of which category is the
clip (with segment labels, and through the weak head without) or of which class the segment, and the contrasts."""

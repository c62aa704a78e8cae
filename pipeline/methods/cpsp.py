"""CPSP (Zhou et al., Contrastive Positive Sample Propagation along the Audio-Visual Event Line, TPAMI 2022).

CPSP trains the network of PSP. With the weight of L_spsa at 0 it is the paper's PSP + PSA_V, with that of L_vpsa at 0
PSP + PSA_S.
"""

from typing import Self

from pydantic import model_validator

from pipeline.core.sections import Section, contradiction
from pipeline.methods.contract import Method
from pipeline.methods.psp import PSPFullParams
from pipeline.methods.settings import (
    CPSP_RELEASE_FULL,
    CPSP_RELEASE_WEAK,
    AvpspParams,
    PropagationParams,
    SpsaParams,
    VpsaParams,
)


class CPSPWeakParams(PropagationParams):
    """CPSP with one category per clip."""

    vpsa: VpsaParams

    @model_validator(mode="after")
    def _batches_hold_negatives(self) -> Self:
        vpsa = self.vpsa
        if vpsa.weight > 0 and vpsa.form == "triplet" and vpsa.num_negatives >= self.batch_size:
            expected = f"fewer than a batch has clips, {self.batch_size}, or this loss is always 0"
            raise contradiction(("vpsa", "num_negatives"), expected=expected, found=vpsa.num_negatives)
        return self


class CPSPFullParams(PSPFullParams, CPSPWeakParams):
    """CPSP with a label per segment."""

    spsa: SpsaParams


class CPSPSettings(Section):
    """CPSP."""

    full: CPSPFullParams
    weak: CPSPWeakParams


CPSP = Method(
    label="CPSP",
    settings=CPSPSettings,
    network="models.localization.psp:PSPNet",
    terms={
        "full": ("relevance", "category", "avpsp", "spsa", "vpsa"),
        "weak": ("weak_category", "vpsa"),
    },
    published={
        "full": CPSPFullParams(
            tau=0.099,
            pooling="mean",
            avpsp=AvpspParams(weight=100.0),
            spsa=SpsaParams(weight=0.01, form="released", temperature=0.6),
            vpsa=VpsaParams(weight=1.0, form="triplet", margin=0.2, num_negatives=3, ratio=0.9, eta=0.1),
            **CPSP_RELEASE_FULL,
        ),
        "weak": CPSPWeakParams(
            tau=0.095,
            pooling="mean",
            vpsa=VpsaParams(weight=1.0, form="triplet", margin=0.6, num_negatives=4, ratio=0.9, eta=0.1),
            **CPSP_RELEASE_WEAK,
        ),
    },
)

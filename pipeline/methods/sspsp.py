"""SSPSP, the self-supervised form in the paper of CPSP: a contrast without labels replaces those with labels."""

from pipeline.core.sections import Section
from pipeline.methods.contract import Method, both
from pipeline.methods.settings import CPSP_RELEASE_FULL, CPSP_RELEASE_WEAK, NceParams, PropagationParams


class SSPSPParams(PropagationParams):
    """SSPSP, in either supervision."""

    nce: NceParams


class SSPSPSettings(Section):
    """SSPSP."""

    full: SSPSPParams
    weak: SSPSPParams


_NCE = NceParams(weight=1.0, temperature=0.1)

SSPSP = Method(
    label="SSPSP",
    settings=SSPSPSettings,
    networks=both("models.localization.psp:PSPNet"),
    terms={"full": ("relevance", "category", "nce"), "weak": ("weak_category", "nce")},
    published={
        "full": SSPSPParams(tau=0.099, pooling="mean", nce=_NCE, **CPSP_RELEASE_FULL),
        "weak": SSPSPParams(tau=0.095, pooling="mean", nce=_NCE, **CPSP_RELEASE_WEAK),
    },
)

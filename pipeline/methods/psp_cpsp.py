"""PSP as the CPSP release re-implements it: the network and the schedule of CPSP, with L_avpsp alone.

The network of PSP's own release (CVPR 2021), to which its published numbers belong, is another:
:mod:`pipeline.methods.psp`.
"""

from pipeline.core.sections import Section
from pipeline.methods.contract import Method, both
from pipeline.methods.settings import CPSP_RELEASE_FULL, CPSP_RELEASE_WEAK, AvpspParams, PropagationParams


class PSPFullParams(PropagationParams):
    """PSP with a label per segment."""

    avpsp: AvpspParams


class PSPSettings(Section):
    """PSP, re-implemented."""

    full: PSPFullParams
    weak: PropagationParams


PSP_CPSP = Method(
    label="PSP (CPSP's re-implementation)",
    settings=PSPSettings,
    networks=both("models.localization.psp:PSPNet"),
    terms={"full": ("relevance", "category", "avpsp"), "weak": ("weak_category",)},
    published={
        "full": PSPFullParams(tau=0.099, pooling="mean", avpsp=AvpspParams(weight=100.0), **CPSP_RELEASE_FULL),
        "weak": PropagationParams(tau=0.095, pooling="mean", **CPSP_RELEASE_WEAK),
    },
)

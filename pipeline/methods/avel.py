"""AVEL as the CPSP release has it: residual fusion and the heads of PSP. AVE's own networks: `ave_att`, `ave_dmrn`."""

from pipeline.core.sections import Section
from pipeline.methods.contract import Method, both
from pipeline.methods.settings import CPSP_RELEASE_FULL, CPSP_RELEASE_WEAK, PoolingParams


class AVELSettings(Section):
    """AVEL: no losses of its own, but a choice of pooling."""

    full: PoolingParams
    weak: PoolingParams


AVEL = Method(
    label="AVEL",
    settings=AVELSettings,
    networks=both("models.localization.avel:AVELNet"),
    terms={"full": ("relevance", "category"), "weak": ("weak_category",)},
    published={
        "full": PoolingParams(pooling="mean", **CPSP_RELEASE_FULL),
        "weak": PoolingParams(pooling="mean", **CPSP_RELEASE_WEAK),
    },
)

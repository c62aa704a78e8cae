"""AVEL (Tian et al., Audio-Visual Event Localization in Unconstrained Videos, ECCV 2018)."""

from pipeline.core.sections import Section
from pipeline.methods.contract import Method
from pipeline.methods.settings import CPSP_RELEASE_FULL, CPSP_RELEASE_WEAK, PoolingParams


class AVELSettings(Section):
    """AVEL: no losses of its own, but a choice of pooling."""

    full: PoolingParams
    weak: PoolingParams


AVEL = Method(
    label="AVEL",
    settings=AVELSettings,
    network="models.localization.avel:AVELNet",
    terms={"full": ("relevance", "category"), "weak": ("weak_category",)},
    published={
        "full": PoolingParams(pooling="mean", **CPSP_RELEASE_FULL),
        "weak": PoolingParams(pooling="mean", **CPSP_RELEASE_WEAK),
    },
    weak_background_clips=True,
)

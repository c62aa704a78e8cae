"""AVSDN (Lin et al., Dual-modality Seq2Seq Network for Audio-visual Event Localization, ICASSP 2019)."""

from pipeline.core.sections import Section
from pipeline.methods.contract import Method, both
from pipeline.methods.settings import CPSP_RELEASE_FULL, CPSP_RELEASE_WEAK, PoolingParams


class AVSDNSettings(Section):
    """AVSDN: no losses of its own, but a choice of pooling."""

    full: PoolingParams
    weak: PoolingParams


AVSDN = Method(
    label="AVSDN",
    settings=AVSDNSettings,
    networks=both("models.localization.avsdn:AVSDNNet"),
    terms={"full": ("relevance", "category"), "weak": ("weak_category",)},
    published={
        "full": PoolingParams(pooling="mean", **CPSP_RELEASE_FULL),
        "weak": PoolingParams(pooling="mean", **CPSP_RELEASE_WEAK),
    },
)

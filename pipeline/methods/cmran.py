"""CMRAN (Xu et al., Cross-Modal Relation-Aware Networks for Audio-Visual Event Localization, ACM MM 2020)."""

from typing import Any

from pipeline.core.sections import Section
from pipeline.methods.contract import Method
from pipeline.methods.settings import CPSP_RELEASE_FULL, CPSP_RELEASE_WEAK, ScheduleParams, Supervision


class CMRANParams(ScheduleParams):
    """CMRAN, in either supervision: no losses of its own."""

    def network_settings(self, supervision: Supervision) -> dict[str, Any]:
        """Return the settings that shape the network; the release has fewer heads under weak supervision."""
        return {"interaction_heads": 4 if supervision == "full" else 2}


class CMRANSettings(Section):
    """CMRAN."""

    full: CMRANParams
    weak: CMRANParams


CMRAN = Method(
    label="CMRAN",
    settings=CMRANSettings,
    network="models.localization.cmran:CMRANNet",
    terms={"full": ("relevance", "category"), "weak": ("weak_category",)},
    published={"full": CMRANParams(**CPSP_RELEASE_FULL), "weak": CMRANParams(**CPSP_RELEASE_WEAK)},
)

"""PSP (Zhou et al., Positive Sample Propagation along the Audio-Visual Event Line, CVPR 2021)."""

from typing import Any

from pipeline.core.sections import Section
from pipeline.methods.contract import Method
from pipeline.methods.settings import AvpspParams, PropagationParams


class PSPFullParams(PropagationParams):
    """PSP with a label per segment."""

    avpsp: AvpspParams


class PSPSettings(Section):
    """PSP."""

    full: PSPFullParams
    weak: PropagationParams


_SCHEDULE: dict[str, Any] = {
    "pooling": "mean",
    "batch_size": 128,
    "num_epochs": 300,
    "learning_rate": 0.001,
    "learning_rate_factor": 0.8,
    "max_gradient_norm": None,
}

PSP = Method(
    label="PSP",
    settings=PSPSettings,
    network="models.localization.psp:PSPNet",
    terms={"full": ("relevance", "category", "avpsp"), "weak": ("weak_category",)},
    published={
        "full": PSPFullParams(tau=0.099, milestones=[60, 120], avpsp=AvpspParams(weight=100.0), **_SCHEDULE),
        "weak": PropagationParams(tau=0.095, milestones=[80, 160], **_SCHEDULE),
    },
    weak_background_clips=True,
)

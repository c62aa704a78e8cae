"""PSP (Zhou et al., Positive Sample Propagation along the Audio-Visual Event Line, CVPR 2021)."""

from models.localization.psp import PSPNet
from pipeline.methods.contract import Method
from pipeline.methods.terms import FULL_CLASSIFICATION, WEAK_CATEGORY, avpsp
from pipeline.params.schema import PropagationParams, Supervision


def network_settings(settings: PropagationParams, supervision: Supervision) -> dict[str, object]:
    """Return what shapes the network that PSP, CPSP and SSPSP share."""
    return {"tau": settings.tau, "pooling": settings.pooling}


PSP = Method(
    network=PSPNet,
    network_settings=network_settings,
    full=lambda settings: (*FULL_CLASSIFICATION, avpsp(settings.avpsp)),
    weak=lambda settings: (WEAK_CATEGORY,),
    weak_background_clips=True,
)

"""CPSP (Zhou et al., Contrastive Positive Sample Propagation along the Audio-Visual Event Line, TPAMI 2022).

The network of PSP. With the weight of L_spsa at 0 it is the paper's PSP + PSA_V, with that of L_vpsa at 0 PSP + PSA_S.
"""

from models.localization.psp import PSPNet
from pipeline.methods.contract import Method
from pipeline.methods.psp import network_settings
from pipeline.methods.terms import FULL_CLASSIFICATION, WEAK_CATEGORY, avpsp, spsa, vpsa

CPSP = Method(
    network=PSPNet,
    network_settings=network_settings,
    full=lambda settings: (*FULL_CLASSIFICATION, avpsp(settings.avpsp), spsa(settings.spsa), vpsa(settings.vpsa)),
    weak=lambda settings: (WEAK_CATEGORY, vpsa(settings.vpsa)),
)

"""SSPSP, the self-supervised form in the paper of CPSP: a contrast that needs no label takes the place of theirs."""

from models.localization.psp import PSPNet
from pipeline.methods.contract import Method
from pipeline.methods.psp import network_settings
from pipeline.methods.terms import FULL_CLASSIFICATION, WEAK_CATEGORY, nce

SSPSP = Method(
    network=PSPNet,
    network_settings=network_settings,
    full=lambda settings: (*FULL_CLASSIFICATION, nce(settings.nce)),
    weak=lambda settings: (WEAK_CATEGORY, nce(settings.nce)),
)

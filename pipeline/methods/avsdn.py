"""AVSDN (Lin et al., Dual-modality Seq2Seq Network for Audio-visual Event Localization, ICASSP 2019)."""

from models.localization.avsdn import AVSDNNet
from pipeline.methods.contract import Method
from pipeline.methods.terms import FULL_CLASSIFICATION, WEAK_CATEGORY

AVSDN = Method(
    network=AVSDNNet,
    network_settings=lambda settings, supervision: {"pooling": settings.pooling},
    full=lambda settings: FULL_CLASSIFICATION,
    weak=lambda settings: (WEAK_CATEGORY,),
)

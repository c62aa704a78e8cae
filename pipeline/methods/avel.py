"""AVEL (Tian et al., Audio-Visual Event Localization in Unconstrained Videos, ECCV 2018)."""

from models.localization.avel import AVELNet
from pipeline.methods.contract import Method
from pipeline.methods.terms import FULL_CLASSIFICATION, WEAK_CATEGORY

AVEL = Method(
    network=AVELNet,
    network_settings=lambda settings, supervision: {"pooling": settings.pooling},
    full=lambda settings: FULL_CLASSIFICATION,
    weak=lambda settings: (WEAK_CATEGORY,),
    weak_background_clips=True,
)

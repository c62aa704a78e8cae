"""CMRAN (Xu et al., Cross-Modal Relation-Aware Networks for Audio-Visual Event Localization, ACM MM 2020)."""

from models.localization.cmran import CMRANNet
from pipeline.methods.contract import Method
from pipeline.methods.terms import FULL_CLASSIFICATION, WEAK_CATEGORY

CMRAN = Method(
    network=CMRANNet,
    network_settings=lambda settings, supervision: {"interaction_heads": 4 if supervision == "full" else 2},
    full=lambda settings: FULL_CLASSIFICATION,
    weak=lambda settings: (WEAK_CATEGORY,),
)

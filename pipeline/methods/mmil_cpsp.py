"""CPSP for parsing (Zhou et al., TPAMI 2022; its release on LLP): the parsing PSP with L_vpsa between clips."""

from pipeline.core.sections import Section
from pipeline.methods.contract import Method
from pipeline.methods.mmil_psp import LAST_EPOCH, PUBLISHED, MMILPSPParams
from pipeline.methods.settings import ParsingVpsaParams


class MMILCPSPParams(MMILPSPParams):
    """CPSP for parsing."""

    vpsa: ParsingVpsaParams


class MMILCPSPSettings(Section):
    """CPSP for parsing, which learns from the tags of clips alone."""

    weak: MMILCPSPParams


MMIL_CPSP = Method(
    label="CPSP (parsing)",
    settings=MMILCPSPSettings,
    networks={"weak": "models.parsing.psp:MMILPSPNet"},
    terms={"weak": ("audio_tags", "visual_tags", "global_tags", "synchrony", "vpsa")},
    published={
        "weak": MMILCPSPParams(
            vpsa=ParsingVpsaParams(weight=1.0, form="released", ratio=0.9, eta=0.2),
            **PUBLISHED,
        )
    },
    recipes={"weak": LAST_EPOCH},
    task="parsing",
    rule="own_gate",
)

"""PSP for parsing, as the CPSP release has it: propagation, and multimodal multiple-instance learning (MMIL) of tags.

The contrast of synchronous sounds and pictures takes the place of L_avpsp, which needs labels of segments.
"""

from typing import Any

from pipeline.core.sections import Fraction, Section
from pipeline.methods.contract import Method
from pipeline.methods.recipe import Recipe, Selection
from pipeline.methods.settings import CPSP_RELEASE_PARSING, SynchronyParams, TaggedParams


class MMILPSPParams(TaggedParams):
    """PSP for parsing; a pair of segments is kept above the share `tau`."""

    tau: Fraction
    synchrony: SynchronyParams

    def network_settings(self, recipe: Recipe) -> dict[str, Any]:
        """Return the settings that shape the network."""
        return {"tau": self.tau}


class MMILPSPSettings(Section):
    """PSP for parsing, which learns from the tags of clips alone."""

    weak: MMILPSPParams


LAST_EPOCH = Recipe(selection=Selection(keeps_last=True))
"""The conduct of the CPSP release on LLP, which tests and keeps the last epoch."""

PUBLISHED: dict[str, Any] = {
    "audio_smoothing": 0.0,
    "visual_smoothing": 0.1,
    "tau": 0.09,
    "synchrony": SynchronyParams(weight=1.0, temperature=0.2, smoothing=0.1),
    **CPSP_RELEASE_PARSING,
}

MMIL_PSP = Method(
    label="PSP (parsing)",
    settings=MMILPSPSettings,
    networks={"weak": "models.parsing.psp:MMILPSPNet"},
    terms={"weak": ("audio_tags", "visual_tags", "global_tags", "synchrony")},
    published={"weak": MMILPSPParams(**PUBLISHED)},
    recipes={"weak": LAST_EPOCH},
    task="parsing",
    rule="own_gate",
)

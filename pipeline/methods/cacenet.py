"""CACE-Net (He et al., ACM MM 2024): CMBS with co-guided attention and a contrast of foreground and background.

Its release trains with a label per segment only.
"""

from typing import Any

from pydantic import Field

from pipeline.core.sections import Count, NonNegative, Positive, Section
from pipeline.methods.cmbs import SUPPRESSION_SCHEDULE, SuppressionParams
from pipeline.methods.contract import Method
from pipeline.methods.recipe import Recipe


class ForegroundParams(Section):
    """The contrast of foreground and background, which counts from epoch `first_epoch` on, the first being 1.

    From then on the relevance of a segment also reads its query, by the share `scale` (Lambda).
    """

    weight: NonNegative
    temperature: Positive = Field(ge=0.001)  # below, the loss leaves the range of float32
    scale: NonNegative
    first_epoch: Count


class CACENetFullParams(SuppressionParams):
    """CACE-Net with a label per segment; `psi` is the strength of the visual guidance of sounds."""

    psi: NonNegative
    foreground: ForegroundParams

    def network_settings(self, recipe: Recipe) -> dict[str, Any]:
        """Return the settings that shape the network."""
        return {**super().network_settings(recipe), "psi": self.psi, "contrast_scale": self.foreground.scale}

    def begin_epoch(self, network: Any, epoch: int) -> None:
        """Let the relevance of segments read their queries as soon as these are contrasted."""
        network.set_guided(epoch >= self.foreground.first_epoch)


class CACENetSettings(Section):
    """CACE-Net."""

    full: CACENetFullParams


CACENET = Method(
    label="CACE-Net",
    settings=CACENetSettings,
    networks={"full": "models.localization.cacenet:CACENet"},
    terms={"full": ("relevance", "gate", "category", "class_scores", "foreground")},
    published={
        "full": CACENetFullParams(
            alpha=0.1,
            beta=0.4,
            gamma=0.3,
            gate="released",
            psi=0.3,
            foreground=ForegroundParams(weight=1.0, temperature=0.01, scale=0.6, first_epoch=26),
            learning_rate=0.0007,
            milestones=[10, 20, 30],
            **SUPPRESSION_SCHEDULE,
        ),
    },
)

"""CMBS (Xia and Zhao, Cross-modal Background Suppression for Audio-Visual Event Localization, CVPR 2022)."""

from typing import Any, Literal

from pipeline.core.sections import NonNegative, Section
from pipeline.methods.contract import Method
from pipeline.methods.recipe import Recipe
from pipeline.methods.settings import ScheduleParams


class SuppressionParams(ScheduleParams):
    """The strengths of background suppression (`alpha`), global attention (`beta`) and classes per segment (`gamma`).

    `gate` is how the product or mean of sigmoids is read that tells events from background: as the probability it is,
    or, as released, as if it were a logit.
    """

    alpha: NonNegative
    beta: NonNegative
    gamma: NonNegative
    gate: Literal["intended", "released"]

    def network_settings(self, recipe: Recipe) -> dict[str, Any]:
        """Return the settings that shape the network."""
        return {"alpha": self.alpha, "beta": self.beta, "gamma": self.gamma}


class CMBSWeakParams(SuppressionParams):
    """CMBS with one category per clip."""

    def network_settings(self, recipe: Recipe) -> dict[str, Any]:
        """Return the settings that shape the network."""
        return {
            **super().network_settings(recipe),
            "gate": self.gate,
            "background_class": recipe.background_class,
        }


class CMBSSettings(Section):
    """CMBS."""

    full: SuppressionParams
    weak: CMBSWeakParams


SUPPRESSION_SCHEDULE: dict[str, Any] = {
    "batch_size": 64,
    "num_epochs": 200,
    "learning_rate_factor": 0.5,
    "max_gradient_norm": 0.5,
}
"""The part of the schedule that CMBS has under both supervisions and CACE-Net shares."""

CMBS = Method(
    label="CMBS",
    settings=CMBSSettings,
    networks={"full": "models.localization.cmbs:CMBSFullNet", "weak": "models.localization.cmbs:CMBSWeakNet"},
    terms={"full": ("relevance", "gate", "category", "class_scores"), "weak": ("weak_category",)},
    published={
        "full": SuppressionParams(
            alpha=0.1,
            beta=0.4,
            gamma=0.3,
            gate="released",
            learning_rate=0.0007,
            milestones=[10, 20, 30],
            **SUPPRESSION_SCHEDULE,
        ),
        "weak": CMBSWeakParams(
            alpha=0.2,
            beta=0.5,
            gamma=0.5,
            gate="released",
            learning_rate=0.0006,
            milestones=[10, 20, 40],
            **SUPPRESSION_SCHEDULE,
        ),
    },
    recipes={"weak": Recipe(background_clips=True, background_class=True)},
)

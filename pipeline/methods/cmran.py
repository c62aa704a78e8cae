"""CMRAN (Xu et al., Cross-Modal Relation-Aware Networks for Audio-Visual Event Localization, ACM MM 2020)."""

from typing import Any

from pipeline.core.sections import Section
from pipeline.methods.contract import Method, both
from pipeline.methods.recipe import Recipe
from pipeline.methods.settings import ScheduleParams


class CMRANFullParams(ScheduleParams):
    """CMRAN with a label per segment: no losses of its own."""

    def network_settings(self, recipe: Recipe) -> dict[str, Any]:
        """Return the settings that shape the network."""
        return {"interaction_heads": 4, "background_class": recipe.background_class}


class CMRANWeakParams(ScheduleParams):
    """CMRAN with one category per clip: no losses of its own."""

    def network_settings(self, recipe: Recipe) -> dict[str, Any]:
        """Return the settings that shape the network; the release has fewer heads under weak supervision."""
        return {"interaction_heads": 2, "background_class": recipe.background_class}


class CMRANSettings(Section):
    """CMRAN."""

    full: CMRANFullParams
    weak: CMRANWeakParams


_SCHEDULE: dict[str, Any] = {
    "batch_size": 32,
    "num_epochs": 200,
    "learning_rate": 0.0005,
    "learning_rate_factor": 0.5,
}

CMRAN = Method(
    label="CMRAN",
    settings=CMRANSettings,
    networks=both("models.localization.cmran:CMRANNet"),
    terms={"full": ("relevance", "category"), "weak": ("weak_category",)},
    published={
        "full": CMRANFullParams(milestones=[10, 20, 30], max_gradient_norm=0.1, **_SCHEDULE),
        "weak": CMRANWeakParams(milestones=[5, 20, 40], max_gradient_norm=0.5, **_SCHEDULE),
    },
    recipes={"weak": Recipe(background_clips=True, background_class=True)},
)

"""A+V-att of AVE (Tian et al., Audio-Visual Event Localization in Unconstrained Videos, ECCV 2018), as its own release.

The published 72.7 is of this network. The CPSP release compares with another, see :mod:`pipeline.methods.avel`.
"""

from typing import Any

from pipeline.core.sections import Section
from pipeline.methods.contract import Method, both
from pipeline.methods.recipe import Recipe, Selection
from pipeline.methods.settings import ScheduleParams


class AVEParams(ScheduleParams):
    """A network of AVE: no losses of its own. Its `milestones` are steps of the optimiser, as the release counts."""

    @property
    def milestones_are_steps(self) -> bool:
        """Whether `milestones` count steps of the optimiser instead of epochs."""
        return True


class AVESettings(Section):
    """AVE's attention network."""

    full: AVEParams
    weak: AVEParams


AVE_SCHEDULE: dict[str, Any] = {
    "batch_size": 64,
    "learning_rate": 0.001,
    "milestones": [15000],
    "learning_rate_factor": 0.1,
    "max_gradient_norm": None,
}
"""The schedule that the networks of AVE share, but for the number of epochs."""

AVE_FULL = Recipe(order="as_listed", drops_last_batch=True, selection=Selection(every=5))
"""The conduct of full training: validated where the epoch's index, from 0, is divisible by 5."""

AVE_ATT = Method(
    label="AVE (A+V-att)",
    settings=AVESettings,
    networks=both("models.localization.ave:AVEAttentionNet"),
    terms={"full": ("segment_margin",), "weak": ("weak_category",)},
    published={
        "full": AVEParams(num_epochs=300, **AVE_SCHEDULE),
        "weak": AVEParams(num_epochs=250, **AVE_SCHEDULE),
    },
    recipes={
        "full": AVE_FULL,
        "weak": Recipe(
            background_clips=True,
            order="as_listed",
            drops_last_batch=True,
            selection=Selection(every=5, keeps_last=True),
        ),
    },
    rule="per_segment",
)

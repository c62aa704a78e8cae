"""PSP (Zhou et al., Positive Sample Propagation along the Audio-Visual Event Line, CVPR 2021), as its own release."""

from typing import Any

from pipeline.core.sections import Fraction, Section
from pipeline.methods.contract import Method
from pipeline.methods.recipe import Recipe, Selection
from pipeline.methods.settings import EventShareParams, ScheduleParams


class PSPWeakParams(ScheduleParams):
    """PSP trained with the share of each class in a clip; a pair of segments is kept above the share `tau`."""

    tau: Fraction

    def network_settings(self, recipe: Recipe) -> dict[str, Any]:
        """Return the settings that shape the network."""
        return {"tau": self.tau}


class PSPFullParams(PSPWeakParams):
    """PSP with a label per segment."""

    avpsp: EventShareParams


class PSPSettings(Section):
    """PSP."""

    full: PSPFullParams
    weak: PSPWeakParams


_SCHEDULE: dict[str, Any] = {
    "batch_size": 128,
    "num_epochs": 300,
    "learning_rate": 0.001,
    "learning_rate_factor": 0.8,
    "max_gradient_norm": None,
}
_SELECTION = Selection(every=5, first=6, takes_later=True)  # every index divisible by 5 but 0, counted from 0

PSP = Method(
    label="PSP",
    settings=PSPSettings,
    networks={
        "full": "models.localization.psp2021:PSP2021FullNet",
        "weak": "models.localization.psp2021:PSP2021WeakNet",
    },
    terms={"full": ("segment_class", "event_share"), "weak": ("class_share",)},
    published={
        "full": PSPFullParams(
            tau=0.099, milestones=[60, 120], avpsp=EventShareParams(weight=100.0, targets="released"), **_SCHEDULE
        ),
        "weak": PSPWeakParams(tau=0.095, milestones=[80, 160], **_SCHEDULE),
    },
    recipes={
        "full": Recipe(drops_last_batch=True, selection=_SELECTION),
        "weak": Recipe(background_clips=True, order="first_batch_drawn", drops_last_batch=True, selection=_SELECTION),
    },
    rule="per_segment",
)

"""HAN (Tian et al., Unified Multisensory Perception: Weakly-Supervised Audio-Visual Video Parsing, ECCV 2020)."""

from pipeline.core.sections import Section
from pipeline.methods.contract import Method
from pipeline.methods.recipe import Recipe, Selection
from pipeline.methods.settings import TaggedParams


class HANSettings(Section):
    """HAN, which learns from the tags of clips alone."""

    weak: TaggedParams


HAN = Method(
    label="HAN",
    settings=HANSettings,
    networks={"weak": "models.parsing.han:HANNet"},
    terms={"weak": ("audio_tags", "visual_tags", "global_tags")},
    published={
        "weak": TaggedParams(
            audio_smoothing=0.0,
            visual_smoothing=0.1,
            batch_size=16,
            num_epochs=40,
            learning_rate=0.0003,
            milestones=[10, 20, 30],
            learning_rate_factor=0.1,
            max_gradient_norm=None,
        )
    },
    recipes={"weak": Recipe(selection=Selection(takes_later=True))},
    task="parsing",
    rule="global_gate",
)

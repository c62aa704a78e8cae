"""The scores that the page shows in a card of their own."""

from typing import NamedTuple


class Card(NamedTuple):
    """What a score in percent is called, and what it says, in a sentence."""

    title: str
    meaning: str


CARDS = {
    "category_accuracy": Card("Category accuracy", "Clips whose category is right, wherever the event may be."),
    "event_f1": Card("Event F1", "Events found as a whole: right category, at least half of it shared."),
}
"""By the name that :func:`pipeline.metrics.localization.evaluate` gives the score."""

"""Events that are seen and heard, as text."""

from pipeline.prediction.localization.events import Event, LocalizedVideo
from pipeline.prediction.output import Cue, Wording, printable


class LocalizationWording(Wording):
    """How localization is written: an event has a category and a relevance."""

    schema = "avel-predictions/1"
    subject = "audio-visual events"
    csv_columns = ("category", "relevance")
    table_heading = f"{'relevance':>9}  category"
    table_nothing = f"{'–':>9}  no event"

    def table_cells(self, event: Event) -> str:
        """Return relevance and category."""
        return f"{event.relevance:9.2f}  {printable(event.category)}"

    def csv_cells(self, event: Event) -> tuple[str, ...]:
        """Return category and relevance."""
        return event.category, f"{event.relevance:.6f}"

    def cues(self, prediction: LocalizedVideo) -> list[Cue]:
        """Return a cue per event."""
        return [
            Cue(event.start_seconds, event.end_seconds, event.category, (event.relevance,))
            for event in prediction.events
        ]

"""What is heard and seen, as text."""

from pipeline.drawing.timelines import find_spans
from pipeline.prediction.output import Cue, Wording, printable
from pipeline.prediction.parsing.events import SENSED, Event, ParsedVideo, Segment
from pipeline.store.parsing_manifest import MODALITIES


class ParsingWording(Wording):
    """How parsing is written: an event has a modality, a category and a probability."""

    schema = "avel-parsing/1"
    subject = "what is heard and seen"
    csv_columns = ("modality", "category", "probability")
    table_heading = f"{'probability':>11}  {'modality':8}  category"
    table_nothing = f"{'–':>11}  {'–':8}  nothing heard or seen"

    def table_cells(self, event: Event) -> str:
        """Return probability, modality and category."""
        return f"{event.probability:11.2f}  {event.modality:8}  {printable(event.category)}"

    def csv_cells(self, event: Event) -> tuple[str, ...]:
        """Return modality, category and probability."""
        return event.modality, event.category, f"{event.probability:.6f}"

    def cues(self, prediction: ParsedVideo) -> list[Cue]:
        """Return a cue for each stretch in which a category is heard, seen, or both.

        They are in order of time, those that begin together in class order.
        """
        cues = []
        for category in dict.fromkeys(lane.category for lane in prediction.lanes):
            for span in find_spans([_how(segment, category) for segment in prediction.segments]):
                probabilities = tuple(
                    prediction.probability(span.start, span.stop, modality, category)
                    for modality in MODALITIES
                    if category in prediction.segments[span.start].sensed(modality)
                )
                times = prediction.times(span.start, span.stop)
                cues.append(Cue(*times, f"{category}, {span.name}", probabilities))
        return sorted(cues, key=lambda cue: cue.start_seconds)


def _how(segment: Segment, category: str) -> str | None:
    """Return how a category is there: ``heard``, ``seen``, ``heard and seen``; None where it is not."""
    return " and ".join(SENSED[modality] for modality in MODALITIES if category in segment.sensed(modality)) or None

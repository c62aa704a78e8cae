"""The scores that the tables show, by task: as columns, in words, and by the names that ``reported.yaml`` uses."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.methods.settings import Task


@dataclass(frozen=True)
class Metric:
    """A score of a run, in percent.

    Parameters
    ----------
    group, heading : str
        Of its column, and of those that it stands with; a task with a single score has no groups.
    text : str
        In the list of what others reported.
    """

    group: str
    heading: str
    text: str

    @property
    def in_words(self) -> str:
        """Its name in a sentence, such as ``Type@AV per segment``."""
        return f"{self.heading} {self.group.lower()}"


def _f_scores(level: str) -> dict[str, Metric]:
    """Return the five F-scores of parsing per ``segment`` or per ``event``."""
    headings = {
        "audio": ("A", "audio"),
        "visual": ("V", "visual"),
        "audio_visual": ("AV", "audio-visual"),
        "type_at_av": ("Type@AV", "type"),
        "event_at_av": ("Event@AV", "event"),
    }
    return {
        f"{level}_{name}": Metric(f"Per {level}", heading, f"F-score per {level}, {text}")
        for name, (heading, text) in headings.items()
    }


METRICS: Mapping[Task, Mapping[str, Metric]] = {
    "localization": {"segment_accuracy": Metric("", "Accuracy, %", "segment accuracy")},
    "parsing": {**_f_scores("segment"), **_f_scores("event")},
}
"""By the names that evaluation gives them, in the order of the columns."""

LEADING: Mapping[Task, str] = {"localization": "segment_accuracy", "parsing": "segment_type_at_av"}
"""The score that epochs are selected by, and rows compared by."""

_BOTH_EPOCHS = (
    "The best epoch on test is an upper bound that nobody can choose in advance; published numbers stand beside the "
    "choice that their authors made."
)
EXPLANATIONS: Mapping[Task, str] = {
    "localization": "Accuracy: segments of the test split whose label is right, background included; mean ± standard "
    f"deviation over seeds. {_BOTH_EPOCHS} Comparisons are of the best epochs on validation, paired over videos.",
    "parsing": "F-scores in percent, means over the clips of the test split: of what is heard (A), seen (V), and both "
    "(AV); Type@AV is the mean of these three, Event@AV counts what is heard and what is seen together; mean ± "
    f"standard deviation over seeds. {_BOTH_EPOCHS} Comparisons are of the epochs that recipes keep, paired over "
    "videos.",
}
"""What the numbers are."""

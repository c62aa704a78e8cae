"""What prediction leaves to the task of a model: what its answers mean, and how that is written, drawn and shown.

Everything else is the same for both tasks: decoding, features, windows (:mod:`pipeline.prediction.judging`), what a
failure costs and where outputs go (:mod:`pipeline.prediction.command`). :mod:`pipeline.prediction.localization` and
:mod:`pipeline.prediction.parsing` have a :class:`Reading` each.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from pipeline.drawing.palette import Colour
from pipeline.features.recipes import VisualLayout
from pipeline.methods.contract import Method
from pipeline.methods.settings import GateChoice
from pipeline.prediction.output import Wording
from pipeline.prediction.videos import Judged, Places, VideoPrediction
from pipeline.training.outputs import Outputs


class Reading(ABC):
    """How a network's answers about windows are read: one per task, with what it takes to say and to show them."""

    needs_both: ClassVar[bool]
    """Whether there is something to say only where both modalities have media, or where either has."""
    wording: ClassVar[Wording]

    @classmethod
    @abstractmethod
    def of(cls, method: Method, gate: GateChoice) -> Self:
        """Return the reading for a method's networks.

        Raises
        ------
        ParamsError
            If a gate is chosen and the task has none.
        """

    @staticmethod
    @abstractmethod
    def unmet(inputs: Mapping[str, Any], layout: VisualLayout) -> str:
        """Return what a network needs other visual features for; empty if it can use them.

        Parameters
        ----------
        inputs : mapping
            Sizes that the network was told, of a checkpoint.
        layout : VisualLayout
            What a segment's visual features consist of, as they are computed.
        """

    @property
    def facts(self) -> dict[str, Any]:
        """What is written beside predictions about this reading: JSON values."""
        return {}

    @abstractmethod
    def decide(self, answer: Any, num_categories: int) -> Outputs:
        """Return what a network's answer about a batch of windows means.

        Raises
        ------
        TrainingError
            If an answer is infinite or NaN.
        """

    @abstractmethod
    def predict(
        self,
        path: Path,
        duration_seconds: float,
        judged: Judged,
        places: Places,
        categories: Sequence[str],
        warnings: Sequence[str],
    ) -> VideoPrediction:
        """Return what is said about a video, from what was decided about its windows.

        Parameters
        ----------
        path, duration_seconds
            As of :class:`VideoPrediction`.
        judged : Judged
            Its outputs are those of :meth:`decide`.
        places : Places
        categories : sequence of str
            In class order.
        warnings : sequence of str
            What is to be said of either task's predictions.
        """

    @abstractmethod
    def save_picture(
        self,
        prediction: Any,
        path: Path,
        *,
        segments_per_row: int,
        colours: Mapping[str, Colour],
        notes: Sequence[str],
    ) -> None:
        """Draw a prediction into a PNG file; see :func:`pipeline.prediction.picture.save_page`."""

    @abstractmethod
    def render(self, prediction: Any, path: Path, *, colours: Mapping[str, Colour], remark: str) -> None:
        """Write the video with its prediction drawn in; see :func:`pipeline.prediction.render.render_video`."""

"""What a network of parsing says about the windows of a video: which categories are heard, and which are seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from models.parsing.answers import Parsing
from pipeline.drawing.palette import Colour
from pipeline.features.recipes import VisualLayout
from pipeline.methods.contract import Method, gate_of_rule
from pipeline.methods.settings import Gate, GateChoice
from pipeline.prediction.contract import Reading
from pipeline.prediction.parsing.events import SENSED, ParsedVideo, Segment
from pipeline.prediction.parsing.wording import ParsingWording
from pipeline.prediction.videos import MISSING, Judged, Places
from pipeline.store.parsing_manifest import MODALITIES
from pipeline.training.parsing.decisions import ParsingOutputs, decide


@dataclass(frozen=True)
class ParsingReading(Reading):
    """Reads each modality where it has media, whether the other has or not.

    Parameters
    ----------
    gate : {"global", "own"}
        Which probability about a window a category must have to count in its segments.
    """

    gate: Gate

    needs_both = False
    wording = ParsingWording()

    @classmethod
    def of(cls, method: Method, gate: GateChoice) -> Self:
        """Return the reading by a gate, or by that of the method's authors."""
        return cls(gate_of_rule(method.rule_with(gate)))

    @staticmethod
    def unmet(inputs: Mapping[str, Any], layout: VisualLayout) -> str:
        """Return which vectors or maps a network projects that the features are not."""
        shape, num_motion = tuple(inputs["visual_shape"]), inputs["motion_features"]
        if (layout.appearance_shape, layout.motion_features) == (shape, num_motion):
            return ""
        motion = f" and {num_motion} features of motion" if num_motion else ""
        return f"features of shape {shape}{motion}"

    @property
    def facts(self) -> dict[str, Any]:
        """The gate."""
        return {"gate": self.gate}

    def decide(self, answer: Parsing, num_categories: int) -> ParsingOutputs:
        """Return the probabilities."""
        return decide(answer)

    def predict(
        self,
        path: Path,
        duration_seconds: float,
        judged: Judged,
        places: Places,
        categories: Sequence[str],
        warnings: Sequence[str],
    ) -> ParsedVideo:
        """Return the segments; where a modality is missing nothing of it is there."""
        outputs: ParsingOutputs = judged.outputs
        valid = np.stack([judged.audio_valid, judged.visual_valid], axis=1)
        sensed = places.take(outputs.decoded(self.gate, valid).transpose(0, 3, 1, 2))
        probabilities = places.take(outputs.segment_probabilities)
        segments = []
        for number, ((start, end), missing) in enumerate(zip(places.times(), judged.missing(places), strict=True)):
            heard, seen = (
                tuple(name for name, is_there in zip(categories, of, strict=True) if is_there) for of in sensed[number]
            )
            of_audio, of_visual = (
                None if modality in missing else tuple(of.tolist())
                for modality, of in zip(MODALITIES, probabilities[number], strict=True)
            )
            segments.append(Segment(start, end, heard, seen, of_audio, of_visual, missing))
        warnings = [*_warnings(segments), *warnings]
        return ParsedVideo(path, duration_seconds, tuple(segments), tuple(warnings), tuple(categories))

    def save_picture(
        self,
        prediction: ParsedVideo,
        path: Path,
        *,
        segments_per_row: int,
        colours: Mapping[str, Colour],
        notes: Sequence[str],
    ) -> None:
        """Draw pictures and sound, below either the lanes of what is seen, or heard, in it."""
        from pipeline.prediction.parsing.picture import save_picture  # matplotlib takes a second to import

        save_picture(prediction, path, segments_per_row=segments_per_row, colours=colours, notes=notes)

    def render(self, prediction: ParsedVideo, path: Path, *, colours: Mapping[str, Colour], remark: str) -> None:
        """Write the video with a bar of the most probable lanes."""
        from pipeline.prediction.parsing.screen import ParsingScreen
        from pipeline.prediction.render import render_video

        render_video(prediction, path, lambda shape: ParsingScreen(prediction, shape, colours, remark))


def _warnings(segments: Sequence[Segment]) -> list[str]:
    warnings = []
    for modality in MODALITIES:
        num_missing = sum(modality in segment.missing for segment in segments)
        if num_missing == len(segments):
            other = next(name for name in MODALITIES if name != modality)
            warnings.append(
                f"there is no {MISSING[modality]}: what is {SENSED[other]} is judged without it, as no clip of the "
                "training was"
            )
        elif num_missing:
            warnings.append(
                f"{num_missing} of {len(segments)} segments lack {MISSING[modality]}: nothing is {SENSED[modality]} "
                "there"
            )
    return warnings

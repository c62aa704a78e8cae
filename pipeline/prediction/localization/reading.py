"""What a network of localization says about the windows of a video: one category each, and where there is an event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from models.localization.answers import Localization
from pipeline.core.errors import ParamsError, explain
from pipeline.drawing.palette import Colour
from pipeline.features.recipes import VisualLayout
from pipeline.methods.contract import Method
from pipeline.methods.settings import GateChoice
from pipeline.metrics.labels import mask_labels
from pipeline.prediction.contract import Reading
from pipeline.prediction.localization.events import LocalizedVideo, Segment
from pipeline.prediction.localization.wording import LocalizationWording
from pipeline.prediction.videos import Judged, Places
from pipeline.store.manifest import BACKGROUND
from pipeline.training.localization.decisions import Decisions, decide


@dataclass(frozen=True)
class AttentiveDecisions(Decisions):
    """Decisions, and the `attention` (N, T, P) that led there, as exact as the network gives it: it is drawn."""

    attention: np.ndarray


class LocalizationReading(Reading):
    """Reads an event where both modalities have media: a segment that lacks one is background."""

    needs_both = True
    wording = LocalizationWording()

    @classmethod
    def of(cls, method: Method, gate: GateChoice) -> Self:
        """Return the reading, which is the same for all methods; there is no gate to choose."""
        if gate != "authors":
            raise ParamsError(
                explain(
                    "--gate",
                    expected=f"none to be chosen, as {method.label} localizes events and does not parse videos",
                    found=gate,
                    remedy="leave it out",
                )
            )
        return cls()

    @staticmethod
    def unmet(inputs: Mapping[str, Any], layout: VisualLayout) -> str:
        """Return which maps a network attends to that the features are not."""
        num_positions, channels = inputs["num_positions"], inputs["visual_channels"]
        *sides, found = layout.feature_shape
        if len(sides) == 2 and (sides[0] * sides[1], found) == (num_positions, channels):
            return ""
        return f"maps of {num_positions} positions and {channels} channels"

    def decide(self, answer: Localization, num_categories: int) -> AttentiveDecisions:
        """Return labels, relevance and categories, by the rule of the kind of answer, and attention."""
        decisions = decide(answer, num_categories)
        return AttentiveDecisions(**vars(decisions), attention=answer.attention.float().cpu().numpy())

    def predict(
        self,
        path: Path,
        duration_seconds: float,
        judged: Judged,
        places: Places,
        categories: Sequence[str],
        warnings: Sequence[str],
    ) -> LocalizedVideo:
        """Return the segments, those without a modality as background, and the attention."""
        segments = _segments(judged, places, categories)
        num_masked = sum(bool(segment.missing) for segment in segments)
        if num_masked:
            masked = f"{num_masked} of {len(segments)} segments lack picture or sound and are background"
            warnings = [masked, *warnings]
        attention = places.take(judged.outputs.attention)
        return LocalizedVideo(path, duration_seconds, segments, tuple(warnings), attention)

    def save_picture(
        self,
        prediction: LocalizedVideo,
        path: Path,
        *,
        segments_per_row: int,
        colours: Mapping[str, Colour],
        notes: Sequence[str],
    ) -> None:
        """Draw pictures with attention, events, sound and relevance."""
        from pipeline.prediction.localization.picture import save_picture  # matplotlib takes a second to import

        save_picture(prediction, path, segments_per_row=segments_per_row, colours=colours, notes=notes)

    def render(self, prediction: LocalizedVideo, path: Path, *, colours: Mapping[str, Colour], remark: str) -> None:
        """Write the video with attention, the event of each segment and a bar of all of them."""
        from pipeline.prediction.localization.screen import LocalizationScreen
        from pipeline.prediction.render import render_video

        render_video(prediction, path, lambda shape: LocalizationScreen(prediction, shape, colours, remark))


def _segments(judged: Judged, places: Places, categories: Sequence[str]) -> tuple[Segment, ...]:
    """Return the segments, each from a position in a window."""
    decisions: AttentiveDecisions = judged.outputs
    both = judged.visual_valid & judged.audio_valid
    predicted = places.take(mask_labels(decisions.labels, both, num_categories=len(categories)))
    relevance = places.take(decisions.relevance)
    probability = torch.softmax(torch.from_numpy(decisions.category_scores), dim=1).numpy()
    names = [*categories, BACKGROUND]
    segments = []
    for number, ((start, end), missing) in enumerate(zip(places.times(), judged.missing(places), strict=True)):
        window = places.window[number]
        is_judged = bool(judged.is_judged[window])
        most_probable = int(decisions.category_scores[window].argmax())
        segments.append(
            Segment(
                start_seconds=start,
                end_seconds=end,
                prediction=names[predicted[number]],
                relevance=float(relevance[number]) if is_judged else None,
                category=names[most_probable] if is_judged else None,
                category_probability=float(probability[window, most_probable]) if is_judged else None,
                missing=missing,
            )
        )
    return tuple(segments)

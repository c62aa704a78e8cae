"""One clip in detail: pictures with what was attended to, sound, truth, prediction and relevance on one time axis."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from pipeline.drawing.heat import attention_overlays, attention_strengths, encode_png, map_colours, matrix_colours
from pipeline.drawing.palette import Colour
from pipeline.drawing.timelines import Lane
from pipeline.report.localization.clip_figures import matrix, relevance_curve
from pipeline.report.localization.run import MATRICES, LocalizationPrediction, LocalizationRun
from pipeline.report.media import ClipMedia, data_url, read_clip_media
from pipeline.store.manifest import BACKGROUND

_MATRIX_WORDS = {
    "visual_similarity": ("Visual → audio, all pairs", "visual", "audio"),
    "visual_connections": ("Visual → audio, kept", "visual", "audio"),
    "audio_similarity": ("Audio → visual, all pairs", "audio", "visual"),
    "audio_connections": ("Audio → visual, kept", "audio", "visual"),
}


@dataclass(frozen=True)
class AttentionMap:
    """The attention of one segment as a picture of one pixel per position, and in words."""

    address: str
    words: str


@dataclass(frozen=True)
class Matrix:
    """A matrix of the propagation, drawn, with its largest value."""

    title: str
    figure: Markup
    largest: float


@dataclass(frozen=True)
class Timeline:
    """A clip as the template draws it in detail; maps are empty where there are none."""

    media: ClipMedia
    lanes: tuple[Lane, ...]
    kinds: tuple[str, ...]
    relevance: Markup
    attention: tuple[AttentionMap, ...]
    matrices: tuple[Matrix, ...]


def build_timeline(
    run: LocalizationRun, prediction: LocalizationPrediction, kinds: tuple[str, ...], colours: Mapping[str, Colour]
) -> Timeline:
    """Read the media of a clip and return all that is shown of it; `kinds` are those of its segments."""
    clip = prediction.clip
    media = read_clip_media(run, clip)
    overlays = attention_overlays(prediction.maps["attention"], prediction.is_event)
    pictures = tuple(
        picture if picture is None or overlay is None else replace(picture, overlay=_address(overlay))
        for picture, overlay in zip(media.pictures, overlays, strict=True)
    )
    return Timeline(
        media=replace(media, pictures=pictures),
        lanes=run.lanes(prediction),
        kinds=kinds,
        relevance=relevance_curve(prediction.relevance),
        attention=_attention(prediction.maps["attention"]),
        matrices=_matrices(prediction, colours[clip.category].fill) if MATRICES[0] in prediction.maps else (),
    )


def _attention(weights: np.ndarray) -> tuple[AttentionMap, ...]:
    strengths = attention_strengths(weights)
    if strengths is None:
        return ()
    side = strengths.shape[1]
    maps = []
    for segment, strength in enumerate(strengths):
        row, column = divmod(int(weights[segment].argmax()), side)
        words = (
            f"segment {segment + 1}: most attention, {float(weights[segment].max()):.0%}, "
            f"in row {row + 1}, column {column + 1} of {side}"
        )
        maps.append(AttentionMap(_address(map_colours(strength)), words))
    return tuple(maps)


def _matrices(prediction: LocalizationPrediction, fill: str) -> tuple[Matrix, ...]:
    events = [name != BACKGROUND for name in prediction.truth]
    drawn = []
    for name in MATRICES:
        values = prediction.maps[name]
        title, rows, columns = _MATRIX_WORDS[name]
        row, column = np.unravel_index(values.argmax(), values.shape)
        words = (
            f"{title}: {np.count_nonzero(values)} of {values.size} pairs, strongest {rows} segment {row + 1} with "
            f"{columns} segment {column + 1}, {float(values.max()):.2f}"
        )
        figure = matrix(
            _address(matrix_colours(values)),
            events=events,
            fill=fill,
            rows=rows,
            columns=columns,
            title=words,
        )
        drawn.append(Matrix(title, figure, float(values.max())))
    return tuple(drawn)


def _address(pixels: np.ndarray) -> str:
    return data_url("image/png", encode_png(pixels))

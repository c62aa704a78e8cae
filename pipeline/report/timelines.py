"""One clip in detail: pictures with what was attended to, sound, truth, prediction and relevance on one time axis."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from pipeline.core.errors import MediaError
from pipeline.drawing.heat import attention_overlays, attention_strengths, encode_png, map_colours, matrix_colours
from pipeline.drawing.palette import Colour
from pipeline.drawing.thumbnails import Sound, Thumbnail, read_sound, read_thumbnails
from pipeline.drawing.timelines import Lane
from pipeline.report.clip_figures import matrix, relevance_curve, waveform
from pipeline.report.run import MATRICES, Prediction, Run
from pipeline.store.manifest import BACKGROUND

_MATRIX_WORDS = {
    "visual_similarity": ("Visual → audio, all pairs", "visual", "audio"),
    "visual_connections": ("Visual → audio, kept", "visual", "audio"),
    "audio_similarity": ("Audio → visual, all pairs", "audio", "visual"),
    "audio_connections": ("Audio → visual, kept", "audio", "visual"),
}


@dataclass(frozen=True)
class Picture:
    """A thumbnail as a ``data:`` address, and what lies over it where an event was predicted."""

    address: str
    width: int
    height: int
    overlay: str | None


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
    """A clip as the template draws it in detail; None, or empty, where there is no media or no map.

    `offset_seconds` is how far apart frames chosen by number and by time are, at the most; None where it is not known.
    """

    pictures: tuple[Picture | None, ...]
    spectrogram: str | None
    waveform: Markup | None
    has_audio: tuple[bool, ...]
    lanes: tuple[Lane, ...]
    relevance: Markup
    attention: tuple[AttentionMap, ...]
    matrices: tuple[Matrix, ...]
    media_note: str
    offset_seconds: float | None

    @property
    def has_pictures(self) -> bool:
        """Whether any segment has one."""
        return any(self.pictures)


def build_timeline(run: Run, prediction: Prediction, colours: dict[str, Colour]) -> Timeline:
    """Read the media of a clip and return all that is shown of it."""
    dataset, clip = run.params.dataset, prediction.clip
    path = run.raw / clip.path
    notes = []
    thumbnails: Sequence[Thumbnail | None] = [None] * dataset.num_segments
    sound: Sound | None = None
    try:
        thumbnails = read_thumbnails(path, num_segments=dataset.num_segments, segment_seconds=dataset.segment_seconds)
    except MediaError as error:
        notes.append(f"no pictures: {error.reason}")
    try:
        sound = read_sound(path, num_seconds=run.num_seconds)
    except MediaError as error:
        notes.append(f"no sound: {error.reason}")
    overlays = attention_overlays(prediction.maps["attention"], prediction.is_event)
    return Timeline(
        pictures=tuple(
            None if thumbnail is None else _picture(thumbnail, overlay)
            for thumbnail, overlay in zip(thumbnails, overlays, strict=True)
        ),
        spectrogram=None if sound is None else _data_url("image/webp", sound.spectrogram),
        waveform=None if sound is None else waveform(sound.extremes),
        has_audio=run.features["audio"].valid(clip.video_id, dataset.num_segments),
        lanes=run.lanes(prediction),
        relevance=relevance_curve(prediction.relevance),
        attention=_attention(prediction.maps["attention"]),
        matrices=_matrices(prediction, colours[clip.category].fill) if MATRICES[0] in prediction.maps else (),
        media_note="; ".join(notes),
        offset_seconds=run.features["visual"].offset_seconds(clip.video_id),
    )


def _picture(thumbnail: Thumbnail, overlay: np.ndarray | None) -> Picture:
    address = None if overlay is None else _data_url("image/png", encode_png(overlay))
    return Picture(_data_url("image/webp", thumbnail.content), thumbnail.width, thumbnail.height, address)


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
        maps.append(AttentionMap(_data_url("image/png", encode_png(map_colours(strength))), words))
    return tuple(maps)


def _matrices(prediction: Prediction, fill: str) -> tuple[Matrix, ...]:
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
            _data_url("image/png", encode_png(matrix_colours(values))),
            events=events,
            fill=fill,
            rows=rows,
            columns=columns,
            title=words,
        )
        drawn.append(Matrix(title, figure, float(values.max())))
    return tuple(drawn)


def _data_url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"

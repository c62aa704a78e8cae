"""What is seen and heard of one clip, as the page holds it: pictures, waveform and spectrogram in the page itself."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from pipeline.core.errors import MediaError
from pipeline.drawing.svg import element, svg
from pipeline.drawing.thumbnails import Sound, Thumbnail, read_sound, read_thumbnails
from pipeline.report.run import AnyClip, Run

WAVEFORM_HEIGHT = 100
QUIET = 0.01
"""A clip whose loudest sample is below this is drawn as quiet as it is."""


@dataclass(frozen=True)
class Picture:
    """A thumbnail as a ``data:`` address, and what lies over it, if anything does."""

    address: str
    width: int
    height: int
    overlay: str | None = None


@dataclass(frozen=True)
class ClipMedia:
    """What is seen and heard of a clip; None, or empty, where there is no media.

    Parameters
    ----------
    pictures : tuple of Picture or None, length T
    spectrogram : str or None
        As a ``data:`` address.
    waveform : Markup or None
    has_audio : tuple of bool, length T
        Where there is something to hear.
    note : str
        What is missing, and why.
    offset_seconds : float or None
        How far apart frames chosen by number and by time are, at the most; None where it is not known.
    """

    pictures: tuple[Picture | None, ...]
    spectrogram: str | None
    waveform: Markup | None
    has_audio: tuple[bool, ...]
    note: str
    offset_seconds: float | None

    @property
    def has_pictures(self) -> bool:
        """Whether any segment has one."""
        return any(self.pictures)


def read_clip_media(run: Run, clip: AnyClip) -> ClipMedia:
    """Read the media of a clip; what cannot be read is left out and named."""
    dataset = run.params.dataset
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
    return ClipMedia(
        pictures=tuple(None if thumbnail is None else _picture(thumbnail) for thumbnail in thumbnails),
        spectrogram=None if sound is None else data_url("image/webp", sound.spectrogram),
        waveform=None if sound is None else waveform(sound.extremes),
        has_audio=run.has_media("audio", clip.video_id),
        note="; ".join(notes),
        offset_seconds=run.features["visual"].offset_seconds(clip.video_id),
    )


def _picture(thumbnail: Thumbnail) -> Picture:
    return Picture(data_url("image/webp", thumbnail.content), thumbnail.width, thumbnail.height)


def waveform(extremes: np.ndarray) -> Markup:
    """Draw the lowest and highest sample of each stretch of time, (columns, 2), as high as the loudest one."""
    loudest = max(float(np.abs(extremes).max()), QUIET)
    middle = WAVEFORM_HEIGHT / 2
    low, high = np.round(middle * (1 - extremes.T / loudest)).astype(int)
    points = [*enumerate(high.tolist()), *reversed(list(enumerate(low.tolist())))]
    outline = "M" + "L".join(f"{x} {y}" for x, y in points) + "Z"
    parts = [element("path", class_="wave", d=outline)]
    return svg(parts, len(extremes) - 1, WAVEFORM_HEIGHT, "waveform", title="waveform", preserveAspectRatio="none")


def data_url(media_type: str, content: bytes) -> str:
    """Return a file as the address that a page in itself can show."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"

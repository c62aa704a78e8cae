"""The sound of a file that has no pictures, which then says how long it is.

No torch here: this runs in worker processes.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.core.errors import MediaError
from pipeline.features.audio.patches import PatchDecoder
from pipeline.features.decoding import Prepared
from pipeline.media.container import REASONS, end_seconds, open_container, start_seconds
from pipeline.prediction.decoding import MAX_SECONDS, WindowPatchDecoder
from pipeline.prediction.windows import count_segments


@dataclass(frozen=True)
class SoundDecoder:
    """Decodes the sound of all windows of a file without pictures; a :class:`pipeline.features.decoding.Decoder`.

    Parameters
    ----------
    clip : PatchDecoder
        The recipe's decoder of clips.
    """

    clip: PatchDecoder

    def __call__(self, path: Path) -> Prepared:
        """Decode as :class:`.WindowPatchDecoder`; `seconds` is how long the file's sound is, as its container says."""
        seconds = read_sound_seconds(path)
        if seconds > MAX_SECONDS:
            length = f"{seconds / 3600:.0f} hours" if math.isfinite(seconds) else "endless"
            raise MediaError("damaged", f"{path.name}: the sound is {length} long, it says")
        prepared = WindowPatchDecoder(self.clip, count_segments(seconds, self.clip.segment_seconds))(path)
        return replace(prepared, seconds=seconds)


def read_sound_seconds(path: Path) -> float:
    """Return when the sound of a file ends, as its container says; infinity where it does not say.

    Raises
    ------
    MediaError
        With reason ``no_audio_stream``, or as :func:`pipeline.media.container.open_container`.
    """
    with open_container(path) as container:
        if not container.streams.audio:
            raise MediaError("no_audio_stream", f"{path.name}: {REASONS['no_audio_stream']}")
        return end_seconds(container, container.streams.audio[0], start_seconds(container))

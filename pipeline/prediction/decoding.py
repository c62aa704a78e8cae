"""The decoding half of a recipe for one video of any length: all of its windows, or a block of them.

A video of one window is decoded as the pipeline decodes a clip, by the very same decoder. Of a longer one each window
is what that decoder would see if the window had been cut out: frames by number are counted from the window's first
frame, frames by time and sound from its beginning.

No torch here: this runs in worker processes.
"""

from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from pipeline.core.errors import MediaError
from pipeline.features.audio.log_mel import continuous_patches, patch_range, segment_patch
from pipeline.features.audio.patches import PatchDecoder
from pipeline.features.decoding import Prepared
from pipeline.features.visual.frames import FrameDecoder
from pipeline.media.container import Timeline, read_frames, read_timeline
from pipeline.media.segments import (
    MIN_AVAILABLE_SHARE,
    NO_FRAME,
    TIME_RESOLUTION_SECONDS,
    frame_indices_by_number,
    frame_indices_by_time,
    sample_range,
)
from pipeline.media.waveform import Waveform, read_waveform
from pipeline.prediction.windows import count_segments, window_starts

MAX_SECONDS = 24 * 3600.0
"""A longer video is taken for one whose timestamps are damaged."""


@dataclass(frozen=True)
class WindowFrameDecoder:
    """Decodes the frames of some windows; a :class:`pipeline.features.decoding.Decoder`.

    Parameters
    ----------
    clip : FrameDecoder
        The recipe's decoder of clips, of one stream or of two.
    first_window, num_windows : int
        Which windows, fewer where the video ends before. A block of them at a time keeps an hour of frames out of
        memory; each block is decoded from the beginning of the file.
    """

    clip: FrameDecoder
    first_window: int
    num_windows: int

    def __call__(self, path: Path) -> Prepared:
        """Decode the chosen frames; `rows` are (windows · T, K), `seconds` is the duration of the whole video."""
        timeline = read_timeline(path)
        if timeline.duration_seconds > MAX_SECONDS:
            raise MediaError("damaged", f"{path.name}: {timeline.duration_seconds / 3600:.0f} hours long, it says")
        clip = self.clip
        num_segments = count_segments(timeline.duration_seconds, clip.segment_seconds)
        starts = window_starts(num_segments, clip.num_segments)
        if len(starts) == 1:
            return clip(path)
        starts = starts[self.first_window : self.first_window + self.num_windows]
        indices = np.concatenate([self._indices(timeline, start) for start in starts])
        wanted = np.unique(indices[indices != NO_FRAME]).tolist()
        images = np.empty((len(wanted), *clip.frame_shape), np.uint8)
        positions = count()

        def keep(image: np.ndarray) -> int:
            position = next(positions)
            images[position] = clip.convert(image)
            return position

        position_of = read_frames(path, timeline, wanted, keep)
        rows = np.array([[position_of.get(int(number), NO_FRAME) for number in segment] for segment in indices])
        reason = "ok" if (rows != NO_FRAME).all() else "gap"
        return Prepared(images[: len(position_of)], rows, reason, timeline.duration_seconds, f"{len(wanted)} frames")

    def _indices(self, timeline: Timeline, first_segment: int) -> np.ndarray:
        """Return the frames (T, K) of the window that begins with a segment."""
        clip = self.clip
        start = first_segment * clip.segment_seconds
        if clip.sampling == "time":
            return frame_indices_by_time(
                timeline.timestamps_seconds - start, clip.num_segments, clip.frames_per_segment, clip.segment_seconds
            )
        stop = start + clip.num_segments * clip.segment_seconds
        shown = timeline.timestamps_seconds + TIME_RESOLUTION_SECONDS
        first, after = np.searchsorted(shown, [start, stop])
        if after - first < clip.num_segments:
            return np.full((clip.num_segments, clip.frames_per_segment), NO_FRAME)
        numbers = frame_indices_by_number(int(after - first), clip.num_segments, clip.frames_per_segment)
        indices: np.ndarray = first + numbers
        return indices


@dataclass(frozen=True)
class WindowPatchDecoder:
    """Decodes the sound of all windows of a video; a :class:`pipeline.features.decoding.Decoder`.

    Parameters
    ----------
    clip : PatchDecoder
        The recipe's decoder of clips.
    num_segments : int
        Of the video.
    """

    clip: PatchDecoder
    num_segments: int

    def __call__(self, path: Path) -> Prepared:
        """Decode the audio and cut it into patches; `rows` are (windows · T, 1)."""
        clip = self.clip
        starts = window_starts(self.num_segments, clip.num_segments)
        if len(starts) == 1:
            return clip(path)
        waveform = read_waveform(path, num_seconds=self.num_segments * clip.segment_seconds)
        windows = [self._window(waveform, start) for start in starts]
        rows = np.full((len(starts) * clip.num_segments, 1), NO_FRAME)
        heard = np.concatenate([is_heard for _, is_heard in windows])
        rows[heard, 0] = np.arange(heard.sum())
        patches = np.concatenate([patches for patches, _ in windows]).astype(np.float32)
        seconds = float(waveform.present.sum()) / waveform.sample_rate_hz
        return Prepared(patches, rows, "ok" if heard.all() else "gap", seconds, f"{waveform.sample_rate_hz} Hz")

    def _window(self, waveform: Waveform, first_segment: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the patches (U, 96, 64) of the window that begins with a segment, and which segments have one."""
        clip, rate = self.clip, waveform.sample_rate_hz
        start, _ = sample_range(first_segment, rate, clip.segment_seconds)
        inside = slice(start, start + round(clip.num_segments * clip.segment_seconds * rate))
        samples, present = waveform.samples[:, inside], waveform.present[inside]
        spans = [
            patch_range(segment, rate)
            if clip.alignment == "continuous"
            else sample_range(segment, rate, clip.segment_seconds)
            for segment in range(clip.num_segments)
        ]
        heard = np.array([present[slice(*span)].mean() >= MIN_AVAILABLE_SHARE for span in spans])
        if not heard.any():
            return np.zeros((0, 96, 64)), heard
        if clip.alignment == "continuous":
            return continuous_patches(samples, rate, clip.num_segments)[heard], heard
        segments = np.flatnonzero(heard)
        return np.stack([segment_patch(samples[:, slice(*spans[segment])], rate) for segment in segments]), heard

"""From a file's sound to log-mel patches of 96 frames × 64 bands, one per segment.

The alignment says where the patches begin::

    seconds      |0        |1        |2      …     |8        |9        |10
    segment       [   0   ] [   1   ] [   2  …      [   8   ] [   9   ]     each segment alone, its first 0.96 s
    continuous    [   0   ][   1   ][   2    …   [   8   ][   9   ]         the whole waveform, every 0.96 s

The tenth continuous patch begins 0.36 s before its segment does, and the last 0.4 s of ten are not heard.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.core.errors import MediaError, explain
from pipeline.features.audio.log_mel import continuous_patches, patch_range, segment_patch
from pipeline.features.decoding import Prepared
from pipeline.media.segments import MIN_AVAILABLE_SHARE, NO_FRAME, sample_range
from pipeline.media.waveform import Waveform, read_waveform


@dataclass(frozen=True)
class PatchDecoder:
    """Decodes the sound and cuts it into patches; a :class:`pipeline.features.decoding.Decoder`.

    Parameters
    ----------
    num_segments : int
        T.
    segment_seconds : float
    alignment : str
        ``segment``: each segment is cut out, resampled and made a patch of its own, as in the AVE features.
        ``continuous``: patch k of the whole waveform stands for segment k, which needs segments of one second.

    Raises
    ------
    ValueError
        If `alignment` is ``continuous`` and segments are not of one second.
    """

    num_segments: int
    segment_seconds: float
    alignment: Literal["segment", "continuous"]

    def __post_init__(self) -> None:
        if self.alignment == "continuous" and self.segment_seconds != 1:
            raise ValueError(
                explain(
                    "segment_seconds",
                    expected="1, as continuous patches are 0.96 s apart",
                    found=self.segment_seconds,
                    remedy="align by segment",
                )
            )

    def __call__(self, path: Path) -> Prepared:
        """Decode the audio and cut it into patches; inputs are (U, 96, 64), float32."""
        waveform = read_waveform(path, num_seconds=self.num_segments * self.segment_seconds)
        spans = [self._span(segment, waveform.sample_rate_hz) for segment in range(self.num_segments)]
        shares = [waveform.present[start:stop].mean() for start, stop in spans]
        segments = np.flatnonzero(np.array(shares) >= MIN_AVAILABLE_SHARE)
        if not len(segments):
            raise MediaError("too_short", f"{path.name}: no segment has half of its samples")
        rows = np.full((self.num_segments, 1), NO_FRAME)
        rows[segments, 0] = np.arange(len(segments))
        patches = self._patches(waveform, [spans[segment] for segment in segments], segments)
        seconds = float(waveform.present.sum()) / waveform.sample_rate_hz
        channels = f"{len(waveform.samples)} channel{'s' * (len(waveform.samples) > 1)}"
        detail = f"{waveform.sample_rate_hz} Hz, {channels}"
        return Prepared(patches.astype(np.float32), rows, _reason(waveform, rows), seconds, detail)

    def _span(self, segment: int, sample_rate_hz: int) -> tuple[int, int]:
        """Return the samples that must be there for the segment to count."""
        if self.alignment == "continuous":
            return patch_range(segment, sample_rate_hz)
        return sample_range(segment, sample_rate_hz, self.segment_seconds)

    def _patches(self, waveform: Waveform, spans: list[tuple[int, int]], segments: np.ndarray) -> np.ndarray:
        """Return the patches (U, 96, 64) of U of the segments."""
        rate = waveform.sample_rate_hz
        if self.alignment == "continuous":
            patches: np.ndarray = continuous_patches(waveform.samples, rate, self.num_segments)[segments]
            return patches
        return np.stack([segment_patch(waveform.samples[:, start:stop], rate) for start, stop in spans])


def _reason(waveform: Waveform, rows: np.ndarray) -> str:
    """Say why segments are missing."""
    if waveform.is_truncated:
        return "truncated"
    if waveform.num_damaged:
        return "damaged"
    missing = np.flatnonzero(rows[:, 0] == NO_FRAME)
    if len(missing) == 0:
        return "ok"
    if missing[0] == 0 and not waveform.present[0]:
        return "late_start"
    return "short" if missing[-1] == len(rows) - 1 else "gap"

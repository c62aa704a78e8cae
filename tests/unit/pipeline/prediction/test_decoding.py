"""Every window of a long video is what the pipeline's decoder makes of that window as a clip of its own."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.core.errors import MediaError
from pipeline.features.audio.log_mel import continuous_patches
from pipeline.features.audio.patches import PatchDecoder
from pipeline.features.decoding import Prepared
from pipeline.features.visual.frames import FrameDecoder
from pipeline.features.visual.two_streams import TwoStreamDecoder
from pipeline.media.waveform import read_waveform
from pipeline.prediction.decoding import WindowFrameDecoder, WindowPatchDecoder

T = 4
ALL = 1000


def frame_decoder(sampling: str, frames_per_segment: int = 2) -> FrameDecoder:
    return FrameDecoder(T, 1.0, frames_per_segment, sampling, 96)  # type: ignore[arg-type]


def same(first: Prepared, second: Prepared) -> bool:
    """Whether two decoders made the same of a file, the ledger's texts included."""
    fields = ("reason", "seconds", "detail", "sampling_offset_seconds")
    arrays = np.array_equal(first.inputs, second.inputs) and np.array_equal(first.rows, second.rows)
    return arrays and all(getattr(first, field) == getattr(second, field) for field in fields)


@pytest.mark.parametrize("sampling", ["frames", "time"])
def test_frames_of_every_window_are_those_of_a_clip_cut_out_there(
    sampling: str, media: SimpleNamespace, numbers_in: Callable, tmp_path: Path
) -> None:
    video = media.write(tmp_path / "long.mp4", num_frames=225, audio_seconds=None)
    clip = media.write(tmp_path / "clip.mp4", num_frames=100, audio_seconds=None)
    decoder = frame_decoder(sampling)
    prepared = WindowFrameDecoder(decoder, 0, ALL)(video)
    of_clip = np.array(numbers_in(decoder(clip)))
    assert prepared.seconds == pytest.approx(9.0)
    assert np.array_equal(np.array(numbers_in(prepared)), np.concatenate([of_clip + first for first in (0, 100, 125)]))


def test_frames_by_number_are_spread_over_the_frames_of_each_window(
    media: SimpleNamespace, numbers_in: Callable, tmp_path: Path
) -> None:
    rate = Fraction(30000, 1001)
    video = media.write(tmp_path / "long.mp4", num_frames=240, frame_rate=rate, audio_seconds=None)
    numbers = np.array(numbers_in(WindowFrameDecoder(frame_decoder("frames"), 0, ALL)(video)))
    # 8.008 s: frames 0 to 119 begin before 4 s, 120 to 239 after; 30 a segment.
    assert numbers.tolist() == [[start, start + 15] for start in range(0, 240, 30)]


def test_a_block_of_windows_is_its_part_of_all_windows(
    media: SimpleNamespace, numbers_in: Callable, tmp_path: Path
) -> None:
    video = media.write(tmp_path / "long.mp4", num_frames=225, audio_seconds=None)
    decoder = frame_decoder("time")
    whole = numbers_in(WindowFrameDecoder(decoder, 0, ALL)(video))
    assert numbers_in(WindowFrameDecoder(decoder, 0, 2)(video)) == whole[: 2 * T]
    assert numbers_in(WindowFrameDecoder(decoder, 2, 2)(video)) == whole[2 * T :]
    assert len(WindowFrameDecoder(decoder, 2, 2)(video).inputs) == 2 * T


@pytest.mark.parametrize("sampling", ["frames", "time"])
@pytest.mark.parametrize("num_frames", [60, 100, 112])
def test_a_video_of_one_window_is_left_to_the_decoder_of_clips(
    sampling: str, num_frames: int, media: SimpleNamespace, tmp_path: Path
) -> None:
    video = media.write(tmp_path / "clip.mp4", num_frames=num_frames, audio_seconds=4.0)
    decoder = frame_decoder(sampling)
    assert same(WindowFrameDecoder(decoder, 0, ALL)(video), decoder(video))
    patches = PatchDecoder(T, 1.0, "segment")
    assert same(WindowPatchDecoder(patches, num_frames // 25)(video), patches(video))


@pytest.mark.parametrize("sampling", ["frames", "time"])
def test_two_streams_of_every_window_are_those_of_either_network(
    sampling: str, media: SimpleNamespace, numbers_in: Callable, tmp_path: Path
) -> None:
    video = media.write(tmp_path / "long.mp4", num_frames=225, audio_seconds=None)
    appearance = frame_decoder(sampling)
    both = TwoStreamDecoder(**vars(appearance), motion_image_size=48, motion_resize="stretch_antialiased")
    prepared = WindowFrameDecoder(both, 0, ALL)(video)
    of_frames, of_snippets = both.split(prepared)
    assert same(of_frames, WindowFrameDecoder(appearance, 0, ALL)(video))
    motion = replace(appearance, image_size=48, resize="stretch_antialiased")
    alone = WindowFrameDecoder(motion, 0, ALL)(video)
    assert np.array_equal(of_snippets.inputs, alone.inputs[alone.rows])
    assert of_snippets.rows.tolist() == [[row] for row in range(3 * T)]
    clip = media.write(tmp_path / "clip.mp4", num_frames=100, audio_seconds=None)
    assert same(WindowFrameDecoder(both, 0, ALL)(clip), both(clip))


def test_a_window_in_which_nothing_is_shown_is_masked(media: SimpleNamespace, tmp_path: Path) -> None:
    times = [number / 25 for number in range(100)] + [8 + number / 25 for number in range(100)]
    video = media.write(tmp_path / "gap.mp4", num_frames=200, timestamps=times, audio_seconds=None)
    rows = WindowFrameDecoder(frame_decoder("frames"), 0, ALL)(video).rows
    assert (rows.reshape(3, -1) >= 0).all(axis=1).tolist() == [True, False, True]


def test_sound_of_every_window_is_that_of_its_seconds(
    media: SimpleNamespace, seconds_in: Callable, tmp_path: Path
) -> None:
    video = media.write(tmp_path / "long.wav", num_frames=None, audio_seconds=9.0, audio_codec="pcm_s16le")
    prepared = WindowPatchDecoder(PatchDecoder(T, 1.0, "segment"), 9)(video)
    assert seconds_in(prepared) == [0, 1, 2, 3, 4, 5, 6, 7, 5, 6, 7, 8]
    whole = PatchDecoder(9, 1.0, "segment")(video)
    assert np.array_equal(prepared.inputs, whole.inputs[seconds_in(prepared)])


def test_continuous_patches_begin_with_each_window(media: SimpleNamespace, tmp_path: Path) -> None:
    video = media.write(tmp_path / "long.wav", num_frames=None, audio_seconds=9.0, audio_codec="pcm_s16le")
    inputs = WindowPatchDecoder(PatchDecoder(T, 1.0, "continuous"), 9)(video).inputs
    waveform = read_waveform(video, num_seconds=9.0)
    rate = waveform.sample_rate_hz
    for window, start in enumerate((0, 4, 5)):
        cut = waveform.samples[:, start * rate : (start + T) * rate]
        expected = continuous_patches(cut, rate, T).astype(np.float32)
        assert np.array_equal(inputs[window * T : (window + 1) * T], expected)


def test_segments_after_the_end_of_the_sound_are_masked(media: SimpleNamespace, tmp_path: Path) -> None:
    video = media.write(tmp_path / "long.wav", num_frames=None, audio_seconds=5.6, audio_codec="pcm_s16le")
    rows = WindowPatchDecoder(PatchDecoder(T, 1.0, "segment"), 12)(video).rows
    assert (rows[:, 0] >= 0).tolist() == [True] * 6 + [False] * 6
    assert rows.max() == 5


def test_a_video_of_days_is_taken_for_damaged(
    media: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    video = media.write(tmp_path / "long.mp4", num_frames=225, audio_seconds=None)
    monkeypatch.setattr("pipeline.prediction.decoding.MAX_SECONDS", 8.0)
    with pytest.raises(MediaError, match=r"long\.mp4: 0 hours long") as raised:
        WindowFrameDecoder(frame_decoder("time"), 0, ALL)(video)
    assert raised.value.reason == "damaged"


def test_decoding_processes_need_no_torch() -> None:
    code = "import sys, pipeline.prediction.decoding; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

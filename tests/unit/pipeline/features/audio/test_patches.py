"""From sound to patches: which part of a file each segment's patch hears, under either alignment."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.core.errors import MediaError
from pipeline.features.audio.log_mel import resample_to_16k, segment_patch
from pipeline.features.audio.patches import PatchDecoder
from pipeline.media.segments import segment_valid

RATE_HZ = 16000
HOP_SAMPLES = 15360  # 0.96 s
SILENT = np.float32(np.log(0.01))


def decoder(alignment: str = "segment", **settings: object) -> PatchDecoder:
    return PatchDecoder(**{"num_segments": 10, "segment_seconds": 1.0, "alignment": alignment} | settings)


@pytest.fixture
def write_sound(media: SimpleNamespace, tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of a waveform, kept to the bit, beside no picture."""

    def write(waveform: np.ndarray, *, rate: int = RATE_HZ, layout: str = "mono", **settings: object) -> Path:
        settings = {
            "waveforms": [waveform],
            "audio_rate": rate,
            "layout": layout,
            "audio_codec": "pcm_f32le",
        } | settings
        return media.write(tmp_path / "clip.mkv", num_frames=None, **settings)

    return write


@pytest.fixture
def click_frames(write_sound) -> Callable[[float, str], dict[int, list[int]]]:
    """Return, for a click in silence at some second, the patches that hear it and their frames that do."""

    def find(seconds: float, alignment: str) -> dict[int, list[int]]:
        waveform = np.zeros((1, 10 * RATE_HZ), np.float32)
        waveform[0, round(seconds * RATE_HZ)] = 1
        heard = (decoder(alignment)(write_sound(waveform)).inputs > SILENT + 1e-3).any(2)
        return {int(patch): np.flatnonzero(heard[patch]).tolist() for patch in np.flatnonzero(heard.any(1))}

    return find


class TestEitherAlignment:
    @pytest.fixture(params=["segment", "continuous"])
    def decode(self, request) -> PatchDecoder:
        return decoder(request.param)

    def test_averages_channels(self, decode, write_sound, media):
        tones = media.sound_of(10, RATE_HZ)
        stereo = np.concatenate([tones, np.zeros_like(tones)])
        mixed = decode(write_sound(stereo, layout="stereo"))
        assert mixed.detail == "16000 Hz, 2 channels"
        np.testing.assert_allclose(mixed.inputs, decode(write_sound(tones / 2)).inputs, rtol=1e-5, atol=1e-5)

    def test_says_what_was_found(self, decode, write_sound, media):
        prepared = decode(write_sound(media.sound_of(10, RATE_HZ)))
        assert (prepared.inputs.shape, prepared.inputs.dtype) == ((10, 96, 64), np.float32)
        np.testing.assert_array_equal(prepared.rows, np.arange(10)[:, None])
        assert (prepared.reason, prepared.detail, prepared.seconds) == ("ok", "16000 Hz, 1 channel", 10.0)

    def test_refuses_less_than_half_a_segment_as_too_short(self, decode, write_sound, media):
        with pytest.raises(MediaError, match="no segment has half of its samples") as caught:
            decode(write_sound(media.sound_of(0.4, RATE_HZ)))
        assert caught.value.reason == "too_short"

    def test_keeps_segments_after_a_masked_one_in_their_place(self, decode, write_sound, media):
        waveform = media.sound_of(10, RATE_HZ)
        prepared = decode(write_sound(waveform, hole=(2, 4)))
        assert prepared.rows[:, 0].tolist() == [0, 1, -1, -1, 2, 3, 4, 5, 6, 7]
        whole = decode(write_sound(waveform))
        np.testing.assert_allclose(prepared.inputs[3:], whole.inputs[5:], rtol=1e-5, atol=1e-5)
        assert prepared.reason == "gap"

    def test_counts_from_the_start_of_the_clip_where_the_sound_starts_late(self, decode, media, tmp_path):
        prepared = decode(media.write(tmp_path / "clip.mkv", audio_delay=2.2, audio_seconds=7.8))
        assert prepared.rows[:, 0].tolist() == [-1, -1, *range(8)]
        assert prepared.reason == "late_start"


class TestBySegment:
    def test_each_segment_gets_the_patch_of_its_own_second(self, write_sound, media):
        waveform = media.sound_of(10, RATE_HZ)
        inputs = decoder()(write_sound(waveform)).inputs
        for second in range(10):
            expected = segment_patch(waveform[:, second * RATE_HZ : (second + 1) * RATE_HZ], RATE_HZ)
            np.testing.assert_allclose(inputs[second], expected, atol=1e-5)

    @pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100])
    def test_a_tone_in_one_second_changes_only_its_segment(self, rate, write_sound):
        silence = np.zeros((1, 10 * rate), np.float32)
        waveform = silence.copy()
        waveform[0, 3 * rate : 4 * rate] = 0.5 * np.sin(np.arange(rate) * 2 * np.pi * 1000 / rate)
        quiet, loud = (decoder()(write_sound(samples, rate=rate)).inputs for samples in (silence, waveform))
        changed = (quiet != loud).any((1, 2))
        assert changed.tolist() == [second == 3 for second in range(10)]

    def test_a_last_second_that_is_half_there_is_filled_with_silence(self, write_sound, media):
        waveform = media.sound_of(9.6, RATE_HZ)
        prepared = decoder()(write_sound(waveform))
        assert (prepared.reason, len(prepared.inputs)) == ("ok", 10)
        padded = np.pad(waveform[:, 9 * RATE_HZ :], ((0, 0), (0, 6400)))
        np.testing.assert_allclose(prepared.inputs[9], segment_patch(padded, RATE_HZ), atol=1e-5)
        assert prepared.seconds == pytest.approx(9.6)

    def test_a_last_second_that_is_less_than_half_there_is_masked(self, write_sound, media):
        prepared = decoder()(write_sound(media.sound_of(9.4, RATE_HZ)))
        assert segment_valid(prepared.rows).tolist() == [True] * 9 + [False]
        assert (prepared.reason, len(prepared.inputs)) == ("short", 9)

    def test_segments_may_be_longer_than_a_second(self, write_sound, media):
        waveform = media.sound_of(10, RATE_HZ)
        prepared = decoder(num_segments=4, segment_seconds=2.5)(write_sound(waveform))
        for segment in range(4):
            start = segment * 40_000
            expected = segment_patch(waveform[:, start : start + 40_000], RATE_HZ)
            np.testing.assert_allclose(prepared.inputs[segment], expected, atol=1e-5)


class TestContinuous:
    def test_each_segment_gets_the_patch_that_begins_0_96_s_after_the_one_before(self, write_sound, media):
        waveform = media.sound_of(10, RATE_HZ)
        inputs = decoder("continuous")(write_sound(waveform)).inputs
        for segment in range(10):
            chunk = waveform[:, segment * HOP_SAMPLES : segment * HOP_SAMPLES + RATE_HZ]
            np.testing.assert_allclose(inputs[segment], segment_patch(chunk, RATE_HZ), atol=1e-5)

    @pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
    def test_is_resampled_before_it_is_cut(self, rate, write_sound, media):
        waveform = media.sound_of(10, rate)
        whole = resample_to_16k(waveform[0], rate)
        inputs = decoder("continuous")(write_sound(waveform, rate=rate)).inputs
        for segment in range(10):
            expected = segment_patch(whole[segment * HOP_SAMPLES :][:RATE_HZ], RATE_HZ)
            np.testing.assert_allclose(inputs[segment], expected, atol=1e-5)
        start = HOP_SAMPLES * rate // RATE_HZ
        alone = segment_patch(waveform[:, start : start + rate], rate)
        assert np.abs(inputs[1] - alone)[0].max() > 0.01, "cut first, a patch begins with an edge"

    def test_a_patch_counts_when_half_of_what_it_hears_is_there(self, write_sound, media):
        # The tenth hears 8.64 s to 9.615 s: half of that is there at 9.1275 s.
        for seconds, is_heard in ((9.13, True), (9.12, False)):
            prepared = decoder("continuous")(write_sound(media.sound_of(seconds, RATE_HZ)))
            assert segment_valid(prepared.rows).tolist() == [True] * 9 + [is_heard]
            assert prepared.reason == ("ok" if is_heard else "short")

    def test_a_patch_that_is_half_there_is_filled_with_silence(self, write_sound, media):
        prepared = decoder("continuous")(write_sound(media.sound_of(9.2, RATE_HZ)))
        assert (prepared.inputs[9, 60:] == SILENT).all()
        assert (prepared.inputs[9, :50] > SILENT + 1).any(1).all()

    @pytest.mark.parametrize("num_segments", [1, 24, 25, 40])
    def test_gives_a_patch_per_segment_whatever_their_number(self, num_segments, write_sound, media):
        decode = decoder("continuous", num_segments=num_segments)
        prepared = decode(write_sound(np.tile(media.sound_of(10, RATE_HZ), 4)))
        np.testing.assert_array_equal(prepared.rows, np.arange(num_segments)[:, None])
        assert len(prepared.inputs) == num_segments

    def test_takes_segments_of_one_second_only(self):
        with pytest.raises(ValueError, match=r"segment_seconds: expected 1, .* 0\.96 s apart, found 2\.5; align by"):
            decoder("continuous", segment_seconds=2.5)


class TestDrift:
    """By the tenth segment a continuous patch is 0.36 s early: 36 frames of 10 ms."""

    def test_moves_a_click_within_the_patch(self, click_frames):
        assert click_frames(9.2, "segment") == {9: [18, 19]}
        assert click_frames(9.2, "continuous") == {9: [54, 55]}

    def test_moves_a_click_into_the_next_patch(self, click_frames):
        assert list(click_frames(8.8, "segment")) == [8]
        assert list(click_frames(8.8, "continuous")) == [9]

    def test_leaves_the_end_of_the_clip_unheard(self, click_frames):
        assert list(click_frames(9.8, "segment")) == [9]
        assert click_frames(9.8, "continuous") == {}

    def test_leaves_the_first_patch_alone(self, click_frames):
        assert click_frames(0.5, "segment") == click_frames(0.5, "continuous") != {}

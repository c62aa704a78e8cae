import math

import librosa
import numpy as np
import pytest
from torchaudio.compliance.kaldi import get_mel_banks

from pipeline.features.audio.log_mel import (
    continuous_patches,
    hann_window,
    log_mel,
    log_mel_patches,
    mel_matrix,
    patch_range,
    resample_to_16k,
    segment_patch,
    spectrum_magnitude,
    to_mono,
)


@pytest.fixture
def noise():
    return np.random.default_rng(7).normal(scale=0.1, size=16000)


def tone(frequency_hz, sample_rate_hz, seconds=1.0):
    return 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(int(seconds * sample_rate_hz)) / sample_rate_hz)


def slow_log_mel_frame(samples):
    """Restate one frame from the definition: a sum per Fourier bin, a triangle per band."""
    window = [0.5 - 0.5 * math.cos(2 * math.pi * n / 400) for n in range(400)]
    bins = np.arange(257)
    spectrum = sum(window[n] * samples[n] * np.exp(-2j * np.pi * bins * n / 512) for n in range(400))
    low, high = (1127 * math.log(1 + hertz / 700) for hertz in (125, 7500))
    step = (high - low) / 65
    bands = []
    for band in range(64):
        total = 0.0
        for k in range(1, 257):
            mel = 1127 * math.log(1 + k * 16000 / 512 / 700)
            distance = abs(mel - (low + (band + 1) * step)) / step
            total += max(0.0, 1 - distance) * abs(spectrum[k])
        bands.append(math.log(total + 0.01))
    return bands


class TestMelMatrix:
    def test_equals_kaldis_banks_which_are_linear_in_mel(self):
        banks, _ = get_mel_banks(64, 512, 16000.0, 125.0, 7500.0, 100.0, -500.0, 1.0)
        assert np.abs(mel_matrix()[:256] - banks.numpy().T).max() < 1.5e-5

    @pytest.mark.slow
    def test_differs_from_librosas_triangles_which_are_linear_in_hertz(self):
        other = librosa.filters.mel(sr=16000, n_fft=512, n_mels=64, fmin=125, fmax=7500, htk=True, norm=None)
        assert np.abs(mel_matrix() - other.T).max() > 1e-3

    def test_neighbouring_bands_add_up_to_one_between_their_peaks(self):
        centers_mel = np.linspace(*(1127 * np.log1p(np.array([125, 7500]) / 700)), 66)[1:-1]
        bins_mel = 1127 * np.log1p(np.linspace(0, 8000, 257) / 700)
        inside = (bins_mel >= centers_mel[0]) & (bins_mel <= centers_mel[-1])
        np.testing.assert_allclose(mel_matrix()[inside].sum(axis=1), 1.0, atol=1e-12)

    def test_neither_dc_nor_frequencies_beyond_the_edges_count(self):
        frequencies_hz = np.linspace(0, 8000, 257)
        outside = (frequencies_hz <= 125) | (frequencies_hz >= 7500)
        assert mel_matrix().shape == (257, 64)
        assert (mel_matrix()[outside] == 0).all()

    def test_shared_constants_cannot_be_written_to(self):
        for constant in (mel_matrix(), hann_window()):
            with pytest.raises(ValueError, match="read-only"):
                constant[0] = 1.0


class TestHannWindow:
    def test_is_periodic(self):
        window = hann_window()
        assert window.shape == (400,)
        assert window[0] == 0
        assert window[200] == 1
        np.testing.assert_allclose(window[1:], window[:0:-1], atol=1e-15)


class TestLogMel:
    @pytest.mark.parametrize("frame", [0, 3])
    def test_equals_a_slow_restatement(self, noise, frame):
        expected = slow_log_mel_frame(noise[160 * frame : 160 * frame + 400])
        np.testing.assert_allclose(log_mel(noise)[frame], expected, atol=1e-10)

    @pytest.mark.parametrize(
        ("num_samples", "num_frames"), [(1, 0), (399, 0), (400, 1), (559, 1), (560, 2), (16000, 98)]
    )
    def test_drops_what_does_not_fill_a_frame(self, num_samples, num_frames):
        assert spectrum_magnitude(np.zeros(num_samples)).shape == (num_frames, 257)
        assert log_mel(np.zeros(num_samples)).shape == (num_frames, 64)

    def test_silence_is_the_log_of_the_offset(self):
        np.testing.assert_allclose(log_mel(np.zeros(800)), math.log(0.01), atol=1e-15)

    def test_a_tone_is_loudest_in_its_band(self):
        bands = log_mel(tone(1000, 16000)).mean(axis=0)
        centers_hz = 700 * np.expm1(np.linspace(*(np.log1p(np.array([125, 7500]) / 700)), 66)[1:-1])
        assert bands.argmax() == np.abs(centers_hz - 1000).argmin()

    def test_magnitude_is_not_squared(self, noise):
        np.testing.assert_allclose(spectrum_magnitude(3 * noise), 3 * spectrum_magnitude(noise), rtol=1e-12)

    def test_single_precision_input_is_computed_in_double(self, noise):
        single = noise.astype(np.float32)
        np.testing.assert_array_equal(log_mel(single), log_mel(single.astype(np.float64)))
        assert log_mel(single).dtype == np.float64


class TestLogMelPatches:
    @pytest.mark.parametrize(
        ("num_samples", "num_patches"), [(1, 0), (15599, 0), (15600, 1), (30959, 1), (30960, 2), (160000, 10)]
    )
    def test_drops_what_does_not_fill_a_patch(self, num_samples, num_patches):
        assert log_mel_patches(np.zeros(num_samples)).shape == (num_patches, 96, 64)

    def test_patches_are_consecutive_frames(self):
        waveform = np.random.default_rng(1).normal(size=48000)
        np.testing.assert_array_equal(log_mel_patches(waveform).reshape(-1, 64), log_mel(waveform)[: 3 * 96])


class TestToMono:
    def test_averages_the_channels(self):
        stereo = np.array([[0.5, 1.0, 0.25], [-0.5, 0.0, 0.25]], dtype=np.float32)
        np.testing.assert_array_equal(to_mono(stereo), [0.0, 0.5, 0.25])

    def test_keeps_one_channel_as_it_is(self, noise):
        np.testing.assert_array_equal(to_mono(noise), noise)
        np.testing.assert_array_equal(to_mono(noise[np.newaxis]), noise)

    def test_six_channels_weigh_the_same(self):
        np.testing.assert_allclose(to_mono(np.repeat(np.arange(6.0), 4).reshape(6, 4)), np.full(4, 2.5))

    def test_swapped_axes_are_refused(self):
        with pytest.raises(ValueError, match="transpose it"):
            to_mono(np.zeros((16000, 2)))


class TestResampleTo16k:
    def test_changes_nothing_at_16_kilohertz(self, noise):
        np.testing.assert_array_equal(resample_to_16k(noise, 16000), noise)

    @pytest.mark.parametrize("sample_rate_hz", [8000, 11025, 22050, 44100, 48000])
    def test_keeps_a_tone_and_its_place_in_time(self, sample_rate_hz):
        resampled = resample_to_16k(tone(440, sample_rate_hz), sample_rate_hz)
        assert resampled.shape == (16000,)
        assert resampled.dtype == np.float64
        np.testing.assert_allclose(resampled[1000:-1000], tone(440, 16000)[1000:-1000], atol=1e-4)

    def test_removes_what_16_kilohertz_cannot_hold(self):
        resampled = resample_to_16k(tone(12000, 48000), 48000)
        assert np.abs(resampled[1000:-1000]).max() < 1e-4

    @pytest.mark.parametrize("sample_rate_hz", [0, -16000])
    def test_a_rate_that_is_not_positive_is_refused(self, noise, sample_rate_hz):
        with pytest.raises(ValueError, match="sample_rate_hz: expected a positive rate"):
            resample_to_16k(noise, sample_rate_hz)

    def test_channels_are_refused(self):
        with pytest.raises(ValueError, match=r"expected shape \(samples,\), not empty, found shape \(2, 100\)"):
            resample_to_16k(np.zeros((2, 100)), 44100)


class TestSegmentPatch:
    def test_is_the_first_patch_of_the_second(self, noise):
        np.testing.assert_array_equal(segment_patch(noise, 16000), log_mel_patches(noise)[0])

    def test_mixes_channels_before_resampling(self):
        left, right = tone(440, 44100), tone(700, 44100)
        stereo = np.stack([left, right])
        expected = log_mel_patches(resample_to_16k((left + right) / 2, 44100))[0]
        np.testing.assert_allclose(segment_patch(stereo, 44100), expected, atol=1e-12)

    def test_a_short_second_is_padded_with_silence(self, noise):
        patch = segment_patch(noise[:8000], 16000)
        assert patch.shape == (96, 64)
        np.testing.assert_array_equal(patch[:48], log_mel(noise[:8000])[:48])
        np.testing.assert_allclose(patch[50:], math.log(0.01), atol=1e-12)

    def test_a_long_second_is_cut(self, noise):
        np.testing.assert_array_equal(segment_patch(np.concatenate([noise, noise]), 16000), segment_patch(noise, 16000))

    @pytest.mark.parametrize("sample_rate_hz", [8000, 11025, 22050, 44100, 48000, 96000])
    def test_a_single_sample_is_enough_at_any_rate(self, sample_rate_hz):
        assert segment_patch(np.zeros(1), sample_rate_hz).shape == (96, 64)


class TestContinuousPatches:
    def test_are_those_of_the_whole_waveform(self, noise):
        waveform = np.tile(noise, 4)
        np.testing.assert_array_equal(continuous_patches(waveform, 16000, 4), log_mel_patches(waveform))

    def test_each_is_what_a_second_cut_out_at_its_place_gives(self, noise):
        waveform = np.random.default_rng(8).normal(scale=0.1, size=160_000)
        for number, patch in enumerate(continuous_patches(waveform, 16000, 10)):
            start = round(0.96 * number * 16000)
            np.testing.assert_allclose(patch, segment_patch(waveform[start : start + 16000], 16000), atol=1e-12)

    def test_mix_channels_and_resample_before_they_are_cut(self):
        left, right = tone(440, 44100, 3.0), tone(700, 44100, 3.0)
        expected = log_mel_patches(resample_to_16k((left + right) / 2, 44100))[:2]
        patches = continuous_patches(np.stack([left, right]), 44100, 2)
        np.testing.assert_allclose(patches, expected, atol=1e-12)

    def test_are_silent_beyond_the_end(self, noise):
        patches = continuous_patches(noise, 16000, 3)
        np.testing.assert_array_equal(patches[0], log_mel_patches(noise)[0])
        np.testing.assert_allclose(patches[1, 4:], math.log(0.01), atol=1e-12)
        np.testing.assert_allclose(patches[2], math.log(0.01), atol=1e-12)

    def test_are_at_least_one(self, noise):
        with pytest.raises(ValueError, match="num_patches: expected at least 1, found 0"):
            continuous_patches(noise, 16000, 0)


class TestPatchRange:
    @pytest.mark.parametrize("sample_rate_hz", [8000, 11025, 16000, 44100])
    def test_begins_every_0_96_s_and_lasts_0_975_s(self, sample_rate_hz):
        start, stop = patch_range(7, sample_rate_hz)
        assert abs(start - 7 * 0.96 * sample_rate_hz) <= 0.5
        assert abs(stop - (7 * 0.96 + 0.975) * sample_rate_hz) <= 0.5

    def test_is_what_a_patch_hears_and_nothing_else(self):
        start, stop = patch_range(1, 16000)
        silence = continuous_patches(np.zeros(48000), 16000, 3)[1]
        # The window is zero at its first sample.
        for position, is_heard in ((start - 1, False), (start + 1, True), (stop - 1, True), (stop, False)):
            waveform = np.zeros(48000)
            waveform[position] = 100.0
            assert (continuous_patches(waveform, 16000, 3)[1] != silence).any() == is_heard

    @pytest.mark.parametrize(("patch", "sample_rate_hz"), [(-1, 16000), (0, 0)])
    def test_of_nothing_is_refused(self, patch, sample_rate_hz):
        with pytest.raises(ValueError, match="expected a patch from 0 and a positive rate"):
            patch_range(patch, sample_rate_hz)


@pytest.mark.parametrize("function", [spectrum_magnitude, log_mel, log_mel_patches, to_mono])
class TestRefusals:
    def test_an_empty_waveform(self, function):
        with pytest.raises(ValueError, match=r"not empty, found shape \(0,\)"):
            function(np.zeros(0))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_a_waveform_that_is_not_finite(self, function, value):
        with pytest.raises(ValueError, match="expected finite amplitudes"):
            function(np.array([0.0, value]))

    @pytest.mark.parametrize("shape", [(), (2, 3, 4)])
    def test_another_number_of_axes(self, function, shape):
        with pytest.raises(ValueError, match="waveform: expected shape"):
            function(np.zeros(shape))

    def test_integer_samples(self, function):
        with pytest.raises(ValueError, match="found int16; divide integer samples by their full scale"):
            function(np.zeros(16000, dtype=np.int16))

"""The VGGish front end against the released one."""

import numpy as np
import pytest

from pipeline.features.audio.log_mel import (
    SAMPLE_RATE_HZ,
    hann_window,
    log_mel_patches,
    mel_matrix,
    segment_patch,
    spectrum_magnitude,
    to_mono,
)

FULL_SCALE = 32768
TOLERANCE = 1e-11
"""Both sides compute in double precision."""


@pytest.fixture(scope="module")
def frontend(golden):
    return golden.arrays("vggish_frontend")


@pytest.fixture(scope="module", params=["vggish_frontend", "vggish_testwav"])
def recording(request, golden):
    arrays = golden.arrays(request.param)
    return {**arrays, "waveform": arrays["waveform_int16"] / FULL_SCALE}


def assert_equal(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


def test_mel_matrix(frontend):
    assert_equal(mel_matrix(), frontend["mel_matrix"])


def test_window(frontend):
    assert_equal(hann_window(), frontend["hann_periodic_400"])


def test_spectrum_magnitude(frontend):
    expected = frontend["stft_magnitude_first3_frames"]
    assert_equal(spectrum_magnitude(frontend["waveform_int16"] / FULL_SCALE)[: len(expected)], expected)


def test_patches_of_a_continuous_waveform(recording):
    assert_equal(log_mel_patches(recording["waveform"]), recording["log_mel_continuous"])


def test_a_patch_per_second(recording):
    seconds = recording["waveform"].reshape(-1, SAMPLE_RATE_HZ)
    patches = np.stack([segment_patch(second, SAMPLE_RATE_HZ) for second in seconds])
    assert_equal(patches, recording["log_mel_chunks"])


def test_channels_are_averaged_first(frontend):
    stereo = frontend["stereo_int16"].T / FULL_SCALE
    assert_equal(log_mel_patches(to_mono(stereo)), frontend["log_mel_stereo"])
    assert_equal(segment_patch(stereo, SAMPLE_RATE_HZ)[np.newaxis], frontend["log_mel_stereo"])


def test_number_of_patches_by_length(frontend):
    lengths = frontend["length_vs_examples"][:, 0]
    patches = [len(log_mel_patches(np.zeros(length))) for length in lengths]
    np.testing.assert_array_equal(patches, frontend["length_vs_examples"][:, 1])

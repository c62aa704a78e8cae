"""The VGGish log-mel front end: a waveform becomes patches of 96 frames by 64 mel bands.

After the code released with AudioSet (Hershey et al., "CNN architectures for large-scale audio classification",
ICASSP 2017; ``mel_features.py`` and ``vggish_params.py`` of ``tensorflow/models``), in float64.

Conventions: a waveform holds floating-point amplitudes with full scale at ±1 (divide 16-bit samples by 32768),
channels before samples as in PyAV and librosa; times are in seconds and frequencies in hertz. Frames start every
10 ms at the first sample, nothing is padded, what does not fill a frame or a patch is dropped::

    samples   0    160   320   480                 hop 160 (10 ms)
    frame 0   |-----------400-----------|          window 400 (25 ms)
    frame 1        |-----------400-----------|
    patch     96 frames: 95 * 160 + 400 = 15,600 samples, 0.975 s

A mel band here is a triangle whose slopes are linear in *mel*. Those of ``librosa.filters.mel(htk=True)`` are linear
in hertz, which moves log-mel values by about 0.01.
"""

import functools
import math

import numpy as np
import soxr
from numpy.lib.stride_tricks import sliding_window_view

from pipeline.core.errors import explain

SAMPLE_RATE_HZ = 16_000
WINDOW_SAMPLES = 400
HOP_SAMPLES = 160
FFT_SAMPLES = 512
NUM_SPECTRUM_BINS = FFT_SAMPLES // 2 + 1
NUM_MEL_BANDS = 64
MEL_MIN_HZ = 125.0
MEL_MAX_HZ = 7500.0
MEL_BREAK_HZ = 700.0
MEL_SCALE = 1127.0
LOG_OFFSET = 0.01
PATCH_FRAMES = 96
PATCH_HOP_SAMPLES = PATCH_FRAMES * HOP_SAMPLES
PATCH_SAMPLES = (PATCH_FRAMES - 1) * HOP_SAMPLES + WINDOW_SAMPLES

MAX_CHANNELS = 64
"""More channels than any recording has: a waveform with its axes swapped."""


def mel_from_hertz(frequency_hz: np.ndarray | float) -> np.ndarray:
    """Return the HTK mel value of a frequency: ``1127 ln(1 + f / 700)``."""
    return MEL_SCALE * np.log1p(np.asarray(frequency_hz, dtype=np.float64) / MEL_BREAK_HZ)


@functools.cache
def hann_window() -> np.ndarray:
    """Return the periodic Hann window, shape (400,), float64, read-only: its 401st value would be the first again."""
    phase = 2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES
    window = 0.5 - 0.5 * np.cos(phase)
    window.flags.writeable = False
    return window


@functools.cache
def mel_matrix() -> np.ndarray:
    """Return the weight of each spectrum bin in each mel band.

    The 66 band edges are equally spaced in mel from 125 to 7500 Hz; band b rises from edge b to 1 at edge b + 1 and
    falls to 0 at edge b + 2, linearly in mel. Areas are not normalised; the DC bin lies below the first edge.

    Returns
    -------
    np.ndarray, shape (257, 64), float64, read-only
        Multiply magnitudes (frames, 257) by it from the right.
    """
    bins_hz = np.linspace(0.0, SAMPLE_RATE_HZ / 2, NUM_SPECTRUM_BINS)
    bins_mel = mel_from_hertz(bins_hz)[:, np.newaxis]
    edges_mel = np.linspace(mel_from_hertz(MEL_MIN_HZ), mel_from_hertz(MEL_MAX_HZ), NUM_MEL_BANDS + 2)
    lower, center, upper = edges_mel[:-2], edges_mel[1:-1], edges_mel[2:]
    rising = (bins_mel - lower) / (center - lower)
    falling = (upper - bins_mel) / (upper - center)
    matrix: np.ndarray = np.maximum(0.0, np.minimum(rising, falling))
    matrix.flags.writeable = False
    return matrix


def spectrum_magnitude(waveform_16k: np.ndarray) -> np.ndarray:
    """Return the magnitude (not the power) of the short-time spectrum.

    Parameters
    ----------
    waveform_16k : np.ndarray, shape (samples,), float
        At 16 kHz, in ±1.

    Returns
    -------
    np.ndarray, shape (frames, 257), float64
        ``frames = 1 + (samples - 400) // 160``, or 0 below 400 samples.

    Raises
    ------
    ValueError
        If the waveform is empty, not one-dimensional, not of a floating type, or holds NaN or infinity.
    """
    waveform = _require_waveform(waveform_16k, num_dimensions=(1,))
    if waveform.size < WINDOW_SAMPLES:
        return np.zeros((0, NUM_SPECTRUM_BINS))
    frames = sliding_window_view(waveform, WINDOW_SAMPLES)[::HOP_SAMPLES]
    return np.abs(np.fft.rfft(frames * hann_window(), FFT_SAMPLES, axis=1))


def log_mel(waveform_16k: np.ndarray) -> np.ndarray:
    """Return the log-mel spectrogram: ``ln(magnitude @ mel_matrix + 0.01)``.

    Parameters
    ----------
    waveform_16k : np.ndarray, shape (samples,), float
        At 16 kHz, in ±1.

    Returns
    -------
    np.ndarray, shape (frames, 64), float64
        A frame every 10 ms, see :func:`spectrum_magnitude`; digital silence is ln(0.01).

    Raises
    ------
    ValueError
        As :func:`spectrum_magnitude`.
    """
    # A product per frame: in one product of them all, the last bit of a frame depends on how many others there are.
    bands = spectrum_magnitude(waveform_16k)[:, np.newaxis] @ mel_matrix()
    frames: np.ndarray = np.log(bands[:, 0] + LOG_OFFSET)
    return frames


def log_mel_patches(waveform_16k: np.ndarray) -> np.ndarray:
    """Return the log-mel spectrogram of the whole waveform, cut into patches of 96 frames.

    Patch k starts at 0.96 k seconds: over ten seconds the patches drift 0.4 s away from whole seconds. The AVE
    features take one patch per second instead, see :func:`segment_patch`; :func:`continuous_patches` starts from a
    recording of any rate.

    Parameters
    ----------
    waveform_16k : np.ndarray, shape (samples,), float
        At 16 kHz, in ±1.

    Returns
    -------
    np.ndarray, shape (num_patches, 96, 64), float64
        None below 15,600 samples.

    Raises
    ------
    ValueError
        As :func:`spectrum_magnitude`.
    """
    frames = log_mel(waveform_16k)
    num_patches = len(frames) // PATCH_FRAMES
    return frames[: num_patches * PATCH_FRAMES].reshape(num_patches, PATCH_FRAMES, NUM_MEL_BANDS)


def to_mono(waveform: np.ndarray) -> np.ndarray:
    """Return the mean of the channels.

    Parameters
    ----------
    waveform : np.ndarray, shape (samples,) or (channels, samples), float

    Returns
    -------
    np.ndarray, shape (samples,), float64

    Raises
    ------
    ValueError
        If the waveform is empty, has another number of axes or more than 64 channels, is not of a floating type,
        or holds NaN or infinity.
    """
    waveform = _require_waveform(waveform, num_dimensions=(1, 2))
    if waveform.ndim == 1:
        return waveform
    if waveform.shape[0] > MAX_CHANNELS:
        raise ValueError(
            explain(
                "waveform",
                expected=f"shape (channels, samples) with at most {MAX_CHANNELS} channels",
                found=f"shape {waveform.shape}",
                remedy="transpose it",
            )
        )
    mono: np.ndarray = waveform.mean(axis=0)
    return mono


def resample_to_16k(waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Return the waveform at 16 kHz, resampled by soxr at its quality "HQ".

    Parameters
    ----------
    waveform : np.ndarray, shape (samples,), float
    sample_rate_hz : int
        The rate of `waveform`, positive; at 16,000 nothing is computed.

    Returns
    -------
    np.ndarray, shape (about samples * 16000 / sample_rate_hz,), float64

    Raises
    ------
    ValueError
        If the rate is not positive, or as :func:`spectrum_magnitude`.
    """
    waveform = _require_waveform(waveform, num_dimensions=(1,))
    if sample_rate_hz <= 0:
        raise ValueError(
            explain(
                "sample_rate_hz",
                expected="a positive rate",
                found=sample_rate_hz,
                remedy="pass the rate of the waveform",
            )
        )
    if sample_rate_hz == SAMPLE_RATE_HZ:
        return waveform
    resampled: np.ndarray = soxr.resample(waveform, sample_rate_hz, SAMPLE_RATE_HZ, quality="HQ")
    return resampled


def segment_patch(chunk: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Return the one patch that stands for a second of audio, as in the AVE features.

    The second is mixed to mono, resampled on its own, cut or padded with silence to 16,000 samples; its first 96
    frames (0.975 s) are the patch, the remaining two are dropped.

    Parameters
    ----------
    chunk : np.ndarray, shape (samples,) or (channels, samples), float
        About one second.
    sample_rate_hz : int
        The rate of `chunk`, positive.

    Returns
    -------
    np.ndarray, shape (96, 64), float64

    Raises
    ------
    ValueError
        As :func:`to_mono` and :func:`resample_to_16k`.
    """
    second = _fit(resample_to_16k(to_mono(chunk), sample_rate_hz), SAMPLE_RATE_HZ)
    patch: np.ndarray = log_mel_patches(second)[0]
    return patch


def continuous_patches(waveform: np.ndarray, sample_rate_hz: int, num_patches: int) -> np.ndarray:
    """Return the first patches of a whole recording, one after the other, as AudioSet's own script makes them.

    The recording is mixed to mono, resampled as a whole, and cut or padded with silence to what the patches need;
    :func:`patch_range` says what each of them hears.

    Parameters
    ----------
    waveform : np.ndarray, shape (samples,) or (channels, samples), float
    sample_rate_hz : int
        The rate of `waveform`, positive.
    num_patches : int
        Positive.

    Returns
    -------
    np.ndarray, shape (num_patches, 96, 64), float64

    Raises
    ------
    ValueError
        If `num_patches` is not positive, or as :func:`to_mono` and :func:`resample_to_16k`.
    """
    if num_patches < 1:
        raise ValueError(
            explain("num_patches", expected="at least 1", found=num_patches, remedy="ask for a patch per segment")
        )
    num_samples = (num_patches - 1) * PATCH_HOP_SAMPLES + PATCH_SAMPLES
    return log_mel_patches(_fit(resample_to_16k(to_mono(waveform), sample_rate_hz), num_samples))


def patch_range(patch: int, sample_rate_hz: int) -> tuple[int, int]:
    """Return which samples a patch of a continuous recording hears, the end not included.

    Patches follow each other every 0.96 s and last 0.975 s, since their last window reaches into the next patch.

    Parameters
    ----------
    patch : int
        Counted from 0.
    sample_rate_hz : int
        Of the recording, positive.

    Returns
    -------
    tuple of int
        Start and stop, rounded half up.

    Raises
    ------
    ValueError
        If `patch` is negative or the rate is not positive.

    Examples
    --------
    The tenth patch begins 0.36 s before the tenth second does:

    >>> patch_range(9, 16000), patch_range(9, 44100)
    ((138240, 153840), (381024, 424022))
    """
    if patch < 0 or sample_rate_hz <= 0:
        raise ValueError(
            explain(
                "patch, sample_rate_hz",
                expected="a patch from 0 and a positive rate",
                found=f"{patch}, {sample_rate_hz}",
                remedy="pass the index of a patch and the rate of the recording",
            )
        )
    start = patch * PATCH_HOP_SAMPLES
    first, last = (math.floor(at * sample_rate_hz / SAMPLE_RATE_HZ + 0.5) for at in (start, start + PATCH_SAMPLES))
    return first, last


def _fit(waveform: np.ndarray, num_samples: int) -> np.ndarray:
    """Cut a waveform (samples,) to `num_samples`, or pad it with silence."""
    return np.pad(waveform[:num_samples], (0, max(0, num_samples - waveform.size)))


def _require_waveform(waveform: np.ndarray, *, num_dimensions: tuple[int, ...]) -> np.ndarray:
    waveform = np.asarray(waveform)
    if waveform.ndim not in num_dimensions or waveform.size == 0:
        shapes = " or ".join("(samples,)" if number == 1 else "(channels, samples)" for number in num_dimensions)
        raise ValueError(
            explain(
                "waveform",
                expected=f"shape {shapes}, not empty",
                found=f"shape {waveform.shape}",
                remedy="pass the samples of one recording",
            )
        )
    if not np.issubdtype(waveform.dtype, np.floating):
        raise ValueError(
            explain(
                "waveform",
                expected="floating-point amplitudes in ±1",
                found=waveform.dtype,
                remedy="divide integer samples by their full scale, 32768 for 16 bits",
            )
        )
    if not np.isfinite(waveform).all():
        raise ValueError(
            explain(
                "waveform",
                expected="finite amplitudes",
                found="NaN or infinity",
                remedy="decode the file again or leave it out",
            )
        )
    return waveform.astype(np.float64, copy=False)

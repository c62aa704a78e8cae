"""The sounds: one per category, and the waveform of a whole clip."""

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.synthetic.plan import NUM_SEGMENTS, SEGMENT_SECONDS, ClipPlan, Source, find_runs


def synthesize_sound(category: str, num_samples: int, sample_rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Make the sound of `category`, from its onset.

    Parameters
    ----------
    category : str
        One of :data:`CATEGORIES`.
    num_samples : int
        Length of the sound.
    sample_rate_hz : int
        Samples per second.
    rng : Generator
        Varies pitch, tempo and timbre.

    Returns
    -------
    ndarray (num_samples,), float32
        Root mean square 1.
    """
    seconds = np.arange(num_samples) / sample_rate_hz
    sound = _SOUNDS[category](seconds, sample_rate_hz, rng)
    normalised: np.ndarray = (sound / np.sqrt(np.mean(sound**2) + 1e-12)).astype(np.float32)
    return normalised


def _sound_church_bell(seconds: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    pitch, period = rng.uniform(280, 460), rng.uniform(0.75, 0.98)
    sound = np.zeros_like(seconds)
    partials = ((0.5, 0.5, 1.1), (1, 1, 0.9), (1.19, 0.8, 0.7), (1.56, 0.5, 0.6), (2, 0.9, 0.5), (2.66, 0.5, 0.35))
    for strike in np.arange(0, seconds[-1], period):
        first = int(strike * rate)
        t = seconds[first : first + int(2.5 * rate)] - strike
        for ratio, level, decay in (*partials, (3.01, 0.4, 0.3), (4.17, 0.3, 0.2)):
            sound[first : first + t.size] += level * np.sin(2 * np.pi * pitch * ratio * t) * np.exp(-t / decay)
    return sound


def _sound_dog_bark(seconds: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    pitch, period = rng.uniform(320, 520), rng.uniform(0.38, 0.6)
    sound = np.zeros_like(seconds)
    for onset in np.arange(0, seconds[-1], period):
        first = int(onset * rate)
        t = seconds[first : first + int(0.2 * rate)] - onset
        cycles = pitch * (t * 1.25 - t**2 * 2)
        voice = _harmonics(cycles, [1 / (0.6 + abs(n - 2.5)) for n in range(1, 8)])
        breath = 0.5 * rng.standard_normal(t.size)
        sound[first : first + t.size] += (voice + breath) * np.sin(np.pi * np.clip(t / 0.2, 0, 1)) ** 1.5
    return sound


def _sound_frying_food(seconds: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    hiss = _coloured_noise(rng, seconds.size, rate, 0.0, rng.uniform(1800, 2600), 9000)
    pops = np.zeros_like(seconds)
    pops[rng.integers(0, seconds.size, int(45 * seconds.size / rate))] = 1
    decay = np.exp(-np.arange(int(0.006 * rate)) / (0.0015 * rate)) * rng.standard_normal(int(0.006 * rate))
    sound: np.ndarray = hiss + 4 * np.convolve(pops, decay)[: seconds.size]
    return sound


def _sound_siren(seconds: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    low, high, sweeps_per_second = rng.uniform(480, 620), rng.uniform(1050, 1500), rng.uniform(0.45, 1.4)
    height = 0.5 - 0.5 * np.cos(2 * np.pi * sweeps_per_second * seconds)
    cycles = np.cumsum(low * (high / low) ** height) / rate
    return _harmonics(cycles, [1, 0.35, 0.3])


def _sound_ticking_clock(seconds: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    pitch, period = rng.uniform(1500, 2300), rng.uniform(0.18, 0.26)
    sound = np.zeros_like(seconds)
    for number, onset in enumerate(np.arange(0, seconds[-1], period)):
        first = int(onset * rate)
        t = seconds[first : first + int(0.09 * rate)] - onset
        tone = pitch * (1.0 if number % 2 else 1.3)
        tick = np.sin(2 * np.pi * tone * t) + 0.7 * np.sin(2 * np.pi * 2.3 * tone * t)
        sound[first : first + t.size] += (tick + 0.3 * rng.standard_normal(t.size)) * np.exp(-t / 0.016)
    return sound


def _sound_truck(seconds: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    rumble = _coloured_noise(rng, seconds.size, rate, 1.0, 40, 420)
    firing = rng.uniform(26, 40) * (1 + 0.06 * np.sin(2 * np.pi * rng.uniform(0.15, 0.4) * seconds))
    cycles = np.cumsum(firing) / rate
    engine = _harmonics(cycles, [n**-0.5 for n in range(1, 12)])
    sound: np.ndarray = rumble / rumble.std() + 1.2 * engine / engine.std()
    return sound


def _sound_violin(seconds: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    scale = rng.uniform(290, 380) * 2 ** (np.array([0, 2, 4, 7, 9, 12]) / 12)
    note_seconds = rng.uniform(0.35, 0.8)
    note = (seconds / note_seconds).astype(int)
    pitch = rng.choice(scale, note[-1] + 1)[note]
    cycles = np.cumsum(pitch * (1 + 0.008 * np.sin(2 * np.pi * 5.8 * seconds))) / rate
    bowing = 0.35 + 0.65 * np.clip((seconds - note * note_seconds) / 0.08, 0, 1)
    sound: np.ndarray = bowing * _harmonics(cycles, [1 / n for n in range(1, 11)])
    return sound


_SOUNDS: dict[str, Callable[[np.ndarray, int, np.random.Generator], np.ndarray]] = {
    "Church bell": _sound_church_bell,
    "Dog bark": _sound_dog_bark,
    "Frying food": _sound_frying_food,
    "Siren": _sound_siren,
    "Ticking clock": _sound_ticking_clock,
    "Truck": _sound_truck,
    "Violin": _sound_violin,
}


def _harmonics(cycles: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Return a tone whose first harmonic has run through `cycles` periods; the n-th has the n-th level."""
    tone = np.zeros_like(cycles)
    for n, level in enumerate(levels, start=1):
        tone += level * np.sin(2 * np.pi * n * cycles)
    return tone


def _coloured_noise(
    rng: np.random.Generator, num_samples: int, rate: int, slope: float, low_hz: float, high_hz: float
) -> np.ndarray:
    """Return noise whose amplitude falls as 1 / frequency ** slope between two frequencies, and fast outside."""
    frequency = np.maximum(np.fft.rfftfreq(num_samples, 1 / rate), 1)
    shape = frequency**-slope / np.sqrt((1 + (low_hz / frequency) ** 6) * (1 + (frequency / high_hz) ** 6))
    return np.fft.irfft(np.fft.rfft(rng.standard_normal(num_samples)) * shape, num_samples)


def synthesize_waveform(plan: ClipPlan) -> np.ndarray:
    """Make a clip's sound track: background, and each source where it is heard.

    Returns
    -------
    ndarray (num_channels, num_samples), float32
        From -1 to 1, as long as the clip.
    """
    rng = np.random.default_rng([plan.seed, 1])
    rate, num_channels = plan.media.sample_rate_hz, plan.media.num_channels
    num_samples = round(NUM_SEGMENTS * SEGMENT_SECONDS * rate)
    noise_level = 10 ** (-rng.uniform(*plan.difficulty.sound_to_noise_db) / 20)
    waveform = noise_level * _synthesize_background(rng, num_channels, num_samples, rate)
    for source in plan.sources:
        if "1" not in source.heard:
            continue
        place = rng.uniform(-0.5, 0.5)
        gains = np.array([1.0] if num_channels == 1 else [1 - place, 1 + place], np.float32)
        waveform += gains[:, None] * _synthesize_stretches(rng, source, num_samples, rate)
    waveform = np.tanh(waveform * rng.uniform(0.08, 0.22))
    return waveform[:, : round(plan.media.duration_seconds * rate)].astype(np.float32)


def _synthesize_stretches(rng: np.random.Generator, source: Source, num_samples: int, rate: int) -> np.ndarray:
    """Return the sound of `source` (num_samples,), begun anew wherever it is heard again, faded at its ends."""
    track = np.zeros(num_samples, np.float32)
    state = int(rng.integers(2**32))
    for first, last in find_runs(source.heard):
        start, stop = (round(edge * SEGMENT_SECONDS * rate) for edge in (first, last))
        sound = synthesize_sound(source.category, stop - start, rate, np.random.default_rng(state))
        fade = np.minimum(1, np.arange(1, stop - start + 1, dtype=np.float32) / (0.01 * rate))
        track[start:stop] = sound * fade * fade[::-1]
    return track


def _synthesize_background(rng: np.random.Generator, num_channels: int, num_samples: int, rate: int) -> np.ndarray:
    """Return room noise and hum (num_channels, num_samples), root mean square about 1, slowly swelling."""
    seconds = np.arange(num_samples, dtype=np.float32) / rate
    slope, low, high = rng.uniform(0.2, 1.0), rng.uniform(30, 150), rng.uniform(1500, 8000)
    noise = np.stack([_coloured_noise(rng, num_samples, rate, slope, low, high) for _ in range(num_channels)])
    mains = rng.choice([50, 60])
    hum = _harmonics(mains * seconds, [1 / n for n in range(1, 5)])
    swell = 1 + rng.uniform(0, 0.4) * np.sin(2 * np.pi * (rng.uniform(0.05, 0.3) * seconds + rng.uniform()))
    mixture = noise / noise.std() + rng.uniform(0, 0.6) * hum
    background: np.ndarray = (swell * mixture / mixture.std()).astype(np.float32)
    return background

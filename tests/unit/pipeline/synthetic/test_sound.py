from dataclasses import replace

import numpy as np
import pytest

from pipeline.synthetic.plan import CATEGORIES, NUM_SEGMENTS, MediaFormat, Source
from pipeline.synthetic.sound import synthesize_sound, synthesize_waveform


@pytest.mark.parametrize("category", CATEGORIES)
def test_sounds_have_unit_level_and_are_audible_in_every_second(category):
    sound = synthesize_sound(category, 5 * 16000, 16000, np.random.default_rng(2))
    assert sound.dtype == np.float32
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(1, rel=1e-3)
    assert (np.sqrt(np.mean(sound.reshape(5, -1) ** 2, axis=1)) > 0.4).all()


@pytest.fixture
def quiet_plan(make_plan):
    """Return a maker of plans whose background is 40 dB below each source."""
    quiet = replace(make_plan().difficulty, sound_to_noise_db=(40.0, 40.0))
    return lambda *sources: make_plan(difficulty=quiet, sources=sources)


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_source_sounds_exactly_in_the_segments_in_which_it_is_heard(category, quiet_plan):
    level = synthesize_waveform(quiet_plan(Source(category, "0" * 10, "0011110011"))).reshape(NUM_SEGMENTS, -1).std(1)
    assert (level > 5 * level.min()).tolist() == [character == "1" for character in "0011110011"]


def test_sources_sound_at_once_and_one_that_is_only_seen_does_not(quiet_plan):
    truck, violin = Source("Truck", "1" * 10, "1111111000"), Source("Violin", "1" * 10, "0000111111")
    both, one, other, none = (
        synthesize_waveform(quiet_plan(*sources)).reshape(NUM_SEGMENTS, -1).std(1)
        for sources in ((truck, violin), (truck,), (violin,), (replace(truck, heard="0" * 10),))
    )
    assert (both[4:7] > 1.2 * one[4:7]).all()
    assert (both > 5 * none.max()).all()
    assert (one[7:] < 2 * none.max()).all()
    assert (other[:4] < 2 * none.max()).all()


def test_the_background_is_as_far_below_a_source_as_the_plan_says(make_plan):
    def ratio(decibels: float) -> float:
        difficulty = replace(make_plan().difficulty, sound_to_noise_db=(decibels, decibels))
        source = Source("Siren", "0" * 10, "1111100000")
        halves = synthesize_waveform(make_plan(difficulty=difficulty, sources=(source,))).reshape(2, -1).std(axis=1)
        return float(20 * np.log10(halves[0] / halves[1]))

    assert ratio(20.0) == pytest.approx(20, abs=2.5)


def test_a_waveform_has_the_channels_and_the_length_of_its_format_and_does_not_clip(make_plan):
    media = MediaFormat(sample_rate_hz=48000, num_channels=2, duration_seconds=9.2)
    waveform = synthesize_waveform(make_plan(media=media))
    assert waveform.shape == (2, 441600)
    assert abs(waveform).max() < 1

import numpy as np
import pytest

from pipeline.synthetic import sound
from pipeline.synthetic.plan import CATEGORIES, NUM_SEGMENTS, Distractor, MediaFormat
from pipeline.synthetic.sound import synthesize_sound, synthesize_waveform


@pytest.mark.parametrize("category", CATEGORIES)
def test_sounds_have_unit_level_and_are_audible_in_every_second(category):
    sound = synthesize_sound(category, 5 * 16000, 16000, np.random.default_rng(2))
    assert sound.dtype == np.float32
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(1, rel=1e-3)
    assert (np.sqrt(np.mean(sound.reshape(5, -1) ** 2, axis=1)) > 0.4).all()


def test_the_category_sounds_exactly_in_the_segments_in_which_it_is_heard(monkeypatch, make_plan):
    monkeypatch.setattr(sound, "SOUND_TO_NOISE_DB", (40.0, 40.0))
    level = synthesize_waveform(make_plan()).reshape(NUM_SEGMENTS, -1).std(axis=1)
    assert (level > 5 * level.min()).tolist() == [character == "1" for character in "0011110011"]


def test_a_heard_distractor_sounds_and_a_seen_one_does_not(monkeypatch, make_plan):
    monkeypatch.setattr(sound, "SOUND_TO_NOISE_DB", (40.0, 40.0))
    for modality in ("seen", "heard"):
        distractor = Distractor("Violin", modality, "1111100000")
        waveform = synthesize_waveform(make_plan(heard="0" * 10, distractor=distractor))
        level = waveform.reshape(2, -1).std(axis=1)
        assert (level[0] > 5 * level[1]) == (modality == "heard")


def test_a_waveform_has_the_channels_and_the_length_of_its_format_and_does_not_clip(make_plan):
    media = MediaFormat(sample_rate_hz=48000, num_channels=2, duration_seconds=9.2)
    waveform = synthesize_waveform(make_plan(media=media))
    assert waveform.shape == (2, 441600)
    assert abs(waveform).max() < 1

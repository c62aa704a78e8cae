"""Sound by time: what the corpus (``test_corpus.py``) does not ask of its files."""

import numpy as np
import pytest

from pipeline.media.waveform import read_waveform


def test_a_tone_keeps_its_place_to_the_sample_where_the_stream_starts_late_or_pauses(tmp_path, media):
    waveform = np.ones((1, 80_000), np.float32) / 2
    settings = {"num_frames": 250, "waveforms": [waveform], "audio_rate": 8000, "audio_codec": "pcm_s16le"}
    path = media.write(tmp_path / "clip.mkv", audio_delay=1.25, hole=(4.096, 6.016), **settings)
    heard = read_waveform(path, num_seconds=10)
    first_missing = np.ceil(4.096 * 8000 / 1024) * 1024 / 8000
    expected = np.zeros(80_000, bool)
    expected[10_000 : 10_000 + round(first_missing * 8000)] = True
    resumed = int(np.ceil(6.016 * 8000 / 1024)) * 1024 + 10_000
    expected[resumed:] = True
    np.testing.assert_array_equal(heard.present, expected)
    np.testing.assert_array_equal(heard.samples[0] > 0.4, expected)


def test_a_delay_shorter_than_the_tolerance_of_timestamps_is_kept(tmp_path, media):
    settings = {"waveforms": [np.ones((1, 16_000), np.float32) / 2], "audio_rate": 8000, "audio_codec": "pcm_s16le"}
    path = media.write(tmp_path / "clip.mkv", audio_delay=0.01, num_frames=25, **settings)
    assert read_waveform(path, num_seconds=2).present.argmax() == 80


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("clip.mp4", {"audio_codec": "aac", "audio_rate": 44100}),
        ("clip.mkv", {"audio_codec": "aac", "audio_rate": 44100}),
        ("clip.mp4", {"audio_codec": "libmp3lame", "audio_rate": 44100}),
        ("clip.mkv", {"audio_codec": "libopus", "audio_rate": 48000}),
    ],
)
def test_what_a_codec_needs_to_begin_with_is_not_heard_and_shifts_nothing(file, settings, tmp_path, media):
    rate = settings["audio_rate"]
    waveform = np.zeros((1, 2 * rate), np.float32)
    waveform[0, rate : rate + rate // 100] = 0.5 * np.sin(2 * np.pi * 2000 * np.arange(rate // 100) / rate)
    path = media.write(tmp_path / file, num_frames=50, waveforms=[waveform], **settings)
    heard = read_waveform(path, num_seconds=2)
    first = np.flatnonzero(np.abs(heard.samples[0]) > 0.25)[0]
    assert first / rate == pytest.approx(1, abs=0.002)
    assert heard.present.all()


def test_channels_keep_their_order_however_many_there_are(tmp_path, media):
    waveform = np.repeat(np.arange(24, dtype=np.float32)[:, None] / 32, 8000, 1)
    settings = {"num_frames": None, "layout": "22.2", "audio_rate": 8000, "audio_codec": "pcm_f32le"}
    path = media.write(tmp_path / "clip.mkv", waveforms=[waveform], **settings)
    np.testing.assert_array_equal(read_waveform(path, num_seconds=1).samples, waveform)

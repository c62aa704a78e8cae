"""A file of sound alone is as long as its sound."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.core.errors import MediaError
from pipeline.features.audio.patches import PatchDecoder
from pipeline.prediction.decoding import WindowPatchDecoder
from pipeline.prediction.sound import SoundDecoder, read_sound_seconds

PATCHES = PatchDecoder(4, 1.0, "segment")


@pytest.mark.parametrize("num_seconds", [3.0, 9.0])
def test_windows_of_sound_are_those_of_as_long_a_video(
    num_seconds: float, media: SimpleNamespace, seconds_in: Callable, tmp_path: Path
) -> None:
    sound = media.write(tmp_path / "sound.wav", num_frames=None, audio_seconds=num_seconds, audio_codec="pcm_s16le")
    prepared, expected = SoundDecoder(PATCHES)(sound), WindowPatchDecoder(PATCHES, int(num_seconds))(sound)
    assert prepared.seconds == pytest.approx(num_seconds)
    assert np.array_equal(prepared.rows, expected.rows)
    assert np.array_equal(prepared.inputs, expected.inputs)
    assert seconds_in(prepared) == ([0, 1, 2, -1] if num_seconds == 3 else [0, 1, 2, 3, 4, 5, 6, 7, 5, 6, 7, 8])


@pytest.mark.parametrize(
    ("name", "audio_codec"), [("a.m4a", "aac"), ("a.mka", "libopus"), ("a.mp3", "libmp3lame"), ("a.flac", "flac")]
)
def test_every_container_says_how_long_its_sound_is(
    name: str, audio_codec: str, media: SimpleNamespace, tmp_path: Path
) -> None:
    sound = media.write(tmp_path / name, num_frames=None, audio_seconds=5.0, audio_codec=audio_codec, audio_rate=48000)
    assert read_sound_seconds(sound) == pytest.approx(5.0, abs=0.1)


def test_sound_of_days_is_taken_for_damaged(
    media: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sound = media.write(tmp_path / "a.wav", num_frames=None, audio_seconds=5.0, audio_codec="pcm_s16le")
    monkeypatch.setattr("pipeline.prediction.sound.MAX_SECONDS", 4.0)
    with pytest.raises(MediaError, match=r"a\.wav: the sound is 0 hours long, it says") as raised:
        SoundDecoder(PATCHES)(sound)
    assert raised.value.reason == "damaged"
    monkeypatch.setattr("pipeline.prediction.sound.read_sound_seconds", lambda _: float("inf"))
    with pytest.raises(MediaError, match="the sound is endless, it says"):
        SoundDecoder(PATCHES)(sound)


def test_a_file_without_sound_has_no_length_of_it(media: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="holds no audio") as raised:
        read_sound_seconds(media.write(tmp_path / "a.mp4", num_frames=25, audio_seconds=None))
    assert raised.value.reason == "no_audio_stream"


def test_decoding_processes_need_no_torch() -> None:
    code = "import sys, pipeline.prediction.sound; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

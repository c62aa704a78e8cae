"""The audio recipe: one patch for each second, at its own time."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch

from models.vggish import VGGish
from pipeline.audio import AudioExtractor
from pipeline.audio_frontend import segment_patch
from pipeline.errors import MediaError, WeightsError
from pipeline.files import sha256_of_file
from pipeline.params import AudioParams, load_params
from pipeline.segments import segment_valid

PARAMS = load_params(Path(__file__).resolve().parents[3] / "data" / "synthetic" / "preset.yaml")
CPU = torch.device("cpu")
RATE_HZ = 16000


def audio_params(**changes: object) -> AudioParams:
    return AudioParams.model_validate({**PARAMS.audio.model_dump(), **changes})


@pytest.fixture(scope="module")
def extractor() -> AudioExtractor:
    return AudioExtractor(PARAMS.audio, PARAMS.dataset, CPU)


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


def test_each_segment_gets_the_patch_of_its_own_second(extractor, write_sound, media):
    waveform = media.sound_of(10, RATE_HZ)
    prepared = extractor.prepare(write_sound(waveform))
    assert (prepared.inputs.shape, prepared.inputs.dtype) == ((10, 96, 64), torch.float32)
    np.testing.assert_array_equal(prepared.rows, np.arange(10)[:, None])
    for second in range(10):
        expected = segment_patch(waveform[:, second * RATE_HZ : (second + 1) * RATE_HZ], RATE_HZ)
        np.testing.assert_allclose(prepared.inputs[second], expected, atol=1e-5)
    assert (prepared.reason, prepared.detail, prepared.seconds) == ("ok", "16000 Hz, 1 channel", 10.0)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100])
def test_a_tone_in_one_second_changes_only_its_segment(rate, extractor, write_sound):
    silence = np.zeros((1, 10 * rate), np.float32)
    waveform = silence.copy()
    waveform[0, 3 * rate : 4 * rate] = 0.5 * np.sin(np.arange(rate) * 2 * np.pi * 1000 / rate)
    quiet, loud = (extractor.prepare(write_sound(samples, rate=rate)).inputs for samples in (silence, waveform))
    changed = (quiet != loud).flatten(1).any(1)
    assert changed.tolist() == [second == 3 for second in range(10)]


def test_channels_are_averaged(extractor, write_sound, media):
    tones = media.sound_of(10, RATE_HZ)
    stereo = np.concatenate([tones, np.zeros_like(tones)])
    mixed = extractor.prepare(write_sound(stereo, layout="stereo"))
    assert mixed.detail == "16000 Hz, 2 channels"
    torch.testing.assert_close(mixed.inputs, extractor.prepare(write_sound(tones / 2)).inputs)


def test_a_last_second_that_is_half_there_is_filled_with_silence(extractor, write_sound, media):
    waveform = media.sound_of(9.6, RATE_HZ)
    prepared = extractor.prepare(write_sound(waveform))
    assert (prepared.reason, len(prepared.inputs)) == ("ok", 10)
    padded = np.pad(waveform[:, 9 * RATE_HZ :], ((0, 0), (0, 6400)))
    np.testing.assert_allclose(prepared.inputs[9], segment_patch(padded, RATE_HZ), atol=1e-5)
    assert prepared.seconds == pytest.approx(9.6)


def test_a_last_second_that_is_less_than_half_there_is_masked(extractor, write_sound, media):
    prepared = extractor.prepare(write_sound(media.sound_of(9.4, RATE_HZ)))
    assert segment_valid(prepared.rows).tolist() == [True] * 9 + [False]
    assert (prepared.reason, len(prepared.inputs)) == ("short", 9)


def test_segments_after_a_masked_one_keep_their_own_patch(extractor, write_sound, media):
    waveform = media.sound_of(10, RATE_HZ)
    prepared = extractor.prepare(write_sound(waveform, hole=(2, 4)))
    assert prepared.rows[:, 0].tolist() == [0, 1, -1, -1, 2, 3, 4, 5, 6, 7]
    whole = extractor.prepare(write_sound(waveform))
    torch.testing.assert_close(prepared.inputs[3:], whole.inputs[5:])
    assert prepared.reason == "gap"


def test_less_than_half_a_segment_is_too_short(extractor, write_sound, media):
    with pytest.raises(MediaError, match="no segment has half of its samples") as caught:
        extractor.prepare(write_sound(media.sound_of(0.4, RATE_HZ)))
    assert caught.value.reason == "too_short"


def test_segments_may_be_longer_than_a_second(write_sound, media):
    dataset = PARAMS.dataset.model_copy(update={"num_segments": 4, "segment_seconds": 2.5})
    waveform = media.sound_of(10, RATE_HZ)
    with patch("pipeline.audio.VGGish"):
        prepared = AudioExtractor(PARAMS.audio, dataset, CPU).prepare(write_sound(waveform))
    for segment in range(4):
        start = segment * 40_000
        expected = segment_patch(waveform[:, start : start + 40_000], RATE_HZ)
        np.testing.assert_allclose(prepared.inputs[segment], expected, atol=1e-5)


@torch.inference_mode()
def test_features_are_the_vectors_of_the_network_after_its_rectifier(extractor):
    patches = torch.randn(2, 96, 64)
    network = VGGish().eval()
    network.init_random(PARAMS.audio.weights_seed)
    vectors = extractor.network(patches)
    assert (vectors.shape, vectors.dtype) == ((2, 128), torch.float32)
    assert (vectors >= 0).all()
    torch.testing.assert_close(vectors, network(patches))


class TestWeightsFile:
    """Files of a few parameters, for a network of a few parameters."""

    @pytest.fixture(autouse=True)
    def _small_network(self, monkeypatch):
        monkeypatch.setattr("pipeline.audio.VGGish", lambda: torch.nn.Linear(3, 2))

    @pytest.mark.parametrize("suffix", ["pth", "safetensors"])
    def test_is_loaded(self, suffix, tmp_path):
        from safetensors.torch import save_file

        path = tmp_path / f"vggish.{suffix}"
        state = torch.nn.Linear(3, 2).state_dict()
        (save_file if suffix == "safetensors" else torch.save)(state, path)
        digest = sha256_of_file(path)
        extractor = AudioExtractor(audio_params(weights=str(path), weights_sha256=digest), PARAMS.dataset, CPU)
        torch.testing.assert_close(extractor._network.state_dict(), state, rtol=0, atol=0)
        assert extractor.recipe["weights"] == f"sha256:{digest}"

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"bias": None}, r"parameter bias of Linear: expected \(2,\), found none"),
            ({"more": torch.zeros(1)}, r"parameter more of Linear: expected no such parameter, found \(1,\)"),
            ({"weight": torch.zeros(2, 4)}, r"parameter weight of Linear: expected \(2, 3\), found \(2, 4\)"),
        ],
    )
    def test_with_other_parameters_is_refused_by_name(self, changes, message, tmp_path):
        path = tmp_path / "vggish.pth"
        state = {**torch.nn.Linear(3, 2).state_dict(), **changes}
        torch.save({key: value for key, value in state.items() if value is not None}, path)
        params = audio_params(weights=str(path), weights_sha256=sha256_of_file(path))
        with pytest.raises(WeightsError, match=message):
            AudioExtractor(params, PARAMS.dataset, CPU)

    def test_of_keras_is_refused_by_its_name(self):
        with pytest.raises(WeightsError, match=r"audio\.weights: expected a PyTorch state dict, found vggish\.h5"):
            AudioExtractor(audio_params(weights="vggish.h5"), PARAMS.dataset, CPU)

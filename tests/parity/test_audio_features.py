"""The audio recipe against the reference port: a recording as a file, through decoder, network and post-processing."""

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.core.files import sha256_of_file
from pipeline.features.audio.extractor import AudioExtractor
from pipeline.features.audio.log_mel import SAMPLE_RATE_HZ
from pipeline.features.audio.patches import PatchDecoder
from pipeline.features.decoding import Prepared
from pipeline.params.schema import AudioParams, load_params

pytestmark = pytest.mark.slow

PARAMS = load_params(Path(__file__).resolve().parents[2] / "data" / "synthetic" / "preset.yaml")

PATCHES = {
    ("vggish_testwav", "continuous"): "log_mel_continuous",
    ("vggish_testwav", "segment"): "log_mel_chunks",
    ("vggish_frontend", "continuous"): "log_mel_continuous",
    ("vggish_frontend", "segment"): "log_mel_chunks",
}
"""Recordings of the set and how they are cut, to the patches that the reference made of them."""

VECTORS = {
    "testwav": ("vggish_testwav", "continuous"),
    "continuous": ("vggish_frontend", "continuous"),
    "chunks": ("vggish_frontend", "segment"),
}
"""Names of the reference's vectors, to the patches they were made of."""


@pytest.fixture(scope="module")
def extractors(golden, tmp_path_factory) -> dict[str, AudioExtractor]:
    """Return extractors without and with post-processing, whose weights are the set's, from files as published."""
    folder = tmp_path_factory.mktemp("weights")
    network, pca = folder / "vggish.pth", folder / "vggish_pca_params.pth"
    spec = golden.json("vggish")
    state = golden.generate(spec["pca"], seed=spec["seed"], prefix=spec["prefix"], sha256=spec["pca_sha256"])
    torch.save(golden.weights("vggish"), network)
    torch.save({**state, "pca_means": state["pca_means"].reshape(-1, 1)}, pca)
    changes = {
        "weights": str(network),
        "weights_sha256": sha256_of_file(network),
        "pca_weights": str(pca),
        "pca_sha256": sha256_of_file(pca),
    }
    built = {}
    for postprocess in ("none", "pca"):
        audio = AudioParams.model_validate({**PARAMS.audio.model_dump(), **changes, "postprocess": postprocess})
        built[postprocess] = AudioExtractor(audio, PARAMS.dataset, torch.device("cpu"))
    network.unlink()  # 288 MB
    return built


@pytest.fixture
def prepare(golden, tmp_path) -> Callable[[str, str], Prepared]:
    """Return what the decoder makes of a recording of the set, written as a wave file of 16 bits."""

    def decode(recording: str, alignment: str) -> Prepared:
        samples = golden.arrays(recording)["waveform_int16"]
        path = tmp_path / f"{recording}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE_HZ)
            file.writeframes(samples.astype("<i2").tobytes())
        num_segments = len(samples) // SAMPLE_RATE_HZ
        return PatchDecoder(num_segments=num_segments, segment_seconds=1.0, alignment=alignment)(path)

    return decode


@pytest.fixture
def vectors(golden) -> Callable[[str], dict[str, np.ndarray]]:
    """Return the reference's vectors by name: embeddings, pca_projected and quantised."""

    def read(name: str) -> dict[str, np.ndarray]:
        file, suffix = ("vggish_testwav", "") if name == "testwav" else ("vggish_network", f"_{name}")
        arrays = golden.arrays(file)
        return {key: arrays[key + suffix] for key in ("embeddings", "pca_projected", "quantised")}

    return read


@pytest.mark.parametrize(("recording", "alignment"), PATCHES)
def test_patches_of_a_file_agree(golden, prepare, recording, alignment):
    prepared = prepare(recording, alignment)
    expected = golden.arrays(recording)[PATCHES[recording, alignment]][: len(prepared.rows)]
    np.testing.assert_array_equal(prepared.rows[:, 0], np.arange(len(prepared.rows)))
    np.testing.assert_allclose(prepared.inputs[: len(expected)], expected, rtol=2e-7)  # rounded to single precision


@pytest.mark.parametrize("name", VECTORS)
def test_embeddings_of_a_file_agree(golden, extractors, prepare, vectors, name):
    embeddings = extractors["none"].network(torch.from_numpy(prepare(*VECTORS[name]).inputs)).numpy()
    expected = vectors(name)["embeddings"][: len(embeddings)]
    deviation = np.abs(embeddings[: len(expected)] - expected).max()
    assert deviation <= golden.float32_factor * golden.json("vggish")["float32_max_abs_err"][name]


@pytest.mark.parametrize("name", VECTORS)
def test_levels_of_a_file_agree(golden, extractors, prepare, vectors, name):
    levels = extractors["pca"].network(torch.from_numpy(prepare(*VECTORS[name]).inputs)).numpy()
    expected = {key: values[: len(levels)] for key, values in vectors(name).items()}
    levels = levels[: len(expected["quantised"])]
    # The network runs in single precision: what lies that close to the boundary of a level may cross it.
    spec = golden.json("vggish")
    (matrix,) = (param for param in spec["pca"] if param["key"] == "pca_eigen_vectors")
    row_norm = matrix["scale"] * np.sqrt(matrix["shape"][1])
    tolerance = 63.75 * row_norm * golden.float32_factor * spec["float32_max_abs_err"][name]
    exact = (expected["pca_projected"].clip(-2, 2) + 2) * 63.75
    assert np.abs(levels - exact).max() <= 0.5 + tolerance
    is_clear = np.abs(exact % 1 - 0.5) > tolerance
    assert is_clear.mean() > 0.9
    np.testing.assert_array_equal(levels[is_clear], expected["quantised"][is_clear])

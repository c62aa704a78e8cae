"""The audio recipe: which patches the network gets, and what becomes of its vectors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.backbones.vggish import VGGish
from pipeline.core.errors import WeightsError
from pipeline.core.files import sha256_of_file
from pipeline.features.audio.extractor import AudioExtractor
from pipeline.features.audio.patches import PatchDecoder
from pipeline.params.schema import AudioParams, load_params

PARAMS = load_params(Path(__file__).resolve().parents[5] / "data" / "synthetic" / "preset.yaml")
CPU = torch.device("cpu")


def make_extractor(**changes: object) -> AudioExtractor:
    audio = AudioParams.model_validate({**PARAMS.audio.model_dump(), **changes})
    return AudioExtractor(audio, PARAMS.dataset, CPU)


@pytest.mark.slow
@torch.inference_mode()
def test_features_are_the_vectors_of_the_network_after_its_rectifier():
    patches = torch.randn(2, 96, 64)
    network = VGGish().eval()
    network.init_random(PARAMS.audio.weights_seed)
    vectors = make_extractor().network(patches)
    assert (vectors.shape, vectors.dtype) == ((2, 128), torch.float32)
    assert (vectors >= 0).all()
    torch.testing.assert_close(vectors, network(patches))


class PatchBeginning(torch.nn.Module):
    """Stands for VGGish: the first 128 numbers of a patch, rectified."""

    def init_random(self, seed: int) -> None:
        pass

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        return patches.flatten(1)[:, :128].relu()


@pytest.fixture
def _quick_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.features.audio.extractor.VGGish", PatchBeginning)


@pytest.mark.usefixtures("_quick_network")
@pytest.mark.parametrize("alignment", ["segment", "continuous"])
def test_the_decoder_cuts_as_the_params_say(alignment):
    expected = PatchDecoder(num_segments=10, segment_seconds=1.0, alignment=alignment)
    assert make_extractor(alignment=alignment).decoder == expected


class TestWeightsFile:
    """Files of a few parameters, for a network of a few parameters."""

    @pytest.fixture(autouse=True)
    def _small_network(self, monkeypatch):
        monkeypatch.setattr("pipeline.features.audio.extractor.VGGish", lambda: torch.nn.Linear(3, 2))

    @pytest.mark.parametrize("suffix", ["pth", "safetensors"])
    def test_is_loaded(self, suffix, tmp_path):
        from safetensors.torch import save_file

        path = tmp_path / f"vggish.{suffix}"
        state = torch.nn.Linear(3, 2).state_dict()
        (save_file if suffix == "safetensors" else torch.save)(state, path)
        digest = sha256_of_file(path)
        extractor = make_extractor(weights=str(path), weights_sha256=digest)
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
        with pytest.raises(WeightsError, match=message):
            make_extractor(weights=str(path), weights_sha256=sha256_of_file(path))

    def test_of_keras_is_refused_by_its_name(self):
        with pytest.raises(WeightsError, match=r"audio\.weights: expected a PyTorch state dict, found vggish\.h5"):
            make_extractor(weights="vggish.h5")


@pytest.mark.usefixtures("_quick_network")
class TestLevels:
    """``postprocess: pca``: principal components in 8 bits."""

    EIGEN_VECTORS = np.random.default_rng(3).normal(size=(128, 128)).astype(np.float32) / 12
    MEANS = np.random.default_rng(4).random(128).astype(np.float32)

    @pytest.fixture
    def write(self, tmp_path: Path) -> Callable[..., dict[str, Any]]:
        """Return a writer of a PCA file that returns the params that name it."""

        def save(name: str, **changes: np.ndarray | None) -> dict[str, Any]:
            arrays = {"pca_eigen_vectors": self.EIGEN_VECTORS, "pca_means": self.MEANS, **changes}
            arrays = {key: array for key, array in arrays.items() if array is not None}
            path = tmp_path / name
            if name.endswith("npz"):
                np.savez(path, **arrays)
            elif "arrays" in name:
                torch.save(arrays, path)
            else:
                torch.save({key: torch.from_numpy(array) for key, array in arrays.items()}, path)
            return {"postprocess": "pca", "pca_weights": str(path), "pca_sha256": sha256_of_file(path)}

        return save

    @pytest.mark.parametrize("name", ["pca.pth", "pca_arrays.pth", "pca.npz"])
    @pytest.mark.parametrize("shape", [(128,), (128, 1)])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_are_those_of_the_definition_whatever_the_file(self, name, shape, dtype, write):
        file = write(name, pca_eigen_vectors=self.EIGEN_VECTORS.astype(dtype), pca_means=self.MEANS.reshape(shape))
        patches = torch.randn(20, 96, 64, generator=torch.Generator().manual_seed(1))
        levels = make_extractor(**file).network(patches)
        assert (levels.shape, levels.dtype) == ((20, 128), torch.float32)
        expected = np.empty((20, 128))
        for row, patch in enumerate(patches.numpy()):
            centred = np.maximum(patch[:2].ravel(), 0).astype(np.float64) - self.MEANS
            for component, eigen_vector in enumerate(self.EIGEN_VECTORS.astype(np.float64)):
                clipped = min(2.0, max(-2.0, float((eigen_vector * centred).sum())))
                expected[row, component] = round((clipped + 2) * 255 / 4)  # halves to even, as Python rounds
        np.testing.assert_array_equal(levels, expected)
        assert len(np.unique(expected)) > 100

    @pytest.mark.parametrize("storage", ["float16", "float32"])
    def test_are_stored_to_the_last_bit(self, storage):
        patches = 3 * torch.randn(300, 96, 64, generator=torch.Generator().manual_seed(1))
        levels = make_extractor(postprocess="pca", storage=storage).network(patches)
        assert levels.unique().tolist() == list(range(256))
        stored = levels.numpy().astype(make_extractor(storage=storage).storage)
        np.testing.assert_array_equal(stored, levels)

    def test_of_random_components_depend_on_the_seed_alone(self):
        patches = torch.randn(3, 96, 64)
        levels = [make_extractor(postprocess="pca", weights_seed=seed).network(patches) for seed in (1, 1, 2)]
        assert torch.equal(levels[0], levels[1])
        assert not torch.equal(levels[0], levels[2])

    def test_carry_the_hashes_of_both_files(self, write):
        file = write("pca.npz")
        assert make_extractor(**file).weights_sha256 == f"random:128, pca {file['pca_sha256']}"
        assert make_extractor(postprocess="pca").weights_sha256 == "random:128, pca random:128"
        assert make_extractor(**file | {"postprocess": "none"}).weights_sha256 == "random:128"

    def test_need_no_file_that_is_not_used(self):
        make_extractor(pca_weights="no/such/file.npz")

    @pytest.mark.parametrize("name", ["pca.pth", "pca.npz"])
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"pca_means": None}, "expected pca_eigen_vectors and pca_means, found pca_eigen_vectors; correct audio"),
            ({"pca_means": np.zeros(64)}, r"PCA means: expected shape \(128\), found \(64,\); correct audio"),
            ({"pca_eigen_vectors": np.zeros((128, 64))}, r"expected shape \(128, 128\), found \(128, 64\); correct"),
            (
                {"pca_eigen_vectors": np.full((128, 128), np.inf)},
                "expected finite numbers, found NaN or infinity; corr",
            ),
            ({"pca_means": np.full(128, np.nan)}, "expected finite numbers, found NaN or infinity; correct audio"),
        ],
    )
    def test_are_not_made_with_a_file_that_does_not_fit(self, name, changes, message, write):
        with pytest.raises(WeightsError, match=message):
            make_extractor(**write(name, **changes))

    def test_are_not_made_with_a_file_of_another_hash(self, write):
        with pytest.raises(WeightsError, match=r"pca\.npz: expected sha256 deadbeef, found \w+; do not use this file"):
            make_extractor(**write("pca.npz") | {"pca_sha256": "deadbeef"})

    def test_are_not_made_with_a_file_without_hash(self, write):
        with pytest.raises(
            WeightsError, match=r"audio\.pca_sha256: expected the hash of the local file .*, found null"
        ):
            make_extractor(**write("pca.npz") | {"pca_sha256": None})

    def test_are_not_made_by_unpickling(self, write):
        with pytest.raises(WeightsError, match="found a damaged or foreign file, or other Python objects"):
            make_extractor(**write("pca.npz", pca_means=np.array([{}] * 128)))

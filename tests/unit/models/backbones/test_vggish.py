import pytest
import torch

from models.backbones.vggish import Postprocessor, VGGish, quantise


@pytest.fixture(scope="module")
def network():
    network = VGGish().eval()
    network.init_random(128)
    return network


@torch.inference_mode()
def test_embeddings_are_vectors_of_128_and_never_negative(network):
    embeddings = network(torch.randn(2, 96, 64))
    assert embeddings.shape == (2, 128)
    assert (embeddings >= 0).all()
    assert 0.1 < embeddings.square().mean().sqrt() < 10


@torch.inference_mode()
def test_the_maps_are_read_frame_by_frame_then_band_then_channel(network):
    flat = []
    handle = network.embeddings.register_forward_pre_hook(lambda _, inputs: flat.append(inputs[0][0]))
    patch = torch.randn(1, 96, 64)
    network(patch)
    handle.remove()
    maps = network.features(patch.unsqueeze(1))[0]
    assert flat[0][(3 * 4 + 2) * 512 + 7] == maps[7, 3, 2]


def test_parameters_have_the_names_of_the_port(network):
    indices = {"features": (0, 3, 6, 8, 11, 13), "embeddings": (0, 2, 4)}
    expected = {f"{part}.{i}.{kind}" for part, at in indices.items() for i in at for kind in ("weight", "bias")}
    assert network.state_dict().keys() == expected


@pytest.mark.parametrize("shape", [(96, 64), (1, 64, 96), (1, 1, 96, 64)])
def test_what_is_no_patch_is_refused(network, shape):
    with pytest.raises(ValueError, match="patches: expected shape"):
        network(torch.zeros(shape))


def test_levels_worked_by_hand():
    values = torch.tensor([-9.0, -2.0, -1.0, 0.0, 1.0, 2.0, 9.0], dtype=torch.float64)
    # (x + 2) · 63.75: 0, 63.75, 127.5 (to the even 128), 191.25, 255.
    assert quantise(values).tolist() == [0, 0, 64, 128, 191, 255, 255]
    assert quantise(values).dtype == torch.uint8


def test_the_postprocessor_rotates_after_taking_the_mean_away():
    eigen_vectors = torch.eye(128).roll(1, dims=0)
    processor = Postprocessor(eigen_vectors, torch.full((128, 1), 0.5))
    embeddings = torch.linspace(0, 1, 128).unsqueeze(0)
    torch.testing.assert_close(processor.project(embeddings), (embeddings - 0.5).roll(1, dims=1))
    assert processor(embeddings).shape == (1, 128)


@pytest.mark.parametrize("shape", [(128,), (128, 1)])
def test_a_postprocessor_is_made_of_a_published_file(shape):
    state = {"pca_eigen_vectors": torch.randn(128, 128), "pca_means": torch.randn(shape), "more": torch.zeros(1)}
    processor = Postprocessor.from_state(state)
    assert torch.equal(processor.eigen_vectors, state["pca_eigen_vectors"])
    assert torch.equal(processor.means, state["pca_means"].flatten())
    del state["pca_means"]
    with pytest.raises(ValueError, match=r"expected pca_eigen_vectors and pca_means, found more, pca_eigen_vectors$"):
        Postprocessor.from_state(state)


def test_random_principal_components_are_a_rotation_of_its_seed():
    processor = Postprocessor.random(5)
    product = processor.eigen_vectors @ processor.eigen_vectors.mT
    torch.testing.assert_close(product, torch.eye(128, dtype=torch.float64), rtol=0, atol=1e-14)
    assert not processor.means.any()
    assert torch.equal(processor.eigen_vectors, Postprocessor.random(5).eigen_vectors)
    assert not torch.equal(processor.eigen_vectors, Postprocessor.random(6).eigen_vectors)
    with pytest.raises(ValueError, match="seed: expected at least 0, found -1"):
        Postprocessor.random(-1)


def test_a_postprocessor_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="PCA eigen vectors: expected shape"):
        Postprocessor(torch.zeros(128, 64), torch.zeros(128))
    with pytest.raises(ValueError, match="PCA means: expected shape"):
        Postprocessor(torch.zeros(128, 128), torch.zeros(64))
    with pytest.raises(ValueError, match="PCA parameters: expected finite numbers"):
        Postprocessor(torch.zeros(128, 128), torch.full((128,), torch.nan))
    with pytest.raises(ValueError, match="embeddings: expected shape"):
        Postprocessor(torch.zeros(128, 128), torch.zeros(128)).project(torch.zeros(128))

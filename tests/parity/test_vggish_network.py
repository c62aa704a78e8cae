"""VGGish against the reference port: embeddings, principal components and 8-bit levels."""

import numpy as np
import pytest
import torch

from models.backbones.vggish import Postprocessor, VGGish, quantise

pytestmark = pytest.mark.slow

EXAMPLES = ["chunks", "continuous", "testwav"]


@pytest.fixture(scope="module")
def network(golden) -> VGGish:
    """Return the network with the set's weights, in double precision."""
    with torch.device("meta"):
        network = VGGish()
    network.load_state_dict(golden.weights("vggish"), assign=True)
    return network.double().eval()


@pytest.fixture(scope="module")
def examples(golden) -> dict[str, tuple[torch.Tensor, dict[str, np.ndarray]]]:
    """Return the inputs of the set, float32, and what the reference made of them."""
    network, waveform = golden.arrays("vggish_network"), golden.arrays("vggish_testwav")
    patches = {
        "chunks": network["examples_chunks"],
        "continuous": golden.arrays("vggish_frontend")["log_mel_continuous"],
        "testwav": waveform["log_mel_continuous"],
    }
    expected = {
        name: {
            "embeddings": network[f"embeddings_{name}"],
            "components": network[f"pca_projected_{name}"],
            "levels": network[f"quantised_{name}"],
        }
        for name in ("chunks", "continuous")
    }
    expected["testwav"] = {
        "embeddings": waveform["embeddings"],
        "components": waveform["pca_projected"],
        "levels": waveform["quantised"],
    }
    return {name: (torch.from_numpy(patches[name].astype(np.float32)), expected[name]) for name in EXAMPLES}


@pytest.fixture(scope="module")
def postprocessor(golden) -> Postprocessor:
    """Return the set's principal components, in double precision."""
    spec = golden.json("vggish")
    generated = golden.generate(spec["pca"], seed=spec["seed"], prefix=spec["prefix"], sha256=spec["pca_sha256"])
    return Postprocessor(generated["pca_eigen_vectors"], generated["pca_means"]).double()


@pytest.mark.parametrize("name", EXAMPLES)
@torch.inference_mode()
def test_embeddings_agree(golden, network, examples, name):
    patches, expected = examples[name]
    embeddings = network(patches.double()).numpy()
    np.testing.assert_allclose(embeddings, expected["embeddings"], rtol=golden.relative, atol=golden.absolute)


@torch.inference_mode()
def test_maps_and_the_order_of_their_numbers_agree(golden, network, examples):
    arrays = golden.arrays("vggish_network")
    patch = examples["chunks"][0][:1].double()
    maps = network.features(patch.unsqueeze(1))
    np.testing.assert_allclose(maps[0], arrays["features_example0"], rtol=golden.relative, atol=golden.absolute)
    flat = []
    handle = network.embeddings.register_forward_pre_hook(lambda _, inputs: flat.append(inputs[0][0]))
    network(patch)
    handle.remove()
    np.testing.assert_allclose(flat[0], arrays["flat_example0"], rtol=golden.relative, atol=golden.absolute)


@pytest.mark.parametrize("name", EXAMPLES)
def test_components_and_levels_agree(golden, postprocessor, examples, name):
    expected = examples[name][1]
    embeddings = torch.from_numpy(expected["embeddings"])
    components = postprocessor.project(embeddings)
    np.testing.assert_allclose(components, expected["components"], rtol=golden.relative, atol=golden.absolute)
    np.testing.assert_array_equal(postprocessor(embeddings), expected["levels"])


def test_halves_are_rounded_to_the_even_level(golden):
    arrays = golden.arrays("vggish_frontend")
    levels = quantise(torch.from_numpy(arrays["round_probe_in"]))
    np.testing.assert_array_equal(levels, arrays["round_probe_out"])


@torch.inference_mode()
def test_single_precision_stays_as_close_as_the_reference(golden, network, examples):
    allowed = golden.json("vggish")["float32_max_abs_err"]
    network.float()
    for name, (patches, expected) in examples.items():
        deviation = np.abs(network(patches).double().numpy() - expected["embeddings"]).max()
        assert deviation <= golden.float32_factor * allowed[name], name
    network.double()

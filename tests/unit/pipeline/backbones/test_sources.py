import hashlib
import re

import pytest

from pipeline.backbones.registry import BACKBONES
from pipeline.backbones.sources import PCA_LAYOUTS, weights_layout
from pipeline.backbones.vggish import VGGISH_PCA_SOURCES, VGGISH_SOURCES
from pipeline.core.errors import WeightsError

VGG19_SOURCES = BACKBONES["vgg19"].sources
SOURCES = (*(backbone.sources for backbone in BACKBONES.values()), VGGISH_SOURCES, VGGISH_PCA_SOURCES)


@pytest.mark.parametrize(
    "entry", [entry for sources in SOURCES for entry in sources.items()], ids=lambda entry: entry[1].file
)
def test_published_files_are_named_with_address_hash_and_licence(entry):
    name, source = entry
    assert name != "random"
    assert "." not in name  # else it would also be a file name
    assert source.url.startswith("https://")
    assert source.url.endswith(f"/{source.file}")
    algorithm, digest = source.digest.split(":")
    assert re.fullmatch(r"[0-9a-f]{8,}", digest)
    assert len(digest) <= hashlib.new(algorithm).digest_size * 2
    assert algorithm == "sha256" or len(digest) == 32
    assert source.layout == weights_layout(source.file, {})
    assert source.licence


class TestWeightsLayout:
    def test_of_names_and_files(self):
        layouts = {name: weights_layout(name, VGG19_SOURCES) for name in ("random", "keras", "torchvision")}
        assert layouts == {"random": "random", "keras": "keras", "torchvision": "torch"}
        assert weights_layout("a/b.h5", {}) == "keras"
        assert {weights_layout(f"b.{suffix}", {}) for suffix in ("pth", "pt", "safetensors")} == {"torch"}

    @pytest.mark.parametrize("name", ["resnet", "weights.npz", "weights.pkl", "keras.H5 "])
    def test_of_anything_else_is_refused(self, name):
        with pytest.raises(WeightsError, match="expected random, keras, torchvision, or a file ending in"):
            weights_layout(name, VGG19_SOURCES)

    def test_of_a_network_that_was_never_published(self):
        assert weights_layout("random", {}, ()) == "random"
        with pytest.raises(WeightsError, match=r"weights 'x\.pth': expected random, found neither"):
            weights_layout("x.pth", {}, ())
        with pytest.raises(WeightsError, match=r"expected random, or a file ending in \.h5, \.pth"):
            weights_layout("x", {})

    def test_of_principal_components(self):
        names = ("random", "torchvggish", "a.pth", "b.safetensors", "c/d.npz")
        layouts = [weights_layout(name, VGGISH_PCA_SOURCES, PCA_LAYOUTS) for name in names]
        assert layouts == ["random", "torch", "torch", "torch", "numpy"]
        with pytest.raises(WeightsError, match=r"file ending in \.pth, \.pt, \.safetensors or \.npz, found neither"):
            weights_layout("pca.h5", VGGISH_PCA_SOURCES, PCA_LAYOUTS)

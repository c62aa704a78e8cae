"""The visual extractor: weights, preprocessing, precision, and what it says of itself."""

from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import pipeline.features.visual.extractor as extractor_module
from models.backbones.vgg19 import VGG19, keras_layers
from pipeline.core.errors import WeightsError
from pipeline.core.files import sha256_of_file
from pipeline.features.contract import JointExtractor
from pipeline.features.visual.extractor import TwoStreamExtractor, VisualExtractor, visual_extractor
from pipeline.features.visual.preprocessing import preprocess_torchvision
from pipeline.params.schema import VisualParams, load_params

PARAMS = load_params(Path(__file__).resolve().parents[5] / "data" / "synthetic" / "preset.yaml")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> VGG19:
    network = VGG19().eval()
    network.init_random(19)
    return network


@pytest.fixture(scope="module")
def weights_files(network: VGG19, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Return the same weights as a Keras file, and as torchvision's with a classifier in it; deleted in the end."""
    folder = tmp_path_factory.mktemp("weights")
    files = {"keras": folder / "vgg19.h5", "torchvision": folder / "vgg19.pth"}
    state = network.state_dict()
    with h5py.File(files["keras"], "w") as file:
        for keras, ours in keras_layers().items():
            file[f"{keras}/{keras}/kernel:0"] = state[f"{ours}.weight"].permute(2, 3, 1, 0).numpy()
            file[f"{keras}/{keras}/bias:0"] = state[f"{ours}.bias"].numpy()
        file.create_group("block5_pool")
    torch.save({**state, "classifier.0.bias": torch.zeros(4096)}, files["torchvision"])
    yield files
    for path in files.values():
        path.unlink()


def visual_params(**changes: object) -> VisualParams:
    return VisualParams.model_validate({**PARAMS.visual.model_dump(), **changes})


@pytest.fixture(scope="module")
def make_extractor() -> Callable[..., VisualExtractor]:
    """Return a maker of extractors for a clip of three segments."""
    dataset = PARAMS.dataset.model_copy(update={"num_segments": 3})
    return lambda **changes: VisualExtractor(visual_params(**changes), dataset, CPU)


@pytest.fixture(scope="module")
def random_extractor(make_extractor: Callable[..., VisualExtractor]) -> VisualExtractor:
    return make_extractor(frames_per_segment=2)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 224, 224), dtype=np.uint8))


def local(path: Path) -> dict[str, str]:
    """Return the params that name a weights file."""
    return {"weights": str(path), "weights_sha256": sha256_of_file(path)}


@pytest.mark.slow
@torch.inference_mode()
def test_features_are_the_maps_of_the_network_channels_last(random_extractor, network, images):
    maps = random_extractor.network(images)
    assert (maps.shape, maps.dtype) == ((2, 7, 7, 512), torch.float32)
    expected = network(preprocess_torchvision(images.float())).permute(0, 2, 3, 1)
    torch.testing.assert_close(maps, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_keras_weights_are_the_torchvision_ones_with_another_preprocessing(make_extractor, weights_files, images):
    keras = make_extractor(**local(weights_files["keras"]))
    torchvision = make_extractor(**local(weights_files["torchvision"]))
    assert keras.recipe["preprocessing"] == "caffe"
    assert torchvision.recipe["preprocessing"] == "torchvision"
    assert keras.weights_sha256 == sha256_of_file(weights_files["keras"])
    torchvision._preprocess = keras._preprocess
    torch.testing.assert_close(keras.network(images[:1]), torchvision.network(images[:1]), rtol=0, atol=0)


def test_a_file_of_another_hash_is_refused_before_it_is_read(make_extractor, weights_files):
    with pytest.raises(WeightsError, match=r"vgg19\.pth: expected sha256 00000000"):
        make_extractor(weights=str(weights_files["torchvision"]), weights_sha256="00000000")


def test_a_file_of_another_kind_is_refused_by_its_name(make_extractor):
    with pytest.raises(WeightsError, match=r"expected random, keras, torchvision, or a file ending in \.h5"):
        make_extractor(weights="vgg19.npz")


def test_weights_of_another_network_are_refused_by_the_first_parameter_that_differs(make_extractor, tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"features.0.weight": torch.zeros(64, 1, 3, 3)}, path)
    with pytest.raises(WeightsError, match=r"features\.0\.weight of VGG19: expected \(64, 3, 3, 3\), found \(64, 1, 3"):
        make_extractor(**local(path))


def test_a_keras_file_without_the_layers_is_refused(make_extractor, tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["dense/kernel:0"] = np.zeros((2, 2))
    with pytest.raises(
        WeightsError, match="expected layer block1_conv1, found none; name a file of weights that make VGG19"
    ):
        make_extractor(**local(path))


def test_weights_in_keras_layout_are_refused_for_any_other_backbone(make_extractor):
    for weights in ("keras", "mine.h5"):
        with pytest.raises(
            WeightsError, match=rf"{weights}'?: expected random, torchvision, torchvision_v2, or a file"
        ) as error:
            make_extractor(backbone="resnet101", weights=weights)
        assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_stays_close_to_float32(precision, make_extractor, random_extractor, images):
    exact = random_extractor.network(images[:1])
    rounded = make_extractor(precision=precision).network(images[:1])
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    assert torch.nn.functional.cosine_similarity(rounded.flatten(), exact.flatten(), dim=0) > 0.999


@pytest.mark.parametrize(("precision", "expected"), [("float32", "ieee"), ("bfloat16", "tf32")])
def test_only_a_float32_recipe_forbids_tf32_and_only_for_the_network(precision, expected, make_extractor, images):
    extractor, seen = make_extractor(precision=precision), []
    extractor._network.represent = lambda inputs: seen.append(torch.backends.cudnn.conv.fp32_precision) or inputs
    before = torch.backends.cudnn.conv.fp32_precision
    torch.backends.cudnn.conv.fp32_precision = "tf32"
    try:
        extractor.network(images[:1])
        assert torch.backends.cudnn.conv.fp32_precision == "tf32"
    finally:
        torch.backends.cudnn.conv.fp32_precision = before
    assert seen == [expected]


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({}, (7, 7, 512)),
        ({"combine": "stack", "frames_per_segment": 3}, (3, 7, 7, 512)),
    ],
)
def test_the_shape_of_a_feature_is_that_of_a_segment(changes, shape, make_extractor):
    extractor = make_extractor(**changes)
    assert (extractor.feature_shape, extractor.combine) == (shape, changes.get("combine", "mean"))


def test_the_decoder_is_that_of_the_params(make_extractor):
    decoder = make_extractor(frames_per_segment=5, sampling="time").decoder
    assert (decoder.frames_per_segment, decoder.sampling, decoder.num_segments) == (5, "time", 3)
    assert (decoder.image_size, decoder.resize) == (224, "stretch")


def test_the_recipe_holds_what_changes_a_value_and_the_code_what_computes_it(random_extractor, make_extractor):
    assert random_extractor.recipe["weights"] == random_extractor.weights_sha256 == "random:19"
    assert random_extractor.recipe["frames_per_segment"] == 2
    assert random_extractor.recipe["num_segments"] == 3
    assert random_extractor.storage == np.float16
    assert random_extractor.code == make_extractor(weights_seed=3).code


def test_the_code_is_that_of_the_backbone_alone(random_extractor, make_extractor):
    others = {make_extractor(backbone=name).code for name in ("resnet101", "r2plus1d_18")}
    assert len({random_extractor.code, *others}) == 3


MOTION = {"backbone": "r2plus1d_18", "weights": "random", "weights_sha256": None, "weights_seed": 18}


class TestTwoStreams:
    @pytest.fixture
    def built(self, monkeypatch) -> list[tuple[str, str]]:
        """Build no network, and note by which weights each would be built."""
        built = []

        def note(backbone, weights, seed):
            built.append((backbone.subject, weights.sha256))
            return torch.nn.Identity()

        monkeypatch.setattr(extractor_module, "build_network", note)
        return built

    @pytest.fixture
    def make(self, built) -> Callable[..., TwoStreamExtractor]:
        dataset = PARAMS.dataset.model_copy(update={"num_segments": 3})

        def make(**changes: object) -> TwoStreamExtractor:
            settings = {"backbone": "resnet152_pooled", "combine": "stack", "frames_per_segment": 8, "motion": MOTION}
            return visual_extractor(visual_params(**{**settings, **changes}), dataset, CPU)

        return make

    def test_are_those_of_the_params_each_with_its_own_weights(self, make, built):
        extractor = make(weights_seed=3)
        assert isinstance(extractor, JointExtractor)
        assert not isinstance(extractor.streams[0], JointExtractor)
        assert built == [("pooled ResNet vectors", "random:3"), ("pooled R(2+1)D vectors", "random:18")]
        assert [stream.feature_shape for stream in extractor.streams] == [(8, 2048), (512,)]
        assert [stream.combine for stream in extractor.streams] == ["stack", "mean"]
        assert extractor.feature_shape == (8 * 2048 + 512,)
        assert extractor.weights_sha256 == "random:3, motion random:18"

    def test_decode_once_for_both_squares(self, make):
        decoder = make(sampling="time").decoder
        assert (decoder.image_size, decoder.resize, decoder.sampling) == (224, "crop", "time")
        assert (decoder.motion_image_size, decoder.motion_resize) == (112, "stretch_antialiased")
        assert (decoder.num_segments, decoder.frames_per_segment) == (3, 8)

    def test_have_verified_weights_of_which_both_hashes_are_kept(self, make, tmp_path):
        path = tmp_path / "motion.pth"
        torch.save({"stem.0.weight": torch.zeros(1)}, path)
        sha256 = sha256_of_file(path)
        local = {**MOTION, "weights": str(path), "weights_sha256": sha256}
        assert make(motion=local).weights_sha256 == f"random:19, motion {sha256}"
        with pytest.raises(WeightsError, match=r"motion\.pth: expected sha256 00000000"):
            make(motion={**local, "weights_sha256": "00000000"})

    def test_are_named_by_the_code_of_both_networks(self, make, monkeypatch):
        named = []
        monkeypatch.setattr(extractor_module, "source_fingerprint", lambda *modules: named.append(modules) or "code")
        make()
        assert named[-1] == (
            "pipeline.features.visual.extractor",
            "pipeline.backbones.resnet",
            "models.backbones.resnet",
            "pipeline.backbones.r2plus1d",
            "models.backbones.r2plus1d",
        )

    def test_are_one_where_there_is_no_motion(self, make):
        assert isinstance(make(motion=None), VisualExtractor)

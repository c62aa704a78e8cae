"""The visual recipe: resize, preprocessing, sampling, and what the network makes of a file."""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch

from models.vgg19 import VGG19, keras_layers
from pipeline.errors import WeightsError
from pipeline.files import sha256_of_file
from pipeline.params import VisualParams, load_params
from pipeline.segments import NO_FRAME, segment_valid
from pipeline.visual import VisualExtractor, preprocess_caffe, preprocess_torchvision, resize_bilinear

PARAMS = load_params(Path(__file__).resolve().parents[3] / "data" / "synthetic" / "preset.yaml")
CPU = torch.device("cpu")


@pytest.mark.parametrize("shape", [(240, 320), (241, 321), (720, 1280), (32, 80), (1, 1), (2, 500), (224, 224)])
def test_resize_agrees_with_opencv_within_a_grey_level(shape):
    image = np.random.default_rng(shape[0]).integers(0, 256, (*shape, 3), dtype=np.uint8)
    resized = resize_bilinear(image)
    assert (resized.shape, resized.dtype) == ((3, 224, 224), torch.uint8)
    expected = cv2.resize(image, (224, 224), interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1)
    assert np.abs(resized.numpy().astype(int) - expected).max() <= 1


def test_resize_leaves_an_image_of_the_right_size_alone():
    image = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize_bilinear(image).numpy(), image.transpose(2, 0, 1))


def test_resize_takes_a_picture_that_was_turned():
    image = np.rot90(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    np.testing.assert_array_equal(resize_bilinear(image), resize_bilinear(np.ascontiguousarray(image)))


def test_caffe_preprocessing_swaps_to_bgr_and_subtracts_the_mean_without_scaling():
    red_green_blue = torch.tensor([200.0, 100.0, 50.0]).view(1, 3, 1, 1)
    processed = preprocess_caffe(red_green_blue).flatten().tolist()
    assert processed == pytest.approx([50 - 103.939, 100 - 116.779, 200 - 123.68], abs=1e-4)


def test_torchvision_preprocessing_scales_and_standardises_rgb():
    red_green_blue = torch.tensor([255.0, 0.0, 51.0]).view(1, 3, 1, 1)
    processed = preprocess_torchvision(red_green_blue).flatten().tolist()
    assert processed == pytest.approx([(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225], abs=1e-6)


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


@torch.inference_mode()
def test_features_are_the_maps_of_the_network_channels_last(random_extractor, network, images):
    maps = random_extractor.network(images)
    assert (maps.shape, maps.dtype) == ((2, 7, 7, 512), torch.float32)
    expected = network(preprocess_torchvision(images.float())).permute(0, 2, 3, 1)
    torch.testing.assert_close(maps, expected, rtol=1e-3, atol=1e-3)


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
    with pytest.raises(WeightsError, match="expected layer block1_conv1, found none; name a file of VGG19 weights"):
        make_extractor(**local(path))


def test_bfloat16_stays_close_to_float32(make_extractor, random_extractor, images):
    exact = random_extractor.network(images[:1])
    rounded = make_extractor(precision="bfloat16").network(images[:1])
    assert rounded.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(rounded.flatten(), exact.flatten(), dim=0) > 0.999


def test_a_frame_wanted_several_times_is_computed_once(make_extractor, tmp_path, media):
    path = media.write(tmp_path / "clip.mp4", frame_rate=5, num_frames=15, audio_seconds=None)
    for sampling in ("frames", "time"):
        prepared = make_extractor(frames_per_segment=16, sampling=sampling).prepare(path)
        assert prepared.inputs.shape == (15, 3, 224, 224)
        assert prepared.inputs.dtype == torch.uint8
        # Five frames for sixteen samples.
        expected = np.arange(3)[:, None] * 5 + np.arange(16) * 5 // 16
        np.testing.assert_array_equal(prepared.rows, expected)


def test_a_longer_file_is_cut_by_time_and_squeezed_by_number(make_extractor, tmp_path, media):
    path = media.write(tmp_path / "clip.mp4", num_frames=150, audio_seconds=None)
    expected = {"time": [0, 25, 50], "frames": [0, 50, 100]}
    for sampling, numbers in expected.items():
        prepared = make_extractor(frames_per_segment=1, sampling=sampling).prepare(path)
        assert [media.number_in(image.permute(1, 2, 0).numpy()) for image in prepared.inputs] == numbers
        assert prepared.seconds == pytest.approx(6.0)


def test_a_truncated_file_leaves_masks_at_its_end(make_extractor, tmp_path, media):
    path = media.write(tmp_path / "clip.mp4", num_frames=75, audio_seconds=None)
    content = path.read_bytes()
    pictures = content.find(b"mdat")
    path.write_bytes(content[: pictures + int(0.5 * (len(content) - pictures))])
    prepared = make_extractor(frames_per_segment=4).prepare(path)
    assert (prepared.rows[0] == [0, 1, 2, 3]).all()
    assert (prepared.rows[2] == NO_FRAME).all()
    assert segment_valid(prepared.rows).tolist() == [True, prepared.rows[1, 1] != NO_FRAME, False]
    assert prepared.reason == "truncated"
    assert prepared.detail.endswith(" of 75 frames")


def test_the_recipe_holds_what_changes_a_value_and_the_code_what_computes_it(random_extractor, make_extractor):
    assert random_extractor.recipe["weights"] == random_extractor.weights_sha256 == "random:19"
    assert random_extractor.recipe["frames_per_segment"] == 2
    assert random_extractor.recipe["num_segments"] == 3
    assert random_extractor.storage == np.float16
    assert random_extractor.code == make_extractor(weights_seed=3).code

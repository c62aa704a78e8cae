import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.backbones.registry import BACKBONES
from pipeline.core.errors import WeightsError
from pipeline.core.fingerprints import fingerprint
from pipeline.features.recipes import (
    LLP_LAYOUT,
    audio_recipe,
    feature_recipe,
    released_recipe,
    visual_feature_shape,
    visual_layout,
    visual_recipe,
)
from pipeline.params.schema import AudioParams, DatasetParams, MotionParams, VisualParams, load_params

ROOT = Path(__file__).resolve().parents[4]
PARAMS = load_params(ROOT / "data" / "synthetic" / "preset.yaml")

IRRELEVANT = {
    VisualParams: {"max_failed_fraction", "weights_sha256"},
    AudioParams: {"max_failed_fraction", "weights_sha256", "pca_weights", "pca_sha256"},
    DatasetParams: {
        "name",
        "task",
        "format",
        "videos",
        "split",
        "ambiguous_videos",
        "labels",
        "short_clips",
        "min_coverage",
    },
}
MOTION = {"backbone": "r2plus1d_18", "weights": "random", "weights_sha256": None, "weights_seed": 18}
OTHER_VALUES = {
    "backbone": "resnet101",
    "combine": "stack",
    "motion": MotionParams(**MOTION),
    "weights": "torchvision",
    "weights_seed": 7,
    "alignment": "continuous",
    "postprocess": "pca",
    "pca_weights": "torchvggish",
    "pca_sha256": "0" * 64,
    "sampling": "time",
    "frames_per_segment": 16,
    "precision": "bfloat16",
    "storage": "other",
    "num_segments": 5,
    "segment_seconds": 2.0,
}


def recipe_of(modality: str, params: VisualParams | AudioParams, dataset: DatasetParams) -> dict[str, object]:
    return visual_recipe(params, dataset) if modality == "visual" else audio_recipe(params, dataset)


@pytest.mark.parametrize("modality", ["visual", "audio"])
def test_every_parameter_that_changes_a_value_is_in_the_recipe_and_no_other(modality):
    params, dataset = getattr(PARAMS, modality), PARAMS.dataset
    recipe = recipe_of(modality, params, dataset)
    for section in (params, dataset):
        for name in type(section).model_fields:
            value = "torchvggish" if (name, modality) == ("weights", "audio") else OTHER_VALUES.get(name, "x")
            other = section.model_copy(update={name: value})
            changed = recipe_of(modality, other, dataset) if section is params else recipe_of(modality, params, other)
            assert (changed != recipe) == (name not in IRRELEVANT[type(section)]), name


@pytest.mark.parametrize("modality", ["visual", "audio"])
def test_released_features_are_of_a_recipe_that_no_extraction_has(modality):
    section = getattr(PARAMS, modality)
    released = PARAMS.model_copy(update={"features": PARAMS.features.model_copy(update={"source": "released"})})
    recipe = feature_recipe(released, modality)
    assert feature_recipe(PARAMS, modality) == recipe_of(modality, section, PARAMS.dataset) != recipe
    assert recipe == released_recipe(PARAMS, modality)
    for name in type(section).model_fields:  # how features are extracted does not matter to those that are not
        other = released.model_copy(update={modality: section.model_copy(update={name: OTHER_VALUES.get(name, "x")})})
        assert (feature_recipe(other, modality) != recipe) == (name == "storage"), name
    for key, value in {"name": "other", "short_clips": "repeat", "num_segments": 5, "segment_seconds": 2.0}.items():
        other = released.model_copy(update={"dataset": PARAMS.dataset.model_copy(update={key: value})})
        assert feature_recipe(other, modality) != recipe, key


@pytest.mark.parametrize("modality", ["visual", "audio"])
def test_a_recipe_is_plain_json_so_that_it_has_a_hash(modality):
    recipe = recipe_of(modality, getattr(PARAMS, modality), PARAMS.dataset)
    assert len(fingerprint(recipe)) == 16


@pytest.mark.parametrize(
    ("weights", "preprocessing"),
    [
        ("random", "torchvision"),
        ("torchvision", "torchvision"),
        ("keras", "caffe"),
        ("data/weights/mine.h5", "caffe"),
        ("data/weights/mine.pth", "torchvision"),
        ("data/weights/mine.safetensors", "torchvision"),
    ],
)
def test_the_weights_decide_the_preprocessing(weights, preprocessing):
    recipe = visual_recipe(
        PARAMS.visual.model_copy(update={"weights": weights, "weights_sha256": "0" * 64}), PARAMS.dataset
    )
    assert recipe["preprocessing"] == preprocessing


def test_the_seed_of_random_weights_does_not_count_for_a_file():
    for modality, weights in (("visual", "keras"), ("audio", "torchvggish")):
        params = getattr(PARAMS, modality).model_copy(update={"weights": weights})
        other = params.model_copy(update={"weights_seed": params.weights_seed + 1})
        assert recipe_of(modality, params, PARAMS.dataset) == recipe_of(modality, other, PARAMS.dataset)


def test_weights_that_nobody_knows_are_refused():
    for modality in ("visual", "audio"):
        params = getattr(PARAMS, modality).model_copy(update={"weights": "resnet"})
        with pytest.raises(WeightsError, match="weights 'resnet': expected random, "):
            recipe_of(modality, params, PARAMS.dataset)


@pytest.mark.parametrize("modality", ["visual", "audio"])
def test_a_local_file_is_named_by_its_hash_which_must_be_given(modality):
    params = getattr(PARAMS, modality).model_copy(update={"weights": "data/weights/mine.pth"})
    with pytest.raises(WeightsError, match=rf"{modality}\.weights_sha256: expected the hash .* found null; write what"):
        recipe_of(modality, params, PARAMS.dataset)
    recipes = [
        recipe_of(modality, params.model_copy(update={"weights": path, "weights_sha256": digest}), PARAMS.dataset)
        for path, digest in (("a.pth", "0" * 64), ("b.pth", "0" * 64), ("a.pth", "1" * 64))
    ]
    assert recipes[0] == recipes[1] != recipes[2]


def audio_recipe_with(**changes: object) -> dict[str, object]:
    return audio_recipe(PARAMS.audio.model_copy(update=changes), PARAMS.dataset)


def test_the_audio_recipe_says_how_the_waveform_is_cut():
    assert audio_recipe_with()["alignment"] == "segment"
    assert audio_recipe_with()["resampler"] == "soxr HQ, each segment alone"
    assert audio_recipe_with(alignment="continuous")["alignment"] == "continuous"
    assert audio_recipe_with(alignment="continuous")["resampler"] == "soxr HQ, whole waveform"


def test_the_audio_recipe_names_the_principal_components_where_they_are_used():
    assert "pca_weights" not in audio_recipe_with()
    names = {
        "random": "random:128",
        "torchvggish": "torchvggish",
        "mine.pth": "sha256:01234567",
        "mine.npz": "sha256:01234567",
    }
    for weights, name in names.items():
        recipe = audio_recipe_with(postprocess="pca", pca_weights=weights, pca_sha256="01234567")
        assert recipe["pca_weights"] == name
        assert "PCA and 8 bits" in recipe["postprocess"]


def test_the_seed_counts_for_random_principal_components_of_a_published_network():
    recipes = [
        audio_recipe_with(weights="torchvggish", postprocess="pca", pca_weights=weights, weights_seed=seed)
        for weights in ("random", "torchvggish")
        for seed in (1, 2)
    ]
    assert recipes[0] != recipes[1]
    assert recipes[2] == recipes[3]


def test_local_principal_components_need_their_hash():
    with pytest.raises(
        WeightsError, match=r"audio\.pca_sha256: expected the hash .* mine\.npz, found null; write what"
    ):
        audio_recipe_with(postprocess="pca", pca_weights="mine.npz")


@pytest.mark.parametrize("weights", ["audioset", "mine.h5", "mine.npy"])
def test_principal_components_that_nobody_knows_are_refused(weights):
    message = (
        r"expected random, torchvggish, or a file ending in \.pth, \.pt, \.safetensors or \.npz, found neither; corr"
    )
    with pytest.raises(WeightsError, match=message):
        audio_recipe_with(postprocess="pca", pca_weights=weights, pca_sha256="0" * 64)


def visual_params(**changes: object) -> VisualParams:
    return VisualParams.model_validate({**PARAMS.visual.model_dump(), **changes})


def test_the_recipe_of_vgg19_is_that_of_the_ave_release():
    recipe = visual_recipe(visual_params(weights="keras", frames_per_segment=16), PARAMS.dataset)
    assert recipe == {
        "backbone": "vgg19",
        "layer": "block5_pool",
        "weights": "keras",
        "preprocessing": "caffe",
        "image_size": 224,
        "resize": "OpenCV INTER_LINEAR: bilinear, half-pixel centres, no antialias",
        "sampling": "frames",
        "frames_per_segment": 16,
        "combine": "mean",
        "precision": "float32",
        "storage": "float16",
        "num_segments": 10,
        "segment_seconds": 1.0,
    }


def test_the_recipes_of_all_backbones_have_the_same_keys_and_are_different():
    recipes = [visual_recipe(visual_params(backbone=backbone), PARAMS.dataset) for backbone in BACKBONES]
    assert {tuple(recipe) for recipe in recipes} == {tuple(recipes[0])}
    assert len({fingerprint(recipe) for recipe in recipes}) == len(BACKBONES)


def test_the_recipes_of_llp_are_those_of_its_scripts():
    pooled, snippets = (
        visual_recipe(visual_params(backbone=backbone, frames_per_segment=8, combine=combine), PARAMS.dataset)
        for backbone, combine in (("resnet152_pooled", "stack"), ("r2plus1d_18", "mean"))
    )
    assert (pooled["layer"], pooled["preprocessing"], pooled["combine"]) == ("avgpool", "torchvision", "stack")
    assert pooled["resize"] == (
        "shorter side to 8/7 of the image size, bilinear with antialias as Pillow's; the centre of it"
    )
    assert (snippets["image_size"], snippets["preprocessing"]) == (112, "kinetics")
    assert snippets["resize"] == "both sides stretched, bilinear with antialias as Pillow's"
    assert snippets["combine"] == "one snippet per segment, a missing frame is the nearest one of its segment"


LLP = {"backbone": "resnet152_pooled", "frames_per_segment": 8, "combine": "stack", "sampling": "time"}


def test_the_recipe_of_two_streams_is_that_of_appearance_and_a_key_for_motion():
    recipe = visual_recipe(visual_params(**LLP, motion=MOTION), PARAMS.dataset)
    assert {key: value for key, value in recipe.items() if key != "motion"} == visual_recipe(
        visual_params(**LLP), PARAMS.dataset
    )
    alone = visual_recipe(visual_params(**{**LLP, **MOTION, "combine": "mean"}), PARAMS.dataset)
    keys = ("backbone", "layer", "weights", "preprocessing", "image_size", "resize", "combine")
    assert recipe["motion"] == {key: alone[key] for key in keys}
    assert recipe["motion"]["weights"] == "random:18"


@pytest.mark.parametrize("key", ["weights", "weights_seed", "weights_sha256"])
def test_the_weights_of_motion_are_named_by_what_they_are(key):
    def recipe(**changes: object) -> dict[str, object]:
        return visual_recipe(visual_params(**LLP, motion={**MOTION, **changes}), PARAMS.dataset)["motion"]

    if key == "weights":
        assert recipe(weights="torchvision")["weights"] == "torchvision"
        with pytest.raises(
            WeightsError, match=r"visual\.motion\.weights_sha256: expected the hash .* found null; write"
        ):
            recipe(weights="mine.pth")
        with pytest.raises(WeightsError, match=r"'keras': expected random, torchvision, .* correct .*motion\.weights"):
            recipe(weights="keras")
    elif key == "weights_seed":
        assert recipe(weights_seed=3)["weights"] == "random:3"
    else:
        assert recipe(weights="mine.pth", weights_sha256="0" * 64)["weights"] == f"sha256:{'0' * 64}"


def test_the_layout_of_a_segment_tells_appearance_and_motion_apart():
    assert visual_layout(visual_params(**LLP, motion=MOTION)) == ((8, 2048), 512) == LLP_LAYOUT
    assert visual_layout(visual_params(**LLP)) == ((8, 2048), 0)
    assert visual_layout(visual_params(motion=MOTION)) == ((7, 7, 512), 512)


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({**LLP, "motion": MOTION}, (8 * 2048 + 512,)),
        ({"backbone": "resnet101", "motion": MOTION}, (7 * 7 * 1024 + 512,)),
        ({"backbone": "vgg19", "frames_per_segment": 16}, (7, 7, 512)),
        ({"backbone": "vgg19", "frames_per_segment": 4, "combine": "stack"}, (4, 7, 7, 512)),
        ({"backbone": "resnet101"}, (7, 7, 1024)),
        ({"backbone": "resnet152_pooled", "frames_per_segment": 8, "combine": "stack"}, (8, 2048)),
        ({"backbone": "r2plus1d_18", "frames_per_segment": 8}, (512,)),
    ],
)
def test_the_shape_of_a_feature_follows_from_the_params(changes, shape):
    assert visual_feature_shape(visual_params(**changes)) == shape


@pytest.mark.parametrize(
    ("backbone", "names"),
    [
        ("vgg19", r"random, keras, torchvision, or a file ending in \.h5, \.pth, \.pt or \.safetensors"),
        ("resnet101", r"random, torchvision, torchvision_v2, or a file ending in \.pth, \.pt or \.safetensors"),
        ("resnet152_pooled", r"random, torchvision, torchvision_v2, or a file ending in \.pth, \.pt or \.safetensors"),
        ("r2plus1d_18", r"random, torchvision, or a file ending in \.pth, \.pt or \.safetensors"),
    ],
)
def test_refused_weights_are_answered_with_those_of_the_backbone(backbone, names):
    for weights in ("imagenet", "mine.npz", *(() if backbone == "vgg19" else ("keras", "mine.h5"))):
        params = visual_params(backbone=backbone, weights=weights, weights_sha256="0" * 64)
        with pytest.raises(WeightsError, match=rf"weights '{weights}': expected {names}, found neither"):
            visual_recipe(params, PARAMS.dataset)


def test_recipes_do_not_need_the_networks():
    names = "sorted(name for name in sys.modules if name.startswith('models'))"
    code = f"import sys, pipeline.features.recipes; print(*{names})"
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == ""

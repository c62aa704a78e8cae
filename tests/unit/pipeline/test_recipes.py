from pathlib import Path

import pytest

from pipeline.errors import WeightsError
from pipeline.files import fingerprint
from pipeline.params import AudioParams, DatasetParams, VisualParams, load_params
from pipeline.recipes import audio_recipe, visual_recipe

PARAMS = load_params(Path(__file__).resolve().parents[3] / "data" / "synthetic" / "preset.yaml")

IRRELEVANT = {
    VisualParams: {"max_failed_fraction", "weights_sha256"},
    AudioParams: {"max_failed_fraction", "weights_sha256"},
    DatasetParams: {"name", "format", "videos", "min_coverage"},
}
OTHER_VALUES = {
    "weights": "torchvision",
    "weights_seed": 7,
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
            if name == "backbone":  # only one to choose
                continue
            value = "torchvggish" if (name, modality) == ("weights", "audio") else OTHER_VALUES.get(name, "x")
            other = section.model_copy(update={name: value})
            changed = recipe_of(modality, other, dataset) if section is params else recipe_of(modality, params, other)
            assert (changed != recipe) == (name not in IRRELEVANT[type(section)]), name


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

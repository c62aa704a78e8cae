import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pipeline.core.errors import CheckpointError, WeightsError
from pipeline.core.files import sha256_of_file
from pipeline.features.recipes import audio_recipe, released_recipe, visual_recipe
from pipeline.features.visual.extractor import visual_decoder
from pipeline.features.visual.two_streams import TwoStreamDecoder
from pipeline.params.schema import Params
from pipeline.prediction.network import WeightFiles, feature_params, load_model, params_of_recipes
from pipeline.training.checkpoints import SELECTIONS, Checkpoint, build_network, save_checkpoint

NONE = WeightFiles()
WHERE = Path("results/train/weights.safetensors")
HASH = "0123456789abcdef" * 4
MOTION = {"backbone": "r2plus1d_18", "weights": "random", "weights_sha256": None, "weights_seed": 18}
LLP = {
    "visual.backbone": "resnet152_pooled",
    "visual.combine": "stack",
    "visual.sampling": "time",
    "visual.frames_per_segment": 8,
    "visual.weights": "torchvision",
    "visual.motion": MOTION,
}


def checkpoint_of(visual: dict[str, Any], audio: dict[str, Any], *, channels: int = 512) -> Checkpoint:
    """Return a checkpoint as one comes back from its file: recipes went through JSON."""
    visual, audio = json.loads(json.dumps([visual, audio]))
    return Checkpoint(
        method="cpsp",
        supervision="full",
        network={"tau": 0.1, "pooling": "mean"},
        categories=["bell", "siren"],
        inputs={"visual_channels": channels, "num_positions": 49, "audio_features": 128},
        visual_recipe=visual,
        audio_recipe=audio,
        precision="float32",
        epoch=3,
        selected_on="val",
        score=50.0,
        seed=1,
    )


def extracted(params: Params, *, channels: int = 512) -> Checkpoint:
    return checkpoint_of(
        visual_recipe(params.visual, params.dataset), audio_recipe(params.audio, params.dataset), channels=channels
    )


@pytest.mark.parametrize(
    ("channels", "changes"),
    [
        (512, {}),
        (512, {"visual.weights": "keras", "visual.frames_per_segment": 16, "visual.storage": "float32"}),
        (512, {"visual.sampling": "time", "visual.precision": "bfloat16", "visual.weights_seed": 7}),
        (1024, {"visual.backbone": "resnet152", "visual.weights": "torchvision_v2"}),
        (512, {"audio.weights": "torchvggish", "audio.alignment": "continuous"}),
        (512, {"audio.postprocess": "pca", "audio.weights_seed": 5}),
        (512, {"audio.postprocess": "pca", "audio.weights": "torchvggish", "audio.weights_seed": 5}),
        (512, {"audio.postprocess": "pca", "audio.pca_weights": "torchvggish", "audio.weights_seed": 5}),
        (512, {"dataset.num_segments": 5, "dataset.segment_seconds": 2.0}),
    ],
)
def test_params_of_a_recipe_make_that_recipe_again(channels: int, changes: dict, make_params: Callable) -> None:
    params = make_params(**changes)
    found = feature_params(WHERE, extracted(params, channels=channels), NONE)
    assert visual_recipe(found.visual, found.dataset) == visual_recipe(params.visual, params.dataset)
    assert audio_recipe(found.audio, found.dataset) == audio_recipe(params.audio, params.dataset)
    assert found.visual.weights_seed == params.visual.weights_seed or params.visual.weights != "random"


def test_local_weights_are_those_of_the_recipe_wherever_they_lie(make_params: Callable, tmp_path: Path) -> None:
    files = {}
    for name in ("visual", "audio", "pca"):
        files[name] = tmp_path / f"{name}.pth"
        files[name].write_text(name)
    hashes = {name: sha256_of_file(path) for name, path in files.items()}
    params = make_params(
        **{
            "visual.weights": "elsewhere/visual.pth",
            "visual.weights_sha256": hashes["visual"],
            "audio.weights": "audio.pt",
            "audio.weights_sha256": hashes["audio"][:8],
            "audio.postprocess": "pca",
            "audio.pca_weights": "pca.pth",
            "audio.pca_sha256": hashes["pca"],
        }
    )
    found = feature_params(WHERE, extracted(params), WeightFiles(**files))
    assert (found.visual.weights, found.audio.weights, found.audio.pca_weights) == tuple(map(str, files.values()))
    for given, message in (
        (WeightFiles(None, files["audio"], files["pca"]), r"--visual-weights: expected .*, found none; name that file"),
        (WeightFiles(files["visual"], files["pca"], files["pca"]), f"--audio-weights: .* found {hashes['pca']}"),
        (WeightFiles(files["visual"], files["audio"], tmp_path / "no"), "--pca-weights: .* found no file .*no;"),
    ):
        with pytest.raises(WeightsError, match=message):
            feature_params(WHERE, extracted(params), given)


def recipes_of(params: Params) -> dict[str, dict[str, Any]]:
    """Return the recipes of both modalities, through JSON."""
    recipes = {
        "visual": visual_recipe(params.visual, params.dataset),
        "audio": audio_recipe(params.audio, params.dataset),
    }
    return json.loads(json.dumps(recipes))


@pytest.mark.parametrize("motion", [MOTION, {**MOTION, "weights": "torchvision"}, None])
def test_params_of_two_streams_make_their_recipe_again(motion: dict | None, make_params: Callable) -> None:
    params = make_params(**{**LLP, "visual.motion": motion})
    found = params_of_recipes(WHERE, recipes_of(params), NONE)
    assert recipes_of(found) == recipes_of(params)
    assert (found.visual.motion is None) == (motion is None)
    assert isinstance(visual_decoder(found.visual, found.dataset), TwoStreamDecoder) == (motion is not None)


def test_local_weights_of_motion_are_those_of_the_recipe(make_params: Callable, tmp_path: Path) -> None:
    file = tmp_path / "motion.pth"
    file.write_text("motion")
    local = {**MOTION, "weights": "elsewhere.pth", "weights_sha256": sha256_of_file(file)}
    recipes = recipes_of(make_params(**{**LLP, "visual.motion": local}))
    assert params_of_recipes(WHERE, recipes, WeightFiles(motion=file)).visual.motion.weights == str(file)
    with pytest.raises(WeightsError, match=r"--motion-weights: expected .*, found none; name that file"):
        params_of_recipes(WHERE, recipes, NONE)


def test_networks_of_maps_do_not_take_two_streams(make_params: Callable) -> None:
    with pytest.raises(CheckpointError, match=r"expected maps of 49 .* makes features of shape \(16896,\)"):
        feature_params(WHERE, extracted(make_params(**LLP)), NONE)


@pytest.mark.parametrize("name", ["visual", "audio", "pca", "motion"])
def test_a_file_that_the_recipe_does_not_ask_for_is_refused(name: str, make_params: Callable) -> None:
    with pytest.raises(WeightsError, match=rf"--{name}-weights: expected no file, .*; leave it out"):
        feature_params(WHERE, extracted(make_params()), WeightFiles(**{name: Path("weights.pth")}))


@pytest.mark.parametrize(
    ("recipe", "key", "value"),
    [
        ("visual_recipe", "layer", "block4_pool"),
        ("visual_recipe", "preprocessing", "caffe"),
        ("audio_recipe", "resampler", "kaiser"),
        ("audio_recipe", "num_segments", 9),
    ],
)
def test_a_recipe_that_this_version_does_not_make_is_refused(
    recipe: str, key: str, value: object, make_params: Callable
) -> None:
    checkpoint = extracted(make_params())
    checkpoint = replace(checkpoint, **{recipe: {**getattr(checkpoint, recipe), key: value}})
    with pytest.raises(CheckpointError, match=rf"recipe of the {recipe[:6].strip('_')}.*, {key}: .*{value!r}"):
        feature_params(WHERE, checkpoint, NONE)


@pytest.mark.parametrize(("key", "value"), [("backbone", "vgg11"), ("sampling", None), ("weights", "random:x")])
def test_a_recipe_that_is_not_understood_is_one_line(key: str, value: object, make_params: Callable) -> None:
    checkpoint = extracted(make_params())
    checkpoint = replace(checkpoint, visual_recipe={**checkpoint.visual_recipe, key: value})
    with pytest.raises(CheckpointError, match="expected recipes of features as this version writes them") as raised:
        feature_params(WHERE, checkpoint, NONE)
    assert "\n" not in str(raised.value)


def test_features_that_do_not_fit_the_network_are_refused(make_params: Callable) -> None:
    with pytest.raises(CheckpointError, match="maps of 49 positions and 1024 channels"):
        feature_params(WHERE, extracted(make_params(), channels=1024), NONE)
    pooled = make_params(**{"visual.backbone": "resnet152_pooled"})
    with pytest.raises(CheckpointError, match=r"resnet152_pooled makes features of shape \(2048,\)"):
        feature_params(WHERE, extracted(pooled), NONE)


def released(make_params: Callable, *, channels: int = 512) -> Checkpoint:
    params = make_params(**{"features.source": "released", "dataset.name": "ave"})
    return checkpoint_of(released_recipe(params, "visual"), released_recipe(params, "audio"), channels=channels)


def test_released_features_are_made_as_those_of_ave_were(make_params: Callable) -> None:
    found = feature_params(WHERE, released(make_params), NONE)
    visual, audio = found.visual, found.audio
    assert (visual.backbone, visual.weights, visual.sampling, visual.frames_per_segment, visual.combine) == (
        "vgg19",
        "keras",
        "frames",
        16,
        "mean",
    )
    assert (audio.weights, audio.alignment, audio.postprocess) == ("torchvggish", "segment", "none")
    assert visual_recipe(visual, found.dataset)["preprocessing"] == "caffe"


def test_released_features_of_another_network_are_refused(make_params: Callable) -> None:
    with pytest.raises(CheckpointError, match="expected maps of 49 positions and 1024 channels"):
        feature_params(WHERE, released(make_params, channels=1024), NONE)


@pytest.mark.usefixtures("small_networks")
def test_a_folder_stands_for_the_weights_selected_on_validation(make_params: Callable, tmp_path: Path) -> None:
    checkpoint = extracted(make_params())
    torch.manual_seed(0)
    save_checkpoint(tmp_path / SELECTIONS["val"], checkpoint, build_network(checkpoint).state_dict())
    model = load_model(tmp_path, NONE, torch.device("cpu"))
    assert model.path == tmp_path / SELECTIONS["val"]
    assert model.sha256 == sha256_of_file(model.path)
    assert (model.num_segments, model.segment_seconds, model.frames.sampling) == (10, 1.0, "frames")
    assert model.warnings == ()
    assert model.notice.startswith("Random network weights (visual, audio): ")
    facts = model.facts()
    assert json.loads(json.dumps(facts)) == facts
    assert (facts["method"], facts["epoch"], facts["visual_weights"]) == ("cpsp", 3, "random:19")
    assert not any(module.training for module in model.network.modules())


def test_models_without_random_weights_carry_no_notice(make_model: Callable) -> None:
    assert make_model(weights="keras").notice == ""
    assert "visual, audio" in make_model(weights="random:3").notice


def test_a_model_of_two_streams_names_the_weights_of_both(make_model: Callable) -> None:
    model = make_model(weights="torchvision")
    assert "motion_weights" not in model.facts()
    model.visual.recipe["motion"] = {"weights": "random:18"}
    assert "(motion)" in model.notice
    assert (model.facts()["visual_weights"], model.facts()["motion_weights"]) == ("torchvision", "random:18")


def test_a_missing_model_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="found no file; run `dvc repro train`"):
        load_model(tmp_path, NONE, torch.device("cpu"))
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="expected trained weights"):
        load_model(tmp_path / "foreign.safetensors", NONE, torch.device("cpu"))

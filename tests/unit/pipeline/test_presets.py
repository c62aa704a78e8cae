import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from avel_testing.methods import EVERY_TRAINING
from pipeline.features.recipes import LLP_LAYOUT, visual_layout
from pipeline.methods.registry import METHODS, methods_of
from pipeline.methods.settings import ScheduleParams, Supervision
from pipeline.params.schema import Params, load_params

ROOT = Path(__file__).resolve().parents[3]
PRESETS = sorted(ROOT.glob("data/*/preset.yaml"))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.parent.name)
def test_every_preset_is_a_whole_params_file_for_its_own_folder(preset: Path) -> None:
    assert load_params(preset).dataset.name == preset.parent.name


@pytest.mark.parametrize(
    "name", ["synthetic", "ave", "vggsound_avel100k", "vggsound_avel50k", "csv", "llp", "synthetic_parsing"]
)
def test_the_shipped_presets_exist_with_a_readme_where_files_are_needed(name: str) -> None:
    assert ROOT / "data" / name / "preset.yaml" in PRESETS
    assert name == "synthetic" or (ROOT / "data" / name / "README.md").is_file()


def test_the_repository_starts_with_the_embedded_data_set() -> None:
    """As committed: what a user has put in place since is their own."""
    shown = subprocess.run(["git", "show", "HEAD:params.yaml"], cwd=ROOT, capture_output=True)
    if shown.returncode != 0:
        pytest.skip("not a Git checkout")
    assert shown.stdout == (ROOT / "data" / "synthetic" / "preset.yaml").read_bytes()


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.parent.name)
def test_the_released_labels_are_the_truth_of_ave_alone(preset: Path) -> None:
    params = load_params(preset)
    assert params.dataset.labels == ("released" if params.dataset.format == "ave" else "annotations")


@pytest.fixture
def ave() -> Params:
    return load_params(ROOT / "data" / "ave" / "preset.yaml")


def schedule(settings: ScheduleParams) -> tuple[Any, ...]:
    return (
        settings.batch_size,
        settings.num_epochs,
        settings.learning_rate,
        settings.milestones,
        settings.learning_rate_factor,
        settings.max_gradient_norm,
    )


def test_ave_trains_cpsp_with_the_published_settings(ave: Params) -> None:
    full, weak = ave.train.cpsp.full, ave.train.cpsp.weak
    assert (ave.train.method, ave.train.supervision, ave.train.seed) == ("cpsp", "full", 123)
    assert (full.tau, weak.tau) == (0.099, 0.095)
    assert schedule(full) == (64, 45, 0.001, [10, 20, 30], 0.5, 0.1)
    assert schedule(weak) == (64, 45, 0.001, [5, 20, 40], 0.5, 0.1)
    assert (full.avpsp.weight, full.spsa.weight, full.spsa.temperature) == (100, 0.01, 0.6)
    assert (full.vpsa.weight, full.vpsa.form, full.vpsa.margin, full.vpsa.num_negatives) == (1, "triplet", 0.2, 3)
    assert (weak.vpsa.weight, weak.vpsa.form, weak.vpsa.margin, weak.vpsa.num_negatives) == (1, "triplet", 0.6, 4)
    assert (full.vpsa.ratio, full.vpsa.eta) == (weak.vpsa.ratio, weak.vpsa.eta) == (0.9, 0.1)


def test_ave_trains_psp_with_the_settings_of_its_own_paper(ave: Params) -> None:
    full, weak = ave.train.psp.full, ave.train.psp.weak
    assert (full.tau, weak.tau, full.avpsp.weight) == (0.099, 0.095, 100)
    assert schedule(full) == (128, 300, 0.001, [60, 120], 0.8, None)
    assert schedule(weak) == (128, 300, 0.001, [80, 160], 0.8, None)


@pytest.mark.parametrize("supervision", ["full", "weak"])
def test_ave_trains_the_other_methods_on_cpsps_schedule_as_its_release_does(ave: Params, supervision: str) -> None:
    expected = schedule(getattr(ave.train.cpsp, supervision))
    for method in ("avel", "avsdn", "psp_cpsp", "sspsp"):
        assert schedule(getattr(ave.train.common, supervision)) == expected
        assert schedule(getattr(getattr(ave.train, method), supervision)) == expected
    sspsp = getattr(ave.train.sspsp, supervision)
    assert (sspsp.nce.weight, sspsp.nce.temperature) == (1, 0.1)
    assert sspsp.tau == getattr(ave.train.cpsp, supervision).tau


def test_ave_extracts_the_features_of_its_release(ave: Params) -> None:
    assert (ave.dataset.num_segments, ave.dataset.segment_seconds) == (10, 1.0)
    assert (ave.visual.weights, ave.visual.sampling, ave.visual.frames_per_segment) == ("keras", "frames", 16)
    assert ave.audio.weights == "torchvggish"
    assert (ave.visual.max_failed_fraction, ave.audio.max_failed_fraction) == (0.01, 0.01)
    assert ave.dataset.min_coverage == 0.99


@pytest.mark.parametrize("name", ["vggsound_avel100k", "vggsound_avel50k"])
def test_vggsound_avel_differs_from_ave_in_format_labels_and_short_clips_alone(ave: Params, name: str) -> None:
    params = load_params(ROOT / "data" / name / "preset.yaml")
    changes = {"name": name, "format": "vggsound_avel", "labels": "annotations", "short_clips": "repeat"}
    assert params.dataset == ave.dataset.model_copy(update=changes)
    assert (params.features, params.visual, params.audio, params.train) == (
        ave.features,
        ave.visual,
        ave.audio,
        ave.train,
    )


def test_a_data_set_of_ones_own_differs_from_ave_in_format_labels_and_sampling_alone(ave: Params) -> None:
    own = load_params(ROOT / "data" / "csv" / "preset.yaml")
    assert own.visual == ave.visual.model_copy(update={"sampling": "time"})
    assert own.dataset == ave.dataset.model_copy(update={"name": "csv", "format": "csv", "labels": "annotations"})
    assert (own.audio, own.train, own.evaluate) == (ave.audio, ave.train, ave.evaluate)


@EVERY_TRAINING
def test_ave_trains_every_method_as_published_but_for_the_form_of_spsa(
    ave: Params, method: str, supervision: Supervision
) -> None:
    """The released form of L_spsa has no gradient."""
    found = getattr(getattr(ave.train, method), supervision).model_dump()
    expected = METHODS[method].published[supervision].model_dump()
    if "spsa" in expected:
        assert (expected["spsa"].pop("form"), found["spsa"].pop("form")) == ("released", "paper")
    assert found == expected


@pytest.mark.parametrize("method", methods_of("parsing"))
def test_llp_trains_every_method_of_parsing_as_published_but_for_the_form_of_vpsa(method: str) -> None:
    """The released form leaves a whole batch out where one clip has no negatives."""
    found = getattr(load_params(ROOT / "data" / "llp" / "preset.yaml").train, method).weak.model_dump()
    expected = METHODS[method].published["weak"].model_dump()
    if "vpsa" in expected:
        assert (expected["vpsa"].pop("form"), found["vpsa"].pop("form")) == ("released", "intended")
    assert found == expected


def test_llp_extracts_the_streams_that_its_authors_did() -> None:
    llp = load_params(ROOT / "data" / "llp" / "preset.yaml")
    assert visual_layout(llp.visual) == LLP_LAYOUT
    assert (llp.visual.sampling, llp.visual.weights, llp.visual.motion.weights) == (
        "time",
        "torchvision",
        "torchvision",
    )
    assert (llp.features.source, llp.train.seed, llp.train.precision) == ("released", 1, "float32")


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.parent.name)
def test_a_preset_has_the_methods_of_its_task_and_no_other(preset: Path) -> None:
    content = YAML(typ="safe", pure=True).load(preset)
    blocks = {name for name in content["train"] if name in METHODS}
    assert blocks == set(methods_of(content["dataset"]["task"]))

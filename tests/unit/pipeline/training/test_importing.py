"""Checkpoints in the authors' format, made here: their names, their wrapper, their double precision."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from avel_testing.methods import EVERY_TRAINING
from pipeline.cli import app
from pipeline.core.errors import CheckpointError, ParamsError, WeightsError
from pipeline.params.schema import load_params
from pipeline.training.checkpoints import Checkpoint, build_network, load_checkpoint, new_checkpoint
from pipeline.training.dataset import load_dataset
from pipeline.training.importing import import_checkpoint

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def at_work(make_run: Callable, make_params: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with params, annotations and features as a run leaves them."""
    run = make_run(num_clips=24)
    (tmp_path / "work/data").mkdir(parents=True)
    run.rename(tmp_path / "work/data/synthetic")
    shutil.copy(ROOT / "data/synthetic/preset.yaml", tmp_path / "work/params.yaml")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def dataset_of(folder: Path):  # type: ignore[no-untyped-def]
    params = load_params(folder / "params.yaml")
    return params, load_dataset(params, folder / "data/synthetic/prepared", folder / "data/synthetic/features")


def released_state(
    method: str, supervision: str, folder: Path, *, recipe: str = "authors", seed: int = 0
) -> dict[str, torch.Tensor]:
    """Return weights of a network under the names, and in the type, that the released code saves them."""
    params, dataset = dataset_of(folder)
    train = params.train.model_copy(update={"method": method, "supervision": supervision, "recipe": recipe})
    torch.manual_seed(seed)
    network = build_network(new_checkpoint(train, dataset)).double()
    theirs_of = {ours: theirs for theirs, ours in type(network).released_names.items()}
    state = {}
    for name, tensor in network.named_parameters():
        ours = max((place for place in theirs_of if name.startswith(f"{place}.")), key=len)
        state[f"module.{theirs_of[ours]}{name.removeprefix(ours)}"] = tensor.detach()
    return state


@pytest.mark.slow
@EVERY_TRAINING
def test_a_released_checkpoint_becomes_ours_and_is_scored(method: str, supervision: str, at_work: Path) -> None:
    state = released_state(method, supervision, at_work)
    torch.save({**state, "module.align_v.weight": torch.zeros(3, 4).double()}, at_work / "model.pth.tar")
    result = CliRunner().invoke(
        app,
        ["import-checkpoint", "model.pth.tar", "--method", method, "--supervision", supervision],
        catch_exceptions=False,
    )
    assert result.exit_code == 0
    assert f"{len(state)} tensors in float64 used, 1 ignored" in result.output
    assert "module.align_v.weight" in result.output
    metrics = json.loads((at_work / "results/imported/evaluate/metrics.json").read_text())
    assert f"test: {metrics['segment_accuracy']:.2f} % of segments" in result.output
    assert "best_epoch" not in metrics
    assert not [key for key in metrics if key.startswith("test_selected")]
    checkpoint, network = load_checkpoint(at_work / "results/imported/weights.safetensors", CPU)
    assert (checkpoint.method, checkpoint.supervision) == (method, supervision)
    assert (checkpoint.precision, checkpoint.epoch, checkpoint.seed) == ("float64", None, None)
    ours = [tensor.sum().item() for tensor in network.parameters()]
    assert sorted(ours) == pytest.approx(sorted(tensor.sum().item() for tensor in state.values()), rel=1e-12)


def test_a_supervision_that_the_method_lacks_is_refused_in_one_line(at_work: Path) -> None:
    torch.save({}, at_work / "model.pt")
    arguments = ["import-checkpoint", "model.pt", "--method", "cacenet", "--supervision", "weak"]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, ParamsError)
    assert "supervision: expected full: cacenet has no other form, found 'weak'" in str(result.exception)


@pytest.mark.slow
def test_weak_cmran_of_the_cpsp_release_has_no_class_for_background(at_work: Path) -> None:
    torch.save(released_state("cmran", "weak", at_work, recipe="common"), at_work / "model.pt")
    arguments = ["import-checkpoint", "model.pt", "--method", "cmran", "--supervision", "weak"]
    refused = CliRunner().invoke(app, arguments)
    assert "event_classifier.weight of shape (3, 256) instead of (4, 256)" in str(refused.exception)
    taken = CliRunner().invoke(app, [*arguments, "--recipe", "common"], catch_exceptions=False)
    assert taken.exit_code == 0


def test_single_precision_and_no_wrapper_are_taken_too(at_work: Path) -> None:
    state = released_state("cpsp", "full", at_work)
    bare = {name.removeprefix("module."): tensor.float() for name, tensor in state.items()}
    torch.save(bare, at_work / "model.pt")
    params, dataset = dataset_of(at_work)
    imported = import_checkpoint(at_work / "model.pt", params.train, dataset, at_work / "w.safetensors")
    assert (imported.precision, imported.ignored, imported.num_used) == ("float32", [], len(state))


def test_buffers_which_no_released_file_has_are_saved_as_the_network_starts_with_them(
    at_work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build_switched(checkpoint: Checkpoint) -> nn.Module:
        network = build_network(checkpoint)
        network.register_buffer("a_switch", torch.tensor(True))
        return network

    for module in ("importing", "checkpoints"):
        monkeypatch.setattr(f"pipeline.training.{module}.build_network", build_switched)
    state = released_state("cpsp", "full", at_work)
    torch.save(state, at_work / "model.pth")
    params, dataset = dataset_of(at_work)
    imported = import_checkpoint(at_work / "model.pth", params.train, dataset, at_work / "w.safetensors")
    assert (imported.precision, imported.num_used) == ("float64", len(state))
    _, network = load_checkpoint(at_work / "w.safetensors", CPU)
    assert network.get_buffer("a_switch").item() is True
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float64}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: state | {"module.category_classifier.0.weight": torch.zeros(28, 256).double()},
            r"module\.category_classifier\.0\.weight of shape \(28, 256\) instead of \(3, 256\)",
        ),
        (
            lambda state: {name: value for name, value in state.items() if "psp.v_L1" not in name},
            r"no propagation\.visual_value\.weight",
        ),
        (
            lambda state: {name.replace("fa.", "fb."): value for name, value in state.items()},
            r"no audio_projection\.0\.weight, audio_projection\.1\.weight; unknown module\.fb\.0\.weight",
        ),
        (
            lambda state: state | {"module.psp.layer_norm.bias": torch.full((256,), torch.nan).double()},
            r"expected finite weights, found propagation\.layer_norm\.bias",
        ),
        (lambda state: {}, r"no audio_projection\.0\.weight, .* and \d+ more"),
    ],
)
def test_a_wrong_checkpoint_is_refused_by_name_and_shape(change: Callable, message: str, at_work: Path) -> None:
    torch.save(change(released_state("cpsp", "full", at_work)), at_work / "model.pth")
    params, dataset = dataset_of(at_work)
    with pytest.raises(CheckpointError, match=message) as caught:
        import_checkpoint(at_work / "model.pth", params.train, dataset, at_work / "w.safetensors")
    assert re.match(r".*model\.pth as cpsp \(full\)", str(caught.value))
    assert "\n" not in str(caught.value)
    assert not (at_work / "w.safetensors").exists()


def test_the_checkpoint_of_another_method_is_refused(at_work: Path) -> None:
    torch.save(released_state("avel", "full", at_work), at_work / "model.pth")
    params, dataset = dataset_of(at_work)
    with pytest.raises(CheckpointError, match=r"as cpsp \(full\): expected the parameters of that network"):
        import_checkpoint(at_work / "model.pth", params.train, dataset, at_work / "w.safetensors")


def test_nothing_but_tensors_is_unpickled(at_work: Path) -> None:
    torch.save({"weights": Path("x")}, at_work / "model.pth")
    params, dataset = dataset_of(at_work)
    with pytest.raises(WeightsError, match="other Python objects, which are not loaded"):
        import_checkpoint(at_work / "model.pth", params.train, dataset, at_work / "w.safetensors")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({3: torch.zeros(1)}, "expected a state dict of tensors"),
        ({"module.fa.0.weight": 3}, "expected a state dict of tensors"),
        (torch.zeros(2), "expected a state dict of tensors, found Tensor"),
    ],
)
def test_what_is_no_state_dict_is_refused(content: object, message: str, at_work: Path) -> None:
    torch.save(content, at_work / "model.pth")
    params, dataset = dataset_of(at_work)
    with pytest.raises(WeightsError, match=message):
        import_checkpoint(at_work / "model.pth", params.train, dataset, at_work / "w.safetensors")


def test_whole_numbers_are_refused(at_work: Path) -> None:
    state = released_state("cpsp", "full", at_work)
    torch.save({name: tensor.long() for name, tensor in state.items()}, at_work / "model.pth")
    params, dataset = dataset_of(at_work)
    with pytest.raises(CheckpointError, match="expected floating-point weights, found "):
        import_checkpoint(at_work / "model.pth", params.train, dataset, at_work / "w.safetensors")


def test_a_file_that_is_not_there_is_missed(at_work: Path) -> None:
    params, dataset = dataset_of(at_work)
    with pytest.raises(WeightsError, match="found no file; name one that exists"):
        import_checkpoint(at_work / "model.pth", params.train, dataset, at_work / "w.safetensors")


def test_a_training_run_is_not_overwritten(at_work: Path) -> None:
    torch.save(released_state("cpsp", "full", at_work), at_work / "model.pth")
    (at_work / "results/train").mkdir(parents=True)
    (at_work / "results/train/history.csv").touch()
    with pytest.raises(CheckpointError, match="results/train: expected a folder for imported weights"):
        CliRunner().invoke(app, ["import-checkpoint", "model.pth", "--output", "results/train"], catch_exceptions=False)

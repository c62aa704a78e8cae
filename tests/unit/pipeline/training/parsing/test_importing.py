"""Checkpoints of the released parsing code: their names without a wrapper, and layers that nothing depends on."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.core.errors import CheckpointError
from pipeline.params.schema import Params
from pipeline.training.checkpoints import build_network, load_checkpoint, new_checkpoint
from pipeline.training.dataset import load_dataset

CPU = torch.device("cpu")


@pytest.fixture
def at_work(
    make_parsing_run: Callable, make_parsing_params: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Params:
    """Work in a folder with params, annotations and features as a run leaves them."""
    (tmp_path / "work/data").mkdir(parents=True)
    make_parsing_run().rename(tmp_path / "work/data/synthetic_parsing")
    params = make_parsing_params()
    YAML(typ="safe", pure=True).dump(params.model_dump(), tmp_path / "work/params.yaml")
    monkeypatch.chdir(tmp_path / "work")
    return params


def released_state(method: str, params: Params) -> dict[str, torch.Tensor]:
    folder = Path("data/synthetic_parsing")
    dataset = load_dataset(params, folder / "prepared", folder / "features")
    torch.manual_seed(0)
    network = build_network(new_checkpoint(params.train.model_copy(update={"method": method}), dataset))
    theirs_of = {ours: theirs for theirs, ours in type(network).released_names.items()}
    state = {}
    for name, tensor in network.named_parameters():
        ours = max((place for place in theirs_of if name.startswith(f"{place}.")), key=len)
        state[f"{theirs_of[ours]}{name.removeprefix(ours)}"] = tensor.detach()
    return state


@pytest.mark.parametrize("method", ["han", "mmil_psp", "mmil_cpsp"])
def test_a_released_checkpoint_becomes_ours_and_is_scored(method: str, at_work: Params) -> None:
    state = released_state(method, at_work)
    torch.save({**state, "audio_encoder.layers.0.norm1.weight": torch.zeros(3)}, "model.pt")
    result = CliRunner().invoke(app, ["import-checkpoint", "model.pt", "--method", method], catch_exceptions=False)
    assert result.exit_code == 0
    assert f"{len(state)} tensors in float32 used, 1 ignored" in result.output
    metrics = json.loads(Path("results/imported/evaluate/metrics.json").read_text())
    assert 0 <= metrics["segment_type_at_av"] <= 100
    assert "best_epoch" not in metrics
    other = "own" if method == "han" else "global"
    assert f"{other}_gate_segment_audio" in metrics
    checkpoint, network = load_checkpoint(Path("results/imported/weights.safetensors"), CPU)
    assert (checkpoint.method, checkpoint.supervision, checkpoint.epoch) == (method, "weak", None)
    ours = sorted(tensor.sum().item() for tensor in network.parameters())
    assert ours == sorted(tensor.sum().item() for tensor in state.values())


def test_weights_of_another_method_are_refused_by_name(at_work: Params) -> None:
    torch.save(released_state("han", at_work), "model.pt")
    result = CliRunner().invoke(app, ["import-checkpoint", "model.pt", "--method", "mmil_psp"])
    assert isinstance(result.exception, CheckpointError)
    assert "model.pt as mmil_psp (weak): expected the parameters of that network" in str(result.exception)
    assert not Path("results/imported/weights.safetensors").exists()


def test_weights_with_a_motion_stream_are_refused_where_the_features_have_none(at_work: Params) -> None:
    state = released_state("han", at_work) | {"fc_st.weight": torch.zeros(512, 512), "fc_st.bias": torch.zeros(512)}
    torch.save(state, "model.pt")
    result = CliRunner().invoke(app, ["import-checkpoint", "model.pt", "--method", "han"])
    assert isinstance(result.exception, CheckpointError)
    assert "found fc_st.weight, fc_st.bias, for which there is no such feature" in str(result.exception)

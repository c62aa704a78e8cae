from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from avel_testing.methods import EVERY_TRAINING
from pipeline.core.errors import CheckpointError
from pipeline.methods.settings import Supervision
from pipeline.training.checkpoints import Checkpoint, build_network, load_checkpoint, save_checkpoint

CPU = torch.device("cpu")
DESCRIPTION = Checkpoint(
    method="cpsp",
    supervision="full",
    network={"tau": 0.1, "pooling": "max"},
    categories=["bell", "siren"],
    inputs={"visual_channels": 8, "num_positions": 9, "audio_features": 128},
    visual_recipe={"weights": "random:1"},
    audio_recipe={"weights": "random:2"},
    precision="float32",
    epoch=3,
    selected_on="val",
    score=50.0,
    seed=1,
)


def test_weights_come_back_with_their_description(tmp_path: Path) -> None:
    network = build_network(DESCRIPTION)
    save_checkpoint(tmp_path / "weights.safetensors", DESCRIPTION, network.state_dict())
    description, loaded = load_checkpoint(tmp_path / "weights.safetensors", CPU)
    assert description == DESCRIPTION
    assert not loaded.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


@EVERY_TRAINING
def test_every_method_comes_back_as_it_was(
    method: str, supervision: Supervision, make_params: Callable, tmp_path: Path
) -> None:
    train = make_params(**{"train.method": method, "train.supervision": supervision}).train
    network = train.settings.network_settings(train.conduct)
    description = replace(DESCRIPTION, method=method, supervision=supervision, network=network)
    torch.manual_seed(3)
    built = build_network(description).eval()
    save_checkpoint(tmp_path / "w", description, built.state_dict())
    _, loaded = load_checkpoint(tmp_path / "w", CPU)
    visual, audio = torch.rand(2, 5, 3, 3, 8), torch.rand(2, 5, 128)
    assert torch.equal(loaded(visual, audio).clip_probabilities, built(visual, audio).clip_probabilities)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_truth_values_beside_the_weights_come_back_and_do_not_settle_the_precision(
    dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build_switched(_: Checkpoint) -> nn.Module:
        network = nn.Linear(2, 3)
        network.register_buffer("a_switch", torch.tensor(True))
        return network

    monkeypatch.setattr("pipeline.training.checkpoints.build_network", build_switched)
    network = build_switched(DESCRIPTION).to(dtype)
    network.get_buffer("a_switch").fill_(False)
    save_checkpoint(tmp_path / "w", DESCRIPTION, network.state_dict())
    _, loaded = load_checkpoint(tmp_path / "w", CPU)
    assert loaded.get_buffer("a_switch").item() is False
    assert torch.equal(loaded.get_parameter("weight"), network.weight)
    assert loaded.get_parameter("weight").dtype == dtype


def test_a_file_without_floating_point_weights_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "w", DESCRIPTION, {"guided": torch.tensor(True)})
    with pytest.raises(CheckpointError, match="expected trained weights"):
        load_checkpoint(tmp_path / "w", CPU)


def test_an_unknown_method_is_refused(tmp_path: Path) -> None:
    state = build_network(DESCRIPTION).state_dict()
    save_checkpoint(tmp_path / "w", replace(DESCRIPTION, method="lavish"), state)
    with pytest.raises(CheckpointError, match="lavish"):
        load_checkpoint(tmp_path / "w", CPU)


def test_equal_weights_give_equal_bytes(tmp_path: Path) -> None:
    state = build_network(DESCRIPTION).state_dict()
    for name in ("one", "two"):
        save_checkpoint(tmp_path / name, DESCRIPTION, state)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_missing_file_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="found no file; run `dvc repro train`"):
        load_checkpoint(tmp_path / "weights.safetensors", CPU)


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x04\x95 a pickle"])
def test_a_file_of_another_kind_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(CheckpointError, match="expected trained weights"):
        load_checkpoint(tmp_path / "w", CPU)


def test_tensors_of_another_shape_are_refused(tmp_path: Path) -> None:
    state = build_network(DESCRIPTION).state_dict()
    state["heads.relevance.weight"] = torch.zeros(1, 7)
    save_checkpoint(tmp_path / "w", DESCRIPTION, state)
    with pytest.raises(CheckpointError, match=r"size mismatch for heads\.relevance\.weight"):
        load_checkpoint(tmp_path / "w", CPU)


def test_safetensors_of_someone_else_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "w")
    with pytest.raises(CheckpointError, match="expected trained weights"):
        load_checkpoint(tmp_path / "w", CPU)

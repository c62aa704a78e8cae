import csv
import logging
import math
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

from avel_testing.methods import EVERY_TRAINING
from models.localization.losses import BACKGROUND_CLIP
from models.localization.psp import PSPNet
from pipeline.core.errors import TrainingError
from pipeline.params.schema import Params
from pipeline.training import loading
from pipeline.training import loop as training
from pipeline.training.checkpoints import load_checkpoint
from pipeline.training.dataset import load_dataset
from pipeline.training.localization.dataset import LabelledClips, LocalizationDataset
from pipeline.training.loop import Run, train
from pipeline.training.objective import terms_of

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[4]


def fast(method: str = "cpsp", supervision: str = "full", num_epochs: int = 4) -> dict[str, object]:
    """Return the params of a short run of a method."""
    settings = f"train.{method}.{supervision}"
    return {
        "train.method": method,
        "train.supervision": supervision,
        f"{settings}.num_epochs": num_epochs,
        f"{settings}.milestones": [3],
    }


RESULTS = ("weights.safetensors", "weights_test_selected.safetensors", "history.csv")
SAVE_EVERY_EPOCH = """
import runpy
from pipeline.training import loop as training
training.SAVING_SHARE = float("inf")
runpy.run_module("stages.train", run_name="__main__", alter_sys=True)
"""
"""The train stage, as code, that writes its state after every epoch, however short."""


def load(run: Path, params: Params) -> LocalizationDataset:
    return load_dataset(params, run / "prepared", run / "features")


def results(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS}


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as file:
        return list(csv.DictReader(file))


def interrupt_once(monkeypatch: pytest.MonkeyPatch, epochs_before: int) -> list[int]:
    """Save after every epoch, and stop in the one after `epochs_before`; return the epochs trained from now on."""
    monkeypatch.setattr(training, "SAVING_SHARE", math.inf)
    epoch, trained = Run.epoch, []

    def stop_once_in_the_middle(self: Run) -> dict[str, float]:
        row = epoch(self)
        trained.append(len(self.history))
        if len(trained) == epochs_before + 1:
            raise KeyboardInterrupt  # this epoch is trained, not saved
        return row

    monkeypatch.setattr(Run, "epoch", stop_once_in_the_middle)
    return trained


@pytest.mark.slow
@EVERY_TRAINING
def test_every_method_and_supervision_trains_on_its_own_losses(
    method: str, supervision: str, make_run: Callable, make_params: Callable, tmp_path: Path
) -> None:
    block = f"train.{method}.{supervision}"
    # One step an epoch: AVE's milestones are steps.
    params = make_params(**fast(method, supervision), **{f"{block}.learning_rate": 0.0003, f"{block}.batch_size": 16})
    train(params.train, load(make_run(), params), tmp_path / "out", CPU)
    rows = history(tmp_path / "out")
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    logged = [name.removeprefix("train_") for name in rows[0] if name.startswith("train_")]
    settings = params.train.settings
    assert logged == ["loss", *(term.name for term in terms_of(method, params.train.supervision, settings))]
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    rates = [float(row["learning_rate"]) / settings.learning_rate for row in rows]
    assert rates == pytest.approx([1, 1, 1, settings.learning_rate_factor])
    checkpoint, _ = load_checkpoint(tmp_path / "out/weights.safetensors", CPU)
    assert (checkpoint.method, checkpoint.supervision) == (method, supervision)


@pytest.mark.slow
def test_maps_of_a_resnet_train_too(make_run: Callable, make_params: Callable, tmp_path: Path) -> None:
    params = make_params(**fast(), **{"visual.backbone": "resnet101", "train.cpsp.full.learning_rate": 0.0003})
    train(params.train, load(make_run(channels=1024, backbone="resnet101"), params), tmp_path / "out", CPU)
    checkpoint, network = load_checkpoint(tmp_path / "out" / "weights.safetensors", CPU)
    assert (checkpoint.inputs["visual_channels"], checkpoint.visual_recipe["backbone"]) == (1024, "resnet101")
    assert network(torch.zeros(1, 10, 7, 7, 1024), torch.zeros(1, 10, 128)).event_logits.shape == (1, 10)
    rows = history(tmp_path / "out")
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])


def test_the_best_validation_epoch_is_kept_and_the_test_selected_one_beside_it(
    make_run: Callable, make_params: Callable, tmp_path: Path
) -> None:
    params = make_params(**fast())
    train(params.train, load(make_run(), params), tmp_path, CPU)
    rows = history(tmp_path)
    for name, column, split in (
        ("weights.safetensors", "validation_score", "val"),
        ("weights_test_selected.safetensors", "test_score", "test"),
    ):
        checkpoint, _ = load_checkpoint(tmp_path / name, CPU)
        scores = [float(row[column]) for row in rows]
        assert checkpoint.selected_on == split
        assert checkpoint.epoch == 1 + scores.index(max(scores))
        assert checkpoint.score == max(scores)


def test_of_equally_good_epochs_the_earliest_is_kept(
    make_run: Callable, make_params: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {1: 40.0, 2: 60.0, 3: 60.0, 4: 60.0}
    weights = {}

    def score(run: Run, _: object, number: int) -> float:
        weights[number] = {name: tensor.clone() for name, tensor in run.network.state_dict().items()}
        return scores[number]

    monkeypatch.setattr(Run, "_score", score)
    params = make_params(**fast())
    train(params.train, load(make_run(), params), tmp_path, CPU)
    for name in ("weights.safetensors", "weights_test_selected.safetensors"):
        checkpoint, network = load_checkpoint(tmp_path / name, CPU)
        assert (checkpoint.epoch, checkpoint.score) == (2, 60.0)
        torch.testing.assert_close(network.state_dict(), weights[2], rtol=0, atol=0)


def test_a_run_is_named_by_the_loop_its_method_its_network_and_its_task(
    make_run: Callable, make_params: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[tuple[str, ...]] = []
    monkeypatch.setattr(training, "source_fingerprint", lambda *modules: named.append(modules) or "x")
    params = make_params(**fast("avel", num_epochs=1))
    train(params.train, load(make_run(), params), tmp_path, CPU)
    of_task = (f"pipeline.training.localization.{name}" for name in ("terms", "dataset"))
    assert named == [("pipeline.training.loop", "pipeline.methods.avel", "models.localization.avel", *of_task)]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    make_run: Callable, make_params: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    for name, seed in (("first", 1), ("second", 1), ("third", 2)):
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / f"repository-{name}"))
        torch.manual_seed(len(name))  # what happened before in the process must not matter
        params = make_params(**fast(), **{"train.seed": seed})
        train(params.train, load(run, params), tmp_path / name, CPU)
    assert results(tmp_path / "first") == results(tmp_path / "second")
    assert (tmp_path / "first/weights.safetensors").read_bytes() != (
        tmp_path / "third/weights.safetensors"
    ).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["ram", "stream"])
@pytest.mark.parametrize("epochs_before", [0, 1, 2, 3])
def test_an_interrupted_run_ends_in_the_same_bytes(
    epochs_before: int,
    cache: str,
    make_run: Callable,
    make_params: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, params = make_run(), make_params(**fast(), **{"train.cache": cache})
    train(params.train, load(run, params), tmp_path / "whole", CPU)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "other"))
    trained = interrupt_once(monkeypatch, epochs_before)
    with pytest.raises(KeyboardInterrupt):
        train(params.train, load(run, params), tmp_path / "parts", CPU)
    train(params.train, load(run, params), tmp_path / "parts", CPU)
    assert trained == [*range(1, epochs_before + 2), *range(epochs_before + 1, 5)]
    assert results(tmp_path / "parts") == results(tmp_path / "whole")


def test_epochs_quicker_than_the_disk_are_not_all_written(
    make_run: Callable, make_params: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "SAVING_SHARE", 0.0)
    saved = []
    save = Run.save
    monkeypatch.setattr(Run, "save", lambda self: saved.append(len(self.history)) or save(self))
    params = make_params(**fast(num_epochs=6))
    train(params.train, load(make_run(), params), tmp_path / "out", CPU)
    assert saved == [1, 6]


def test_a_finished_run_trains_nothing_again(
    make_run: Callable, make_params: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, params = make_run(), make_params(**fast())
    train(params.train, load(run, params), tmp_path / "first", CPU)
    monkeypatch.setattr(Run, "epoch", lambda self: pytest.fail("trained again"))
    train(params.train, load(run, params), tmp_path / "second", CPU)
    assert results(tmp_path / "first") == results(tmp_path / "second")


@pytest.mark.slow
def test_a_damaged_checkpoint_starts_training_again(
    make_run: Callable, make_params: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, params = make_run(), make_params(**fast())
    train(params.train, load(run, params), tmp_path / "first", CPU)
    (state,) = (tmp_path / "repository/data/.work/train").glob("*/state.pt")
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        train(params.train, load(run, params), tmp_path / "second", CPU)
    assert "is damaged" in caplog.text
    assert results(tmp_path / "first") == results(tmp_path / "second")


@pytest.mark.slow
@pytest.mark.parametrize("num_saves", [1, 3, 7])
def test_kill_minus_nine_and_a_rerun_end_in_the_same_bytes(
    num_saves: int, make_run: Callable, make_params: Callable, tmp_path: Path
) -> None:
    run = make_run()
    params = make_params(**fast(num_epochs=20))
    train(params.train, load(run, params), tmp_path / "whole", CPU)
    (tmp_path / "work").mkdir()
    YAML().dump(params.model_dump(), tmp_path / "work/params.yaml")
    log = tmp_path / "log.txt"

    def start(*command: str) -> subprocess.Popen[bytes]:
        paths = {"prepared": run / "prepared", "features": run / "features", "output": tmp_path / "killed"}
        with log.open("wb") as stderr:
            return subprocess.Popen(
                [sys.executable, *command, *(f"--{name}={path}" for name, path in paths.items())],
                cwd=tmp_path / "work",
                env={**os.environ, "DVC_ROOT": str(tmp_path / "killed-root"), "PYTHONPATH": str(ROOT)},
                stderr=stderr,
            )

    killed = start("-c", SAVE_EVERY_EPOCH)
    states = set()
    deadline = time.monotonic() + 60
    while len(states) < num_saves and killed.poll() is None and time.monotonic() < deadline:
        for state in (tmp_path / "killed-root/data/.work/train").glob("*/state.pt"):
            states.add(state.stat().st_mtime_ns)
        time.sleep(0.001)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL, f"finished before it was killed\n{log.read_text()}"
    assert not (tmp_path / "killed/weights.safetensors").exists()
    assert start("-m", "stages.train").wait(timeout=120) == 0, log.read_text()
    told = re.search(r"(\d+) of 20 epochs to go", log.read_text())
    assert told, log.read_text()
    assert 0 < int(told[1]) <= 20 - num_saves, "not killed in the middle"
    assert results(tmp_path / "killed") == results(tmp_path / "whole")


def test_weak_training_does_not_see_segment_labels(
    make_run: Callable, make_params: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other segment labels of the training clips change nothing: neither the object it gets nor its result."""
    params = make_params(**fast(supervision="weak"))
    dataset = load(make_run(), params)
    seen = []
    descend = Run._descend
    monkeypatch.setattr(Run, "_descend", lambda self, n: seen.append(self.splits.training) or descend(self, n))
    train(params.train, dataset, tmp_path / "first", CPU)
    assert not any(isinstance(training, LabelledClips) for training in seen)
    dataset.train.events.logical_not_()
    dataset.train.truth.fill_(0)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "other"))
    train(params.train, dataset, tmp_path / "second", CPU)
    assert results(tmp_path / "first") == results(tmp_path / "second")


def test_a_loss_that_is_not_finite_names_the_batch(make_run: Callable, make_params: Callable, tmp_path: Path) -> None:
    params = make_params(**fast(), **{"train.cpsp.full.batch_size": 5, "train.cpsp.full.learning_rate": 1e30})
    dataset = load(make_run(), params)
    with pytest.raises(TrainingError) as caught:
        train(params.train, dataset, tmp_path, CPU)
    told = re.match(
        r"loss in epoch 1, batch 2 of 3: expected finite numbers, found loss \S+, relevance .*, gradient_norm \S+ "
        r"on the clips (.*); lower the learning rate",
        str(caught.value),
    )
    assert told, caught.value
    assert len(set(told[1].split(", ")) & set(dataset.train.clips.clip_ids)) == 5


def test_a_network_that_the_last_step_of_an_epoch_ruined_is_said_so(
    make_run: Callable, make_params: Callable, tmp_path: Path
) -> None:
    settings = {"batch_size": 64, "learning_rate": 1e30, "max_gradient_norm": None}
    params = make_params(**fast(), **{f"train.cpsp.full.{key}": value for key, value in settings.items()})
    with pytest.raises(TrainingError, match="epoch 1: answers of the network: expected finite numbers, found"):
        train(params.train, load(make_run(), params), tmp_path, CPU)


def test_a_last_batch_of_one_trains_as_any_other(
    make_run: Callable, make_params: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    step = Run._step
    monkeypatch.setattr(Run, "_step", lambda self, t, b, p: sizes.append(len(p)) or step(self, t, b, p))
    params = make_params(**fast(num_epochs=1), **{"train.cpsp.full.batch_size": 11})
    train(params.train, load(make_run(), params), tmp_path, CPU)
    assert sizes == [11, 1]


def test_the_means_of_an_epoch_weigh_batches_by_their_clips(
    make_run: Callable, make_params: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = []
    step = Run._step
    monkeypatch.setattr(Run, "_step", lambda self, t, b, p: values.append(step(self, t, b, p)) or values[-1])
    params = make_params(**fast(num_epochs=1), **{"train.cpsp.full.batch_size": 11})
    train(params.train, load(make_run(), params), tmp_path, CPU)
    (row,) = history(tmp_path)
    assert float(row["train_loss"]) == pytest.approx((11 * values[0][0] + values[1][0]).item() / 12, rel=1e-6)
    assert float(row["gradient_norm"]) == pytest.approx((11 * values[0][-1] + values[1][-1]).item() / 12, rel=1e-6)


def test_every_epoch_says_what_it_did(
    make_run: Callable, make_params: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    params = make_params(**fast())
    with caplog.at_level(logging.INFO):
        train(params.train, load(make_run(), params), tmp_path, CPU)
    lines = [line for line in caplog.messages if line.startswith("epoch ")]
    assert len(lines) == 4
    for term in ("loss", "relevance", "category", "avpsp", "spsa", "vpsa"):
        assert re.search(rf"{term} [\d.]+", lines[0])
    assert re.search(r"learning rate 0\.001, gradient norm [\d.e+]+; validation [\d.]+ %; [\d]+ clips/s", lines[0])


@pytest.mark.slow
def test_several_seeds_are_the_runs_of_each_seed(
    make_run: Callable, make_params: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    params = make_params(**fast(), **{"train.seed": 5, "train.num_seeds": 3})
    train(params.train, load(run, params), tmp_path / "all", CPU)
    assert {path.name for path in (tmp_path / "all").iterdir() if path.is_dir()} == {"live", "seed-6", "seed-7"}
    for seed, folder in ((5, "all"), (6, "all/seed-6"), (7, "all/seed-7")):
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / f"repository-{seed}"))
        alone = make_params(**fast(), **{"train.seed": seed})
        train(alone.train, load(run, alone), tmp_path / f"{seed}", CPU)
        assert results(tmp_path / folder) == results(tmp_path / f"{seed}")


@pytest.mark.slow
@pytest.mark.parametrize("is_large", [False, True])
def test_where_features_are_held_changes_no_result(
    is_large: bool, make_run: Callable, make_params: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large data set is shuffled in blocks, but that too wherever it is."""
    if is_large:
        monkeypatch.setattr(loading, "SHUFFLED_WHOLE", 0)
        monkeypatch.setattr(loading, "BLOCK_SIZE", 2)
    run = make_run()
    for cache in ("auto", "ram", "stream"):
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / f"repository-{cache}"))
        params = make_params(**fast(), **{"train.cache": cache})
        train(params.train, load(run, params), tmp_path / cache, CPU)
    assert results(tmp_path / "auto") == results(tmp_path / "ram") == results(tmp_path / "stream")


def test_a_run_with_fewer_seeds_leaves_none_of_an_earlier_one(
    make_run: Callable, make_params: Callable, tmp_path: Path
) -> None:
    run = make_run()
    for num_seeds in (2, 1):
        params = make_params(**fast(num_epochs=1), **{"train.num_seeds": num_seeds})
        train(params.train, load(run, params), tmp_path / "out", CPU)
    assert {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()} == {"live"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "wanted", "expected"),
    [
        ("psp", "auto", 15),
        ("ave_att", "auto", 15),
        ("cmran", "auto", 15),
        ("cmbs", "auto", 15),
        ("avel", "auto", 12),
        ("cpsp", "auto", 12),
        ("cpsp", True, 15),
        ("psp", False, 12),
    ],
)
def test_background_clips_join_weak_training_where_they_are_wanted(
    method: str, wanted: object, expected: int, make_run: Callable, make_params: Callable, tmp_path: Path
) -> None:
    params = make_params(**fast(method, "weak"), **{"train.weak.background_clips": wanted})
    dataset = load(make_run(background=3), params)
    splits = dataset.splits(params.train)
    assert len(splits.training) == expected
    assert (splits.training_clips.categories == BACKGROUND_CLIP).sum() == expected - 12
    train(params.train, dataset, tmp_path, CPU)
    full = params.train.model_copy(update={"supervision": "full"})
    assert len(dataset.splits(full).training) == 12


def test_background_clips_that_are_not_there_are_missed(make_run: Callable, make_params: Callable) -> None:
    params = make_params(**fast(supervision="weak"), **{"train.weak.background_clips": True})
    with pytest.raises(TrainingError, match=r"train\.weak\.background_clips: true: .* split `background`"):
        load(make_run(), params).splits(params.train)


def test_an_empty_split_is_refused_before_any_work(make_run: Callable, make_params: Callable, tmp_path: Path) -> None:
    params = make_params()
    with pytest.raises(TrainingError, match="split test: expected at least one clip"):
        train(params.train, load(make_run(num_clips=9), params), tmp_path / "out", CPU)
    assert not (tmp_path / "out").exists()


def test_float64_trains_in_float64(make_run: Callable, make_params: Callable, tmp_path: Path) -> None:
    params = make_params(**fast(), **{"train.precision": "float64"})
    train(params.train, load(make_run(), params), tmp_path, CPU)
    _, network = load_checkpoint(tmp_path / "weights.safetensors", CPU)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float64}


def test_bfloat16_computes_in_it_and_keeps_float32_weights(
    make_run: Callable, make_params: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    forward = PSPNet.forward
    monkeypatch.setattr(PSPNet, "forward", lambda self, v, a: seen.append(v.dtype) or forward(self, v, a))
    params = make_params(**fast(), **{"train.precision": "bfloat16"})
    train(params.train, load(make_run(), params), tmp_path, CPU)
    assert set(seen) == {torch.bfloat16}
    checkpoint, network = load_checkpoint(tmp_path / "weights.safetensors", CPU)
    assert checkpoint.precision == "bfloat16"
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    rows = history(tmp_path)
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])


@pytest.mark.gpu
@EVERY_TRAINING
def test_a_gpu_gives_the_same_bytes_twice_and_after_an_interruption(
    method: str,
    supervision: str,
    make_run: Callable,
    make_params: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, params = make_run(), make_params(**fast(method, supervision))

    def train_on_gpu(name: str) -> None:
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / f"repository-{name}"))
        train(params.train, load(run, params), tmp_path / name, torch.device("cuda"))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train_on_gpu("first")
        train_on_gpu("second")
        trained = interrupt_once(monkeypatch, 2)
        with pytest.raises(KeyboardInterrupt):
            train_on_gpu("parts")
        train_on_gpu("parts")
    assert trained == [1, 2, 3, 3, 4]
    assert results(tmp_path / "first") == results(tmp_path / "second") == results(tmp_path / "parts")
    # torch: "... does not have a deterministic implementation", "... defaults to a non-deterministic algorithm"
    assert [warning for warning in caught if "deterministic" in str(warning.message)] == []

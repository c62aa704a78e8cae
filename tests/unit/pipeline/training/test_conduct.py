"""The loop under the recipes of the authors: which clips, which epoch, which learning rate, which initial weights."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models.localization.psp import PSPNet
from models.localization.segment_losses import event_share_targets
from pipeline.core.errors import TrainingError
from pipeline.methods.registry import METHODS
from pipeline.params.schema import Params
from pipeline.training import loop as training
from pipeline.training.checkpoints import load_checkpoint
from pipeline.training.dataset import load_dataset
from pipeline.training.localization.dataset import LocalizationDataset
from pipeline.training.localization.labels import ClipLabels, SegmentLabels, ShareLabels
from pipeline.training.loop import Run, train
from pipeline.training.order import draw_batches

CPU = torch.device("cpu")


def short(method: str, supervision: str = "full", *, recipe: str = "authors", num_epochs: int = 4) -> dict[str, object]:
    block = f"train.{method if recipe == 'authors' else 'common'}.{supervision}"
    return {
        "train.method": method,
        "train.supervision": supervision,
        "train.recipe": recipe,
        f"{block}.num_epochs": num_epochs,
        f"{block}.milestones": [3],
    }


def load(run: Path, params: Params) -> LocalizationDataset:
    return load_dataset(params, run / "prepared", run / "features")


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("method", "supervision", "scores", "on_val", "on_test"),
    [
        ("cpsp", "full", [50, 70, 70, 60, 60, 60, 60], 2, 2),
        ("cmbs", "full", [50, 70, 70, 60, 60, 60, 60], 2, 2),
        ("ave_att", "full", [50, 99, 99, 99, 99, 50, 99], 1, 1),
        ("ave_att", "weak", [50, 99, 99, 99, 99, 40, 99], 6, 1),
        ("psp", "full", [99, 99, 99, 99, 99, 40, 99, 99, 99, 99, 40, 99], 11, 11),
        ("psp", "full", [99, 80, 70], 3, 3),  # no candidate: the last epoch
    ],
)
def test_the_epoch_that_counts_is_the_authors_choice(
    method: str,
    supervision: str,
    scores: list[float],
    on_val: int,
    on_test: int,
    make_run: Callable,
    make_params: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Run, "_score", lambda self, split, number: float(scores[number - 1]))
    monkeypatch.setattr(
        Run, "_descend", lambda self, number: self.optimizer.step() or {"loss": 0.0, "gradient_norm": 0.0}
    )
    params = make_params(**short(method, supervision, num_epochs=len(scores)))
    train(params.train, load(make_run(), params), tmp_path / "out", CPU)
    for name, epoch in (("weights.safetensors", on_val), ("weights_test_selected.safetensors", on_test)):
        checkpoint, _ = load_checkpoint(tmp_path / "out" / name, CPU)
        assert checkpoint.epoch == epoch
        assert checkpoint.score == scores[epoch - 1]


def test_the_common_recipe_selects_every_epoch_and_has_its_own_schedule(
    make_run: Callable, make_params: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = [50.0, 99.0, 99.0, 60.0]
    monkeypatch.setattr(Run, "_score", lambda self, split, number: scores[number - 1])
    params = make_params(**short("psp", recipe="common"), **{"train.common.full.learning_rate": 0.125})
    train(params.train, load(make_run(), params), tmp_path / "out", CPU)
    rows = history(tmp_path / "out")
    assert [float(row["learning_rate"]) for row in rows] == [0.125, 0.125, 0.125, 0.0625]
    checkpoint, _ = load_checkpoint(tmp_path / "out/weights.safetensors", CPU)
    assert checkpoint.epoch == 2


def test_ave_counts_milestones_in_steps_and_the_common_recipe_in_epochs(
    make_run: Callable, make_params: Callable, tmp_path: Path
) -> None:
    run = make_run()  # 12 clips to train on

    def rates(**changes: Any) -> list[float]:
        params = make_params(**changes)
        train(params.train, load(run, params), tmp_path / "out", CPU)
        return [float(row["learning_rate"]) for row in history(tmp_path / "out")]

    # Three steps an epoch; a row has the rate that its epoch begins with.
    authors = {**short("ave_att"), "train.ave_att.full.batch_size": 4, "train.ave_att.full.learning_rate": 0.002}
    assert rates(**authors | {"train.ave_att.full.milestones": [6]}) == [0.002, 0.002, 0.001, 0.001]
    assert rates(**authors | {"train.ave_att.full.milestones": [5, 7]}) == [0.002, 0.002, 0.001, 0.0005]
    common = {**short("ave_att", recipe="common"), "train.common.full.learning_rate": 0.002}
    assert rates(**common) == [0.002, 0.002, 0.002, 0.001]


@pytest.mark.parametrize(
    ("method", "supervision", "kind"),
    [("psp", "weak", ShareLabels), ("cpsp", "weak", ClipLabels), ("psp", "full", SegmentLabels)],
)
def test_each_method_is_told_no_more_than_its_labels(
    method: str,
    supervision: str,
    kind: type,
    make_run: Callable,
    make_params: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[ClipLabels] = []
    weigh = training.weigh
    monkeypatch.setattr(training, "weigh", lambda t, o, labels: told.append(labels) or weigh(t, o, labels))
    batch_size = {f"train.{method}.{supervision}.batch_size": 12}
    params = make_params(**short(method, supervision, num_epochs=1), **batch_size)
    dataset = load(make_run(), params)
    train(params.train, dataset, tmp_path / "out", CPU)
    assert {type(labels) for labels in told} == {kind}
    if kind is ShareLabels:
        shares = torch.cat([labels.event_shares for labels in told])
        expected = dataset.train.events.double().mean(dim=1)
        torch.testing.assert_close(shares.sort().values, expected.sort().values)


def test_the_share_of_a_background_clip_is_zero(make_run: Callable, make_params: Callable) -> None:
    params = make_params(**short("psp", "weak"))
    splits = load(make_run(background=3), params).splits(params.train)
    shares = splits.training_clips.event_shares
    assert shares is not None
    assert shares[-3:].tolist() == [0.0, 0.0, 0.0]
    assert (shares[:-3] > 0).all()


@pytest.mark.parametrize(
    ("method", "supervision", "expected"), [("cpsp", "weak", 12), ("cpsp", "full", 10), ("psp", "weak", 10)]
)
def test_clips_without_times_join_weak_training_that_needs_no_shares(
    method: str, supervision: str, expected: int, make_run: Callable, make_params: Callable
) -> None:
    dataset = load(make_run(untimed=("clip00", "clip01")), make_params())
    assert (len(dataset.train), len(dataset.untimed)) == (10, 2)
    params = make_params(**short(method, supervision))
    assert len(dataset.splits(params.train).training) == expected


@pytest.mark.parametrize(("method", "supervision"), [("cpsp", "full"), ("psp", "weak")])
@pytest.mark.parametrize("untimed", [(), ("clip00", "clip01")])
def test_clips_that_are_left_out_are_counted_in_the_log(
    method: str,
    supervision: str,
    untimed: tuple[str, ...],
    make_run: Callable,
    make_params: Callable,
    caplog: pytest.LogCaptureFixture,
) -> None:
    dataset = load(make_run(untimed=untimed), make_params())
    with caplog.at_level("INFO", "pipeline.training"):
        dataset.splits(make_params(**short(method, supervision)).train)
    assert ("leaves out 2 clips without times" in caplog.text) == bool(untimed)
    assert ("leaves out" in caplog.text) == bool(untimed)


def test_clips_without_times_are_enough_for_weak_training_alone(make_run: Callable, make_params: Callable) -> None:
    to_train_on = load(make_run(), make_params()).train.clips.clip_ids
    dataset = load(make_run(untimed=to_train_on), make_params())
    assert len(dataset.train) == 0
    assert len(dataset.splits(make_params(**short("cpsp", "weak")).train).training) == 12
    for method, supervision in (("cpsp", "full"), ("psp", "weak")):
        with pytest.raises(TrainingError, match="split train: expected at least one clip"):
            dataset.splits(make_params(**short(method, supervision)).train)


def test_the_recipe_decides_order_and_last_batch(make_run: Callable, make_params: Callable, tmp_path: Path) -> None:
    run = make_run()

    def epochs(method: str, supervision: str, **changes: Any) -> list[list[list[int]]]:
        params = make_params(**short(method, supervision), **changes)
        splits = load(run, params).splits(params.train)
        store = type("Store", (), {"epoch_order": lambda self, clips: torch.randperm(len(clips))})()
        return [draw_batches(splits.training_clips, store, params.train.conduct, 5) for _ in range(2)]

    listed = epochs("ave_att", "full")
    assert listed[0] == listed[1] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    weak = epochs("psp", "weak")
    assert weak[0][0] != weak[1][0]
    assert weak[0][1:] == weak[1][1:] == [[5, 6, 7, 8, 9]]
    shuffled = epochs("cpsp", "full")
    assert shuffled[0] != shuffled[1]
    assert [len(batch) for batch in shuffled[0]] == [5, 5, 2]


@pytest.mark.slow
def test_what_a_term_remembers_survives_an_interruption(
    make_run: Callable, make_params: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"train.psp.full.avpsp.targets": "released", "train.psp.full.batch_size": 5}
    run, params = make_run(), make_params(**short("psp"), **changes)
    train(params.train, load(run, params), tmp_path / "whole", CPU)

    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "other"))
    monkeypatch.setattr(training, "SAVING_SHARE", float("inf"))
    epoch, stops = Run.epoch, [3]

    def stop_once(self: Run) -> dict[str, float]:
        row = epoch(self)
        if len(self.history) in stops:
            stops.clear()
            raise KeyboardInterrupt
        return row

    monkeypatch.setattr(Run, "epoch", stop_once)
    with pytest.raises(KeyboardInterrupt):
        train(params.train, load(run, params), tmp_path / "parts", CPU)
    train(params.train, load(run, params), tmp_path / "parts", CPU)
    for name in ("history.csv", "weights.safetensors"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()

    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "third"))
    intended = make_params(**short("psp"), **changes | {"train.psp.full.avpsp.targets": "intended"})
    train(intended.train, load(run, intended), tmp_path / "intended", CPU)
    assert history(tmp_path / "intended") != history(tmp_path / "whole")


def test_targets_of_a_batch_alone_add_up_to_one() -> None:
    events = torch.tensor([[True, False, True, False], [False, False, False, False]])
    torch.testing.assert_close(event_share_targets(events).sum(dim=1), torch.ones(2))


@pytest.mark.slow
def test_a_term_counts_from_its_first_epoch_and_the_network_follows(
    make_run: Callable, make_params: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guided = []
    descend = Run._descend
    monkeypatch.setattr(
        Run, "_descend", lambda self, number: (descend(self, number), guided.append(bool(self.network.guided)))[0]
    )
    changes = {"train.cacenet.full.foreground.first_epoch": 3, "train.cacenet.full.learning_rate": 0.0001}
    params = make_params(**short("cacenet"), **changes)
    train(params.train, load(make_run(), params), tmp_path / "out", CPU)
    values = [float(row["train_foreground"]) for row in history(tmp_path / "out")]
    assert values[:2] == [0.0, 0.0]
    assert all(value > 0 for value in values[2:])
    assert guided == [False, False, True, True]
    for name in ("weights.safetensors", "weights_test_selected.safetensors"):
        checkpoint, network = load_checkpoint(tmp_path / "out" / name, CPU)
        assert bool(network.guided) == (checkpoint.epoch >= 3)


def test_initial_weights_are_as_released_or_xavier(make_run: Callable, make_params: Callable, tmp_path: Path) -> None:
    run, spreads = make_run(), {}
    for rule in ("released", "xavier"):
        params = make_params(**short("cpsp"), **{"train.initialisation": rule})
        dataset = load(run, params)
        splits = dataset.splits(params.train)
        description = training.new_checkpoint(params.train, dataset)
        network = Run(params.train, splits, description, None, CPU, tmp_path / rule).network
        assert isinstance(network, PSPNet)
        spreads[rule] = network.visual_projection[1].weight.abs().max().item()
    assert spreads["released"] <= 1 / 16  # 1 / sqrt(fan in), of 256
    assert spreads["xavier"] > 1.5 * spreads["released"]


def test_every_setting_that_changes_a_result_names_it_anew(
    make_run: Callable, make_params: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(background=3)

    def name_of(**changes: Any) -> str:
        params = make_params(**short("psp", "weak") | changes)
        dataset = load(run, params)
        description = training.new_checkpoint(params.train, dataset)
        return training._identity(params.train, description, dataset.splits(params.train), dataset, CPU)

    names = [
        name_of(),
        name_of(**{"train.recipe": "common"}),
        name_of(**{"train.initialisation": "xavier"}),
        name_of(**{"train.weak.background_clips": False}),
        name_of(**{"train.psp.weak.tau": 0.2}),
    ]
    assert len(set(names)) == len(names)
    assert name_of(**{"train.common.weak.learning_rate": 0.7}) == names[0]
    assert METHODS["psp"].needs_event_shares


def test_a_supervision_that_a_method_lacks_is_refused(make_params: Callable) -> None:
    with pytest.raises(ValueError, match=r"full: cacenet has no other form"):
        make_params(**{"train.method": "cacenet", "train.supervision": "weak"})

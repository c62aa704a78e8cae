"""One row trained on a small random data set, in this process."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pipeline.core.errors import ParamsError, ShardError, TrainingError
from pipeline.evaluation.stage import evaluate_run
from pipeline.params.schema import Params, TrainParams
from pipeline.store.shards import ShardIndex
from pipeline.tables import running
from pipeline.tables.metrics import METRICS
from pipeline.tables.plans import Plan
from pipeline.tables.records import Counts, Record, load_record
from pipeline.tables.running import run_row, weights_of
from pipeline.training.checkpoints import SELECTIONS
from pipeline.training.dataset import load_dataset
from pipeline.training.localization.dataset import LocalizationDataset
from pipeline.training.loop import train

CPU = torch.device("cpu")
VALUES = {
    "train.method": "cpsp",
    "train.supervision": "full",
    "train.cpsp.full.num_epochs": 3,
    "train.cpsp.full.milestones": [2],
    "train.cpsp.full.tau": 0.08,
}


@pytest.fixture
def run(make_run: Callable[..., Path], make_params: Callable[..., Params], tmp_path: Path) -> Callable[..., Path]:
    """Return a runner of one row with seed 5 on data of which one test clip has no sound."""
    data = make_run(num_clips=36, without_audio=("clip10",))
    params = make_params(**{"dataset.min_coverage": 0.5, "train.seed": 9, "train.num_seeds": 2})

    def run_it(**changes: object) -> Path:
        output = tmp_path / "runs" / "tau-5"
        plan = Plan("tau", {**VALUES, **changes}, "code")
        run_row(params, plan, 5, data / "prepared", data / "features", output)
        return output

    run_it.data, run_it.params = data, params
    return run_it


def load_run(folder: Path, *metrics: str) -> tuple[Record, list[Counts]]:
    record, counts = load_record(folder, metrics or ["segment_accuracy"])
    return record, list(counts.values())


@pytest.mark.slow
def test_a_row_scores_what_the_main_graph_would_with_its_settings(
    run: Callable, make_params: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def train_two(params: TrainParams, dataset: LocalizationDataset, output: Path, device: torch.device) -> None:
        """Train, and put weights that hardly learned anything in the place of the best on test."""
        train(params, dataset, output, device)
        poor = make_params(**{**VALUES, "train.cpsp.full.num_epochs": 1, "train.cpsp.full.learning_rate": 1e-6})
        train(poor.train, dataset, tmp_path / "poor", device)
        shutil.copy(tmp_path / "poor" / SELECTIONS["val"], output / SELECTIONS["test"])

    monkeypatch.setattr(running, "train", train_two)
    record, (counts,) = load_run(run())
    assert (record.row, record.seed, record.reason) == ("tau", 5, "")
    assert record.weights == {"visual": "random:19", "audio": "random:128"}

    params = make_params(**{**VALUES, "train.seed": 5, "dataset.min_coverage": 0.5})
    dataset = load_dataset(params, run.data / "prepared", run.data / "features")
    train_two(params.train, dataset, tmp_path / "train", CPU)
    evaluate_run(params.evaluate, dataset, tmp_path / "train", tmp_path / "evaluate", CPU)
    metrics = json.loads((tmp_path / "evaluate/metrics.json").read_text())
    assert metrics["segment_accuracy"] > metrics["test_selected_segment_accuracy"], "the two could not be told apart"
    assert 100 * counts.correct.sum() / counts.total.sum() == pytest.approx(metrics["segment_accuracy"], abs=1e-4)
    on_test = 100 * counts.correct_test_selected.sum() / counts.total.sum()
    assert on_test == pytest.approx(metrics["test_selected_segment_accuracy"], abs=1e-4)
    assert (record.best_epoch, record.test_selected_epoch) == (metrics["best_epoch"], metrics["test_selected_epoch"])
    assert (record.num_clips, record.num_clips_expected) == (len(dataset.test), len(dataset.test) + 1)
    assert counts.video_ids == tuple(sorted(dataset.test.clips.video_ids))


PARSED = {
    "train.method": "han",
    "train.supervision": "weak",
    "train.han.weak.num_epochs": 3,
    "train.han.weak.milestones": [2],
    "train.han.weak.learning_rate": 0.001,
    "evaluate.gate": "authors",
}


@pytest.fixture
def run_parsing(
    make_parsing_run: Callable[..., Path], make_parsing_params: Callable[..., Params], tmp_path: Path
) -> Callable[..., Path]:
    """Return a runner of one row of HAN with seed 5 on data of which one test clip has no sound."""
    data = make_parsing_run(num_clips=48, without_audio=("clip20",))
    params = make_parsing_params(**{"dataset.min_coverage": 0.5, "evaluate.gate": "own"})

    def run_it(**changes: object) -> Path:
        output = tmp_path / "runs" / f"{'-'.join(map(str, changes.values()))}-5"
        run_row(params, Plan("x", {**PARSED, **changes}, "code"), 5, data / "prepared", data / "features", output)
        return output

    run_it.data = data
    return run_it


@pytest.mark.slow
def test_a_row_of_parsing_has_its_ten_scores_by_the_gate_of_the_row(
    run_parsing: Callable, make_parsing_params: Callable, tmp_path: Path
) -> None:
    params = make_parsing_params(**{**PARSED, "train.seed": 5, "dataset.min_coverage": 0.5})
    dataset = load_dataset(params, run_parsing.data / "prepared", run_parsing.data / "features")
    train(params.train, dataset, tmp_path / "train", CPU)
    evaluate_run(params.evaluate, dataset, tmp_path / "train", tmp_path / "evaluate", CPU)
    metrics = json.loads((tmp_path / "evaluate/metrics.json").read_text())

    record, counts = load_run(run_parsing(), *METRICS["parsing"])
    for metric, of in zip(METRICS["parsing"], counts, strict=True):
        assert 100 * of.correct.sum() / of.total.sum() == pytest.approx(metrics[metric], abs=1e-4)
        assert of.video_ids == tuple(sorted(dataset.test.clips.video_ids))
    leading = counts[list(METRICS["parsing"]).index(dataset.score_name)]
    on_test = 100 * leading.correct_test_selected.sum() / leading.total.sum()
    assert on_test == pytest.approx(metrics["test_selected_segment_type_at_av"], abs=1e-4)
    assert (record.best_epoch, record.test_selected_epoch) == (metrics["best_epoch"], metrics["test_selected_epoch"])
    assert (record.num_clips, record.num_clips_expected) == (len(dataset.test), len(dataset.test) + 1)

    _, by_own = load_run(run_parsing(**{"evaluate.gate": "own"}), *METRICS["parsing"])
    of_own = [100 * of.correct.sum() / of.total.sum() for of in by_own]
    assert of_own == pytest.approx([metrics[f"own_gate_{metric}"] for metric in METRICS["parsing"]], abs=1e-4)
    assert of_own != pytest.approx([metrics[metric] for metric in METRICS["parsing"]]), (
        "the gates could not be told apart"
    )


@pytest.mark.slow
def test_a_row_with_the_other_gate_is_not_trained_again(
    run_parsing: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        run_parsing()
        assert "3 of 3 epochs to go" in caplog.text
        caplog.clear()
        run_parsing(**{"evaluate.gate": "own"})
    assert "0 of 3 epochs to go" in caplog.text


def test_what_motion_features_were_made_with_is_recorded() -> None:
    def dataset(**recipe: object) -> SimpleNamespace:
        folders = {
            modality: SimpleNamespace(index=ShardIndex(modality, of, "", 1, ()))
            for modality, of in (("visual", {"weights": "torchvision", **recipe}), ("audio", {"weights": "random:1"}))
        }
        return SimpleNamespace(**folders)

    assert weights_of(dataset()) == {"visual": "torchvision", "audio": "random:1"}
    with_motion = weights_of(dataset(motion={"weights": "random:19"}))
    assert with_motion == {"visual": "torchvision", "audio": "random:1", "motion": "random:19"}


def test_what_was_trained_before_is_not_trained_again(run: Callable, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        run()
        assert "3 of 3 epochs to go" in caplog.text
        caplog.clear()
        run()
    assert "0 of 3 epochs to go" in caplog.text


def test_a_training_that_diverges_leaves_its_reason(run: Callable) -> None:
    output = run(**{"train.cpsp.full.learning_rate": 1e30, "train.cpsp.full.max_gradient_norm": None})
    record, counts = load_record(output, ["segment_accuracy"])
    assert record.reason.startswith("loss in epoch ")
    assert "expected finite numbers" in record.reason
    assert counts is None


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate"),
            "OutOfMemoryError: CUDA out of memory. Tried",
        ),
        (MemoryError(), "MemoryError"),
        (IndexError("list index out of range"), "IndexError: list index"),
    ],
)
def test_whatever_goes_wrong_in_one_training_is_its_reason(
    run: Callable, monkeypatch: pytest.MonkeyPatch, fault: Exception, reason: str
) -> None:
    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(running, "train", fail)
    record, _ = load_record(run(), ["segment_accuracy"])
    assert record.reason.startswith(reason)
    assert "\n" not in record.reason


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), ParamsError("no room"), KeyboardInterrupt()])
def test_what_would_stop_every_training_stops_this_one(
    run: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(running, "train", fail)
    with pytest.raises(type(fault)):
        run()
    assert not (tmp_path / "runs").exists()


def test_missing_features_and_empty_splits_stop_it_too(run: Callable, make_run: Callable, tmp_path: Path) -> None:
    plan = Plan("tau", VALUES, "code")
    with pytest.raises(ShardError):
        run_row(run.params, plan, 5, run.data / "prepared", tmp_path, tmp_path / "runs/tau-5")
    no_test = make_run(num_clips=9)
    with pytest.raises(TrainingError, match="split test"):
        run_row(run.params, plan, 5, no_test / "prepared", no_test / "features", tmp_path / "runs/tau-5")
    assert not (tmp_path / "runs").exists()

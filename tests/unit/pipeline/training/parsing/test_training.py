"""The training loop on parsing: what it descends, what it keeps, and that a killed run ends in the same bytes."""

import csv
import json
import logging
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.core.errors import TrainingError
from pipeline.evaluation.stage import evaluate_run
from pipeline.params.schema import Params
from pipeline.training import loop as training
from pipeline.training.checkpoints import load_checkpoint
from pipeline.training.dataset import load_dataset
from pipeline.training.loop import Run, train
from pipeline.training.objective import terms_of
from pipeline.training.parsing.dataset import ParsingDataset

CPU = torch.device("cpu")
METHODS = ("han", "mmil_psp", "mmil_cpsp")
RESULTS = ("weights.safetensors", "weights_test_selected.safetensors", "history.csv")


def short(method: str, num_epochs: int = 4) -> dict[str, object]:
    block = f"train.{method}.weak"
    return {"train.method": method, f"{block}.num_epochs": num_epochs, f"{block}.milestones": [3]}


def load(run: Path, params: Params) -> ParsingDataset:
    return load_dataset(params, run / "prepared", run / "features")


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_descends_its_own_terms(
    method: str, make_parsing_run: Callable, make_parsing_params: Callable, tmp_path: Path
) -> None:
    params = make_parsing_params(**short(method))
    train(params.train, load(make_parsing_run(), params), tmp_path / "out", CPU)
    rows = history(tmp_path / "out")
    logged = [name.removeprefix("train_") for name in rows[0] if name.startswith("train_")]
    assert logged == ["loss", *(term.name for term in terms_of(method, "weak", params.train.settings))]
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])


@pytest.mark.parametrize(
    ("method", "scores", "kept"),
    [("han", (10.0, 30.0, 30.0, 20.0), 3), ("mmil_cpsp", (10.0, 30.0, 30.0, 20.0), 4)],
    ids=["HAN keeps the later of the best", "CPSP keeps the last"],
)
def test_the_epoch_that_counts_is_the_authors_choice(
    method: str,
    scores: tuple[float, ...],
    kept: int,
    make_parsing_run: Callable,
    make_parsing_params: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Run, "_score", lambda self, labelled, number: scores[number - 1])
    params = make_parsing_params(**short(method))
    train(params.train, load(make_parsing_run(), params), tmp_path, CPU)
    checkpoint, _ = load_checkpoint(tmp_path / "weights.safetensors", CPU)
    assert (checkpoint.epoch, checkpoint.score, checkpoint.selected_on) == (kept, scores[kept - 1], "val")


def test_an_interrupted_run_ends_in_the_same_bytes(
    make_parsing_run: Callable, make_parsing_params: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, params = make_parsing_run(), make_parsing_params(**short("mmil_cpsp"))
    train(params.train, load(run, params), tmp_path / "whole", CPU)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "another"))
    monkeypatch.setattr(training, "SAVING_SHARE", math.inf)
    epoch, trained = Run.epoch, []

    def stop_once(self: Run) -> dict[str, float]:
        row = epoch(self)
        trained.append(len(self.history))
        if len(trained) == 3:
            raise KeyboardInterrupt
        return row

    monkeypatch.setattr(Run, "epoch", stop_once)
    with pytest.raises(KeyboardInterrupt):
        train(params.train, load(run, params), tmp_path / "killed", CPU)
    train(params.train, load(run, params), tmp_path / "killed", CPU)
    assert trained == [1, 2, 3, 3, 4]
    for name in RESULTS:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name


@pytest.mark.parametrize("precision", ["bfloat16", "float64"])
def test_other_precisions_train_to_finite_weights_and_say_so(
    precision: str, make_parsing_run: Callable, make_parsing_params: Callable, tmp_path: Path
) -> None:
    params = make_parsing_params(**short("mmil_cpsp", 3), **{"train.precision": precision})
    dataset = load(make_parsing_run(), params)
    train(params.train, dataset, tmp_path / "train", CPU)
    checkpoint, network = load_checkpoint(tmp_path / "train/weights.safetensors", CPU)
    assert checkpoint.precision == precision
    weights = list(network.parameters())
    assert {weight.dtype for weight in weights} == {torch.float64 if precision == "float64" else torch.float32}
    assert all(weight.isfinite().all() for weight in weights)
    evaluate_run(params.evaluate, dataset, tmp_path / "train", tmp_path / "evaluate", CPU)


def test_a_loss_that_is_not_finite_names_the_clips(
    make_parsing_run: Callable, make_parsing_params: Callable, tmp_path: Path
) -> None:
    params = make_parsing_params(**short("han"), **{"train.han.weak.learning_rate": 1e30})
    with pytest.raises(TrainingError, match=r"epoch \d"):
        train(params.train, load(make_parsing_run(), params), tmp_path, CPU)


def test_an_empty_split_is_refused_before_any_work(
    make_parsing_run: Callable, make_parsing_params: Callable, tmp_path: Path
) -> None:
    params = make_parsing_params(**short("han"))
    with pytest.raises(TrainingError, match="split test: expected at least one clip with features, found none"):
        train(params.train, load(make_parsing_run(num_clips=18), params), tmp_path, CPU)
    assert not list(tmp_path.glob("weights*"))


@pytest.mark.slow
def test_what_clips_hold_is_learned_from_their_tags(
    make_parsing_run: Callable,
    make_parsing_params: Callable,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Separable features of 96 clips: the network must find where, and in which modality, each tag is."""
    changes = {"train.mmil_cpsp.weak.learning_rate": 0.001, "train.mmil_cpsp.weak.milestones": [35]}
    params = make_parsing_params(**short("mmil_cpsp", 40) | changes)
    dataset = load(make_parsing_run(num_clips=96), params)
    train(params.train, dataset, tmp_path / "train", CPU)
    with caplog.at_level(logging.INFO, "pipeline.evaluation"):
        evaluate_run(params.evaluate, dataset, tmp_path / "train", tmp_path / "evaluate", CPU)
    assert "everything: " in caplog.text
    metrics = json.loads((tmp_path / "evaluate/metrics.json").read_text())
    references = (metrics["everything_segment_type_at_av"], metrics["nothing_segment_type_at_av"])
    assert metrics["segment_type_at_av"] > max(references) + 10

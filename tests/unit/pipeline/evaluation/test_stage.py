import csv
import json
import shutil
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.localization.psp import PSPNet
from pipeline.core.errors import CheckpointError
from pipeline.evaluation.stage import evaluate_run
from pipeline.store.maps import load_maps
from pipeline.training.checkpoints import SELECTIONS, load_checkpoint
from pipeline.training.dataset import load_dataset
from pipeline.training.loading import open_store
from pipeline.training.localization.dataset import CategoryClips, LocalizationDataset
from pipeline.training.localization.decisions import MATRICES
from pipeline.training.loop import train

CPU = torch.device("cpu")
OVER_SEEDS = {
    "num_seeds",
    "segment_accuracy_mean",
    "segment_accuracy_sd",
    "test_selected_segment_accuracy_mean",
    "test_selected_segment_accuracy_sd",
}
TABLES = ("per_class.csv", "confusion.csv", "predictions.csv")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def short(**changes: object) -> dict[str, object]:
    """Return the params of a run that is long enough to learn something."""
    return {
        "train.cpsp.full.num_epochs": 8,
        "train.cpsp.full.milestones": [6],
        "dataset.min_coverage": 0.5,
        **changes,
    }


@pytest.fixture
def trained(make_run: Callable, make_params: Callable, tmp_path: Path) -> tuple[LocalizationDataset, Path, Callable]:
    run = make_run(num_clips=36, masked={"clip09": 3}, without_audio=("clip10",))
    params = make_params(**short())
    dataset = load_dataset(params, run / "prepared", run / "features")
    train(params.train, dataset, tmp_path / "train", CPU)
    evaluate_run(params.evaluate, dataset, tmp_path / "train", tmp_path / "evaluate", CPU)
    return dataset, tmp_path, make_params


def test_the_scores_follow_from_the_predictions(trained: tuple) -> None:
    dataset, folder, _ = trained
    metrics = json.loads((folder / "evaluate/metrics.json").read_text())
    predictions = rows(folder / "evaluate/predictions.csv")
    right = [row["truth"] == row["prediction"] for row in predictions]
    assert len(right) == 10 * len(dataset.test)
    assert metrics["segment_accuracy"] == pytest.approx(100 * sum(right) / len(right), abs=1e-4)
    background = [row["truth"] == "background" for row in predictions]
    assert metrics["background_share"] == pytest.approx(100 * sum(background) / len(background), abs=1e-4)
    assert metrics["segment_accuracy_low"] <= metrics["segment_accuracy"] <= metrics["segment_accuracy_high"]
    assert (metrics["num_clips"], metrics["num_clips_expected"]) == (len(dataset.test), len(dataset.test) + 1)
    assert metrics["test_selected_segment_accuracy"] >= metrics["segment_accuracy"]
    for row in predictions:
        assert 0 <= float(row["relevance"]) <= 1
        if float(row["relevance"]) < 0.5:
            assert row["prediction"] == "background"


def test_the_scores_are_those_of_the_epochs_that_training_selected(trained: tuple) -> None:
    _, folder, _ = trained
    metrics = json.loads((folder / "evaluate/metrics.json").read_text())
    history = rows(folder / "train/history.csv")
    best = history[metrics["best_epoch"] - 1]
    assert float(best["validation_score"]) == max(float(row["validation_score"]) for row in history)
    assert metrics["segment_accuracy"] == pytest.approx(float(best["test_score"]), abs=1e-4)
    chosen_on_test = max(float(row["test_score"]) for row in history)
    assert metrics["test_selected_segment_accuracy"] == pytest.approx(chosen_on_test, abs=1e-4)


def test_a_segment_without_sound_is_predicted_background(trained: tuple) -> None:
    dataset, folder, _ = trained
    assert "clip09" in dataset.test.clips.clip_ids
    masked = [r for r in rows(folder / "evaluate/predictions.csv") if (r["clip_id"], r["segment"]) == ("clip09", "3")]
    assert masked[0]["prediction"] == "background"
    metrics = json.loads((folder / "evaluate/metrics.json").read_text())
    assert metrics["masked_segment_share"] == pytest.approx(100 / (10 * len(dataset.test)), abs=1e-4)


def test_the_tables_agree_with_the_predictions(trained: tuple) -> None:
    _, folder, _ = trained
    predictions = rows(folder / "evaluate/predictions.csv")
    confusion = {(r["truth"], r["prediction"]): int(r["count"]) for r in rows(folder / "evaluate/confusion.csv")}
    assert sum(confusion.values()) == len(predictions)
    for (truth, guess), count in confusion.items():
        assert count == sum((r["truth"], r["prediction"]) == (truth, guess) for r in predictions)
    table = rows(folder / "evaluate/per_class.csv")
    assert [row["category"] for row in table] == ["bell", "siren", "truck", "background"]
    for row in table:
        of_category = [r for r in predictions if r["truth"] == row["category"]]
        assert int(row["num_event_segments"]) == len(of_category)
        share = 100 * sum(r["prediction"] == row["category"] for r in of_category) / len(of_category)
        assert float(row["segment_accuracy"]) == pytest.approx(share, abs=1e-4)
    assert (table[-1]["num_clips"], table[-1]["category_accuracy"]) == ("", "")


def test_the_validation_split_is_predicted_by_the_epoch_it_selected(trained: tuple) -> None:
    dataset, folder, _ = trained
    predictions = rows(folder / "evaluate/predictions_val.csv")
    assert list(dict.fromkeys(row["clip_id"] for row in predictions)) == list(dataset.val.clips.clip_ids)
    metrics = json.loads((folder / "evaluate/metrics.json").read_text())
    best = rows(folder / "train/history.csv")[metrics["best_epoch"] - 1]
    right = [row["truth"] == row["prediction"] for row in predictions]
    assert 100 * sum(right) / len(right) == pytest.approx(float(best["validation_score"]), abs=1e-4)


@pytest.mark.slow
def test_maps_say_where_each_clip_was_looked_at_and_what_was_connected(trained: tuple) -> None:
    dataset, folder, _ = trained
    maps = load_maps(folder / "evaluate/maps.safetensors")
    _, network = load_checkpoint(folder / "train" / SELECTIONS["val"], CPU)
    for name, split in (("test", dataset.test), ("val", dataset.val)):
        clips = split.clips
        assert set(maps[name]) == {"attention", *MATRICES}
        assert maps[name]["attention"].shape == (len(split), 10, 49)
        assert maps[name]["attention"].astype(np.float64).sum(-1) == pytest.approx(1, abs=2e-3)
        with open_store(dataset, "ram", CPU, torch.float32) as store, torch.inference_mode():
            batch = next(store.batches(clips, [[len(clips) - 1]]))
            answer = network(batch.visual, batch.audio)
        assert maps[name]["attention"][-1] == pytest.approx(answer.attention[0].numpy(), abs=1e-3)
        for matrix in MATRICES:
            assert maps[name][matrix][-1] == pytest.approx(getattr(answer.propagation, matrix)[0].numpy(), abs=1e-3)


@pytest.mark.slow
def test_without_validation_clips_only_the_test_split_is_predicted(trained: tuple) -> None:
    dataset, folder, make_params = trained
    nothing = CategoryClips((), (), torch.zeros(0, dtype=torch.int64), 3, dataset.visual, dataset.audio)
    val = replace(dataset.val, clips=nothing, truth=dataset.val.truth[:0], has_media=dataset.val.has_media[:0])
    evaluate_run(make_params().evaluate, replace(dataset, val=val), folder / "train", folder / "tested", CPU)
    assert rows(folder / "tested/predictions_val.csv") == []
    assert set(load_maps(folder / "tested/maps.safetensors")) == {"test"}
    for name in TABLES:
        assert (folder / "tested" / name).read_bytes() == (folder / "evaluate" / name).read_bytes()


def test_a_network_without_propagation_has_attention_alone(
    make_run: Callable, make_params: Callable, tmp_path: Path
) -> None:
    run = make_run()
    params = make_params(**{"train.method": "avel", "train.avel.full.num_epochs": 1, "train.avel.full.milestones": []})
    dataset = load_dataset(params, run / "prepared", run / "features")
    train(params.train, dataset, tmp_path / "train", CPU)
    evaluate_run(params.evaluate, dataset, tmp_path / "train", tmp_path / "evaluate", CPU)
    assert {split: set(maps) for split, maps in load_maps(tmp_path / "evaluate/maps.safetensors").items()} == {
        "test": {"attention"},
        "val": {"attention"},
    }


@pytest.mark.slow
def test_weights_of_other_features_are_refused(trained: tuple, make_run: Callable) -> None:
    _, folder, make_params = trained
    run = make_run()
    index = run / "features/visual/index.json"
    index.write_text(index.read_text().replace('"random:19"', '"random:20"'))
    params = make_params(**{"visual.weights_seed": 20})
    other = load_dataset(params, run / "prepared", run / "features")
    with pytest.raises(CheckpointError, match="recipe of the visual features"):
        evaluate_run(params.evaluate, other, folder / "train", folder / "other", CPU)


@pytest.mark.slow
def test_several_seeds_are_scored_each_as_if_alone_and_together(
    make_run: Callable, make_params: Callable, tmp_path: Path
) -> None:
    run = make_run(num_clips=36, masked={"clip09": 3}, without_audio=("clip10",))
    params = make_params(
        **short(**{"train.cpsp.full.num_epochs": 3, "train.cpsp.full.milestones": [2]}),
        **{"train.seed": 5, "train.num_seeds": 3},
    )
    dataset = load_dataset(params, run / "prepared", run / "features")
    train(params.train, dataset, tmp_path / "train", CPU)
    # Validation and test often select the same epoch here; other weights tell the two protocols apart.
    shutil.copy(tmp_path / "train" / SELECTIONS["test"], tmp_path / "train/seed-6" / SELECTIONS["test"])
    for number in (5, 6, 7):
        source = tmp_path / "train" if number == 5 else tmp_path / f"train/seed-{number}"
        (tmp_path / f"weights-{number}").mkdir()
        for name in SELECTIONS.values():
            shutil.copy(source / name, tmp_path / f"weights-{number}")
        evaluate_run(params.evaluate, dataset, tmp_path / f"weights-{number}", tmp_path / f"alone-{number}", CPU)
    for name in ("seed-old", "seed-8.bak", "my-seed-9"):  # other folders that someone may keep there
        shutil.copytree(tmp_path / "weights-7", tmp_path / "train" / name)
    evaluate_run(params.evaluate, dataset, tmp_path / "train", tmp_path / "all", CPU)

    seeds = rows(tmp_path / "all/seeds.csv")
    assert [row["seed"] for row in seeds] == ["5", "6", "7"]
    assert seeds == [row for number in (5, 6, 7) for row in rows(tmp_path / f"alone-{number}/seeds.csv")]
    metrics = json.loads((tmp_path / "all/metrics.json").read_text())
    assert metrics["num_seeds"] == 3
    assert metrics["segment_accuracy_mean"] != metrics["test_selected_segment_accuracy_mean"]
    for name in ("segment_accuracy", "test_selected_segment_accuracy"):
        values = [float(row[name]) for row in seeds]
        assert len(set(values)) > 1, "seeds that score alike have no deviation to test"
        assert metrics[f"{name}_mean"] == pytest.approx(statistics.mean(values), abs=2e-4)
        assert metrics[f"{name}_sd"] == pytest.approx(statistics.stdev(values), abs=2e-4)
    of_first = json.loads((tmp_path / "alone-5/metrics.json").read_text())
    assert {name: value for name, value in metrics.items() if name not in OVER_SEEDS} == of_first
    for name in TABLES:
        assert (tmp_path / "all" / name).read_bytes() == (tmp_path / "alone-5" / name).read_bytes()


def test_one_seed_has_no_deviation(trained: tuple) -> None:
    _, folder, _ = trained
    metrics = json.loads((folder / "evaluate/metrics.json").read_text())
    assert OVER_SEEDS.isdisjoint(metrics)
    (row,) = rows(folder / "evaluate/seeds.csv")
    assert row.pop("seed") == "123"
    assert {name: float(value) for name, value in row.items()} == {name: metrics[name] for name in row}


def test_weights_trained_in_bfloat16_are_scored_in_it(
    make_run: Callable, make_params: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(num_clips=36)
    params = make_params(**short(**{"train.precision": "bfloat16"}))
    dataset = load_dataset(params, run / "prepared", run / "features")
    train(params.train, dataset, tmp_path / "train", CPU)
    computed_in = set()
    forward = PSPNet.forward

    def observe(self: PSPNet, visual: torch.Tensor, audio: torch.Tensor) -> object:
        output = forward(self, visual, audio)
        computed_in.update((visual.dtype, audio.dtype, output.fusion.dtype))
        return output

    monkeypatch.setattr(PSPNet, "forward", observe)
    evaluate_run(params.evaluate, dataset, tmp_path / "train", tmp_path / "evaluate", CPU)
    assert computed_in == {torch.bfloat16}
    metrics = json.loads((tmp_path / "evaluate/metrics.json").read_text())
    history = rows(tmp_path / "train/history.csv")
    for accuracy, epoch in (
        ("segment_accuracy", "best_epoch"),
        ("test_selected_segment_accuracy", "test_selected_epoch"),
    ):
        assert metrics[accuracy] == pytest.approx(float(history[metrics[epoch] - 1]["test_score"]), abs=1e-4)

"""What evaluation of parsing writes, against the truth and the probabilities it was made from."""

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.evaluation.parsing import write_parsing
from pipeline.evaluation.scoring import Scored
from pipeline.evaluation.stage import evaluate_run
from pipeline.metrics.parsing import evaluate
from pipeline.store.maps import load_maps
from pipeline.training.dataset import load_dataset
from pipeline.training.loop import train
from pipeline.training.parsing.dataset import ParsedClips, ParsingDataset
from pipeline.training.parsing.decisions import ParsingOutputs

CPU = torch.device("cpu")
TEN = [
    f"{level}_{name}"
    for level in ("segment", "event")
    for name in ("audio", "visual", "audio_visual", "type_at_av", "event_at_av")
]


@dataclass(frozen=True)
class Written:
    """A data set, made-up outputs about its test split, and the folder they were written to."""

    dataset: ParsingDataset
    outputs: ParsingOutputs
    folder: Path
    metrics: Mapping[str, float]

    def read(self, name: str) -> list[dict[str, str]]:
        with (self.folder / name).open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def write(make_parsing_run: Callable, make_parsing_params: Callable, tmp_path: Path) -> Callable[..., Written]:
    """Return a function that writes the scores of random outputs, with the gate and the method that are asked for."""

    def write_with(
        gate: str = "authors", method: str = "mmil_cpsp", spread: float = 1.0, masked: Mapping[str, int] | None = None
    ) -> Written:
        params = make_parsing_params(**{"evaluate.gate": gate, "evaluate.num_resamples": 50})
        make_run = make_parsing_run(masked=masked or {})
        dataset = load_dataset(params, *(make_run / name for name in ("prepared", "features")))
        generator = np.random.default_rng(0)
        num_clips, _, num_categories, num_segments = dataset.test.truth.shape
        shape = (num_clips, num_categories)
        outputs = ParsingOutputs(
            spread * generator.random((num_clips, num_segments, 2, num_categories)),
            *(spread * generator.random(shape) for _ in range(3)),
        )
        scored = Scored(SimpleNamespace(method=method), dataset.test, outputs, params.evaluate.rule_of(method))
        folder = tmp_path / f"evaluate-{make_run.name}"
        metrics = write_parsing(params.evaluate, dataset.categories, scored, None, folder)
        return Written(dataset, outputs, folder, metrics)

    return write_with


def truth_of(test: ParsedClips) -> np.ndarray:
    return test.truth.numpy()


@pytest.mark.parametrize(
    ("gate", "method", "headline", "other"),
    [
        ("authors", "mmil_cpsp", "own", "global"),
        ("authors", "han", "global", "own"),
        ("global", "mmil_cpsp", "global", "own"),
        ("own", "han", "own", "global"),
    ],
)
def test_both_gates_are_scored_and_the_one_that_was_not_asked_for_is_named(
    gate: str, method: str, headline: str, other: str, write: Callable
) -> None:
    written = write(gate, method)
    test = written.dataset.test
    for prefix, used in (("", headline), (f"{other}_gate_", other)):
        expected = evaluate(test.predicted(written.outputs, used), truth_of(test))
        assert [written.metrics[f"{prefix}{name}"] for name in TEN] == pytest.approx([expected[name] for name in TEN])
    assert f"{headline}_gate_segment_audio" not in written.metrics
    assert next(iter(written.metrics)) == "segment_type_at_av"
    assert any(written.metrics[name] != written.metrics[f"{other}_gate_{name}"] for name in TEN)


def test_every_score_has_its_interval_its_micro_average_and_references(write: Callable) -> None:
    metrics = write().metrics
    for name in TEN:
        assert metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"]
        assert 0 <= metrics[f"micro_{name}"] <= 100
    assert metrics["segment_type_at_av_low"] < metrics["segment_type_at_av_high"]
    for reference in ("everything", "nothing"):
        assert 0 < metrics[f"{reference}_segment_type_at_av"] < 100
    assert (metrics["num_clips"], metrics["masked_segment_share"]) == (6, 0)


def test_a_segment_that_lacks_one_modality_is_masked_as_a_whole_segment(write: Callable) -> None:
    written = write(masked={"clip18": 4})
    assert (~written.dataset.test.has_media.numpy()).sum() == 1, "the pictures of that segment are there"
    assert written.metrics["masked_segment_share"] == pytest.approx(100 / 60)


def test_predictions_hold_every_lane_that_is_true_or_predicted_and_no_other(write: Callable) -> None:
    written = write()
    test, names = written.dataset.test, written.dataset.categories
    predicted, truth = test.predicted(written.outputs, "own"), truth_of(test)
    found = {"truth": np.zeros_like(truth), "prediction": np.zeros_like(truth)}
    lanes = set()
    for row in written.read("predictions.csv"):
        place = (
            test.clips.clip_ids.index(row["clip_id"]),
            ("audio", "visual").index(row["modality"]),
            names.index(row["category"]),
            int(row["segment"]),
        )
        lanes.add(place[:3])
        for column, array in found.items():
            assert row[column] in (row["category"], "background")
            array[place] = row[column] == row["category"]
        probability = written.outputs.segment_probabilities[place[0], place[3], place[1], place[2]]
        assert float(row["probability"]) == pytest.approx(probability, abs=1e-6)
    assert (found["truth"] == truth).all()
    assert (found["prediction"] == predicted).all()
    assert lanes == {tuple(place) for place in np.argwhere((truth | predicted).any(axis=3)).tolist()}


def test_a_clip_without_any_event_has_the_lane_of_its_most_probable_one(write: Callable) -> None:
    written = write(spread=0.4)  # nothing is predicted
    test = written.dataset.test
    test.truth[2] = False
    scored = Scored(SimpleNamespace(method="han"), test, written.outputs, "own_gate")
    params = SimpleNamespace(model_dump=lambda exclude: {"confidence": 0.9, "num_resamples": 9, "seed": 0})
    write_parsing(params, written.dataset.categories, scored, scored, written.folder)
    most = written.outputs.segment_probabilities[2].max(axis=0)
    modality, category = np.unravel_index(most.argmax(), most.shape)
    rows = [row for row in written.read("predictions.csv") if row["clip_id"] == test.clips.clip_ids[2]]
    lanes = {(row["modality"], row["category"]) for row in rows}
    assert lanes == {(("audio", "visual")[modality], written.dataset.categories[category])}
    assert written.read("predictions_val.csv") == written.read("predictions.csv")
    maps = load_maps(written.folder / "maps.safetensors")
    assert maps.keys() == {"test", "val"}
    np.testing.assert_allclose(maps["test"]["probabilities"], written.outputs.segment_probabilities, atol=1e-3)
    np.testing.assert_allclose(
        maps["test"]["clip_probabilities"][:, 2], written.outputs.global_probabilities, atol=1e-3
    )


def test_tables_count_what_the_predictions_say(write: Callable) -> None:
    written = write()
    rows = written.read("predictions.csv")
    for row in written.read("confusion.csv"):
        pairs = [each for each in rows if (each["truth"], each["prediction"]) == (row["truth"], row["prediction"])]
        if row["truth"] == row["prediction"]:
            assert len(pairs) == int(row["count"])
        else:
            name = max(row["truth"], row["prediction"], key=lambda name: name != "background")
            assert len([each for each in pairs if each["category"] == name]) == int(row["count"])
    of_category = {row["category"]: row for row in written.read("per_class.csv")}
    assert list(of_category) == list(written.dataset.categories)
    truth = truth_of(written.dataset.test)
    for number, name in enumerate(written.dataset.categories):
        assert int(of_category[name]["num_clips"]) == truth[:, :, number].any(axis=(1, 2)).sum()
        audio = written.dataset.test.predicted(written.outputs, "own")[:, 0, number]
        both = (audio & truth[:, 0, number]).sum()
        expected = 200 * both / (audio.sum() + truth[:, 0, number].sum())
        assert float(of_category[name]["audio"]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("gate", ["global", "own"])
def test_several_seeds_have_their_scores_and_their_mean_by_the_gate_asked_for(
    gate: str, make_parsing_run: Callable, make_parsing_params: Callable, tmp_path: Path
) -> None:
    settings = {"num_epochs": 2, "milestones": [], "learning_rate": 0.001}
    params = make_parsing_params(
        **{"train.method": "han", "train.num_seeds": 2, "evaluate.gate": gate},
        **{f"train.han.weak.{key}": value for key, value in settings.items()},
    )
    run = make_parsing_run()
    dataset = load_dataset(params, run / "prepared", run / "features")
    train(params.train, dataset, tmp_path / "train", CPU)
    evaluate_run(params.evaluate, dataset, tmp_path / "train", tmp_path / "evaluate", CPU)
    metrics = json.loads((tmp_path / "evaluate/metrics.json").read_text())
    with (tmp_path / "evaluate/seeds.csv").open(newline="") as file:
        seeds = list(csv.DictReader(file))
    assert [row["seed"] for row in seeds] == ["123", "124"]
    scores = [float(row["segment_type_at_av"]) for row in seeds]
    assert metrics["segment_type_at_av"] == pytest.approx(scores[0], abs=1e-3)
    assert metrics["segment_type_at_av_mean"] == pytest.approx(sum(scores) / 2, abs=1e-3)
    other = {"global": "own", "own": "global"}[gate]
    assert metrics[f"{other}_gate_segment_type_at_av"] != scores[0], "the gates could not be told apart"
    assert metrics["num_seeds"] == 2
    assert metrics["best_epoch"] == metrics["test_selected_epoch"]
    assert metrics["test_selected_segment_type_at_av"] == metrics["segment_type_at_av"]
    assert metrics["num_clips_expected"] == 6

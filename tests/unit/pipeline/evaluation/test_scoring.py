from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.core.errors import CheckpointError
from pipeline.evaluation.scoring import Scored, load_selected, score
from pipeline.params.schema import EvaluateParams
from pipeline.training.checkpoints import SELECTIONS, build_network, load_checkpoint, save_checkpoint
from pipeline.training.dataset import load_dataset
from pipeline.training.localization.dataset import LocalizationDataset
from pipeline.training.loop import train

CPU = torch.device("cpu")


@pytest.fixture
def trained(
    make_run: Callable, make_params: Callable, tmp_path: Path
) -> tuple[LocalizationDataset, Path, EvaluateParams]:
    """Return a data set with a masked segment, the folder of weights trained on it, and how they are scored."""
    run = make_run(num_clips=36, masked={"clip09": 3})
    params = make_params(**{"train.cpsp.full.num_epochs": 1, "train.cpsp.full.milestones": []})
    dataset = load_dataset(params, run / "prepared", run / "features")
    train(params.train, dataset, tmp_path / "train", CPU)
    return dataset, tmp_path / "train", params.evaluate


def predicted(scored: Scored) -> np.ndarray:
    return scored.clips.predicted(scored.outputs)


def test_each_checkpoint_is_scored_by_its_own_labels_in_one_pass(trained: tuple) -> None:
    dataset, folder, params = trained
    pair = load_selected(folder, dataset, CPU)
    assert [checkpoint.selected_on for checkpoint, _ in pair] == ["val", "test"]
    together = score(pair, dataset.test, dataset, params, CPU, num_with_maps=1)
    alone = [score([one], dataset.test, dataset, params, CPU)[0] for one in pair]
    for scored, again in zip(together, alone, strict=True):
        assert (predicted(scored) == predicted(again)).all()
        right = (predicted(scored) == dataset.test.truth.numpy()).mean()
        assert scored.score == pytest.approx(100 * right)
        counts = scored.per_video()["segment_accuracy"]
        assert counts.correct.sum() / counts.total.sum() == pytest.approx(right)
    assert [bool(scored.outputs.maps) for scored in together] == [True, False]


def test_segments_without_media_are_labelled_background(trained: tuple) -> None:
    dataset, folder, params = trained
    (scored, _) = score(load_selected(folder, dataset, CPU), dataset.test, dataset, params, CPU)
    clip = dataset.test.clips.clip_ids.index("clip09")
    assert not dataset.test.has_media[clip, 3]
    assert predicted(scored)[clip, 3] == len(dataset.categories)


def test_of_imported_weights_nothing_was_selected_on_test(trained: tuple, tmp_path: Path) -> None:
    dataset, folder, _ = trained
    checkpoint, network = load_checkpoint(folder / SELECTIONS["val"], CPU)
    imported = replace(checkpoint, selected_on="")
    save_checkpoint(tmp_path / "imported" / SELECTIONS["val"], imported, network.state_dict())
    assert len(load_selected(tmp_path / "imported", dataset, CPU)) == 1


def test_weights_of_other_categories_are_refused(trained: tuple) -> None:
    dataset, folder, _ = trained
    with pytest.raises(CheckpointError, match="categories"):
        load_selected(folder, replace(dataset, categories=("bell", "siren", "train")), CPU)


def test_weights_of_features_of_another_size_are_refused(trained: tuple, tmp_path: Path) -> None:
    """The recipe of released features says nothing of their size."""
    dataset, folder, _ = trained
    checkpoint, _ = load_checkpoint(folder / SELECTIONS["val"], CPU)
    other = replace(checkpoint, selected_on="", inputs={**checkpoint.inputs, "num_positions": 4})
    save_checkpoint(tmp_path / SELECTIONS["val"], other, build_network(other).state_dict())
    with pytest.raises(CheckpointError, match=r"sizes of the features: expected .*'num_positions': 4.* found .*; "):
        load_selected(tmp_path, dataset, CPU)


def test_weights_of_the_other_task_are_refused(
    trained: tuple, make_parsing_run: Callable, make_parsing_params: Callable
) -> None:
    """A data set of either task may have the categories and the features of one of the other."""
    _, folder, _ = trained
    run = make_parsing_run()
    parsing = load_dataset(make_parsing_params(), run / "prepared", run / "features")
    with pytest.raises(CheckpointError, match="task: expected localization, found parsing; "):
        load_selected(folder, parsing, CPU)

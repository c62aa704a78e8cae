from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avel_testing.reaching import reachable
from pipeline.core.errors import AnnotationError, ShardError
from pipeline.params.schema import Params
from pipeline.store.parsing_manifest import ParsedClip
from pipeline.training.dataset import load_dataset
from pipeline.training.loading import open_store
from pipeline.training.parsing.dataset import ParsedClips, ParsingDataset, TaggedClips
from pipeline.training.parsing.decisions import ParsingOutputs

CPU = torch.device("cpu")
MOTION = {"backbone": "r2plus1d_18", "weights": "random", "weights_sha256": None, "weights_seed": 1}


def load(run: Path, params: Params) -> ParsingDataset:
    return load_dataset(params, run / "prepared", run / "features")


def perfect(labelled: ParsedClips) -> ParsingOutputs:
    """Return the outputs of a network that knows everything."""
    truth = labelled.truth.numpy().astype(np.float64)
    of_clips = truth.max(axis=3)
    return ParsingOutputs(truth.transpose(0, 3, 1, 2), of_clips[:, 0], of_clips[:, 1], of_clips.max(axis=1))


@pytest.mark.parametrize(
    ("changes", "shape", "inputs"),
    [
        ({}, (2048,), {"visual_shape": [2048], "motion_features": 0}),
        (
            {"visual.combine": "stack", "visual.frames_per_segment": 2},
            (2, 2048),
            {"visual_shape": [2, 2048], "motion_features": 0},
        ),
        (
            {"visual.combine": "stack", "visual.frames_per_segment": 2, "visual.motion": MOTION},
            (4608,),
            {"visual_shape": [2, 2048], "motion_features": 512},
        ),
        ({"visual.backbone": "vgg19"}, (7, 7, 512), {"visual_shape": [7, 7, 512], "motion_features": 0}),
    ],
    ids=["vectors", "stacks", "two streams", "maps"],
)
def test_clips_come_with_their_features_and_tags(
    make_parsing_run: Callable, make_parsing_params: Callable, changes: dict, shape: tuple, inputs: dict[str, Any]
) -> None:
    dataset = load(make_parsing_run(num_clips=8, **changes), make_parsing_params(**changes))
    assert dataset.network_inputs == {**inputs, "audio_features": 128}
    with open_store(dataset, "stream", CPU, torch.float32, num_workers=0) as store:
        (batch,) = store.batches(dataset.train, [[3, 1]])
    assert batch.visual.shape == (2, 10, *shape)
    assert batch.categories.tolist() == [[True, True, False], [True, True, False]]
    assert dataset.train.labels(batch, [3, 1]).tags is batch.categories


def test_what_is_heard_and_seen_is_where_the_features_show_it(
    make_parsing_run: Callable, make_parsing_params: Callable
) -> None:
    dataset = load(make_parsing_run(), make_parsing_params())
    assert [len(dataset.train), len(dataset.val), len(dataset.test)] == [12, 6, 6]
    clips = dataset.test.clips
    with open_store(dataset, "stream", CPU, torch.float32, num_workers=0) as store:
        (batch,) = store.batches(clips, [list(range(len(clips)))])
    heard = batch.audio[:, :, :30].unflatten(2, (3, 10)).mean(3) > 1.2
    seen = batch.visual[:, :, :300].unflatten(2, (3, 100)).mean(3) > 1.2
    assert torch.equal(dataset.test.truth, torch.stack([heard, seen], 1).transpose(2, 3))
    assert dataset.test.has_media.all()


def test_training_cannot_reach_a_label_of_a_segment_even_where_the_manifest_has_them(
    make_parsing_run: Callable, make_parsing_params: Callable
) -> None:
    params = make_parsing_params()
    dataset = load(make_parsing_run(num_timed=12), params)
    splits = dataset.splits(params.train)
    assert type(splits.training) is TaggedClips
    texts = {text for text in map(str, reachable(splits.training)) if len(text) == 10 and set(text) == {"0", "1"}}
    assert texts == set()
    assert not any(isinstance(value, (ParsedClip, ParsedClips)) for value in reachable(splits.training))
    tensors = [value for value in reachable(splits.training) if isinstance(value, torch.Tensor)]
    assert [tuple(tensor.shape) for tensor in tensors] == [(12, 3)]


def test_perfect_answers_score_100_and_their_gate_counts(
    make_parsing_run: Callable, make_parsing_params: Callable
) -> None:
    test = load(make_parsing_run(), make_parsing_params()).test
    outputs = perfect(test)
    assert test.score(outputs, "own_gate") == test.score(outputs, "global_gate") == 100
    silent = ParsingOutputs(
        outputs.segment_probabilities,
        0 * outputs.audio_probabilities,
        outputs.visual_probabilities,
        outputs.global_probabilities,
    )
    assert test.score(silent, "global_gate") == 100
    assert test.score(silent, "own_gate") < 70
    counts = test.per_video(silent, "own_gate")
    assert next(iter(counts)) == "segment_type_at_av"
    assert len(counts) == 10
    assert counts["segment_audio"].correct.sum() == 0
    assert counts["segment_visual"].correct.sum() == counts["segment_visual"].total.sum() == len(test)


def test_nothing_is_heard_where_there_is_no_sound_and_all_is_seen_there(
    make_parsing_run: Callable, make_parsing_params: Callable
) -> None:
    test = load(make_parsing_run(masked={"clip18": 4}), make_parsing_params()).test
    everything = ParsingOutputs(np.ones((6, 10, 2, 3)), *np.ones((3, 6, 3)))
    predicted = test.predicted(everything, "own")
    assert not predicted[0, 0, :, 4].any()
    assert predicted[0, 1].all()
    assert predicted[1].all()


def test_missing_features_leave_a_clip_out_and_too_many_stop_the_run(
    make_parsing_run: Callable, make_parsing_params: Callable
) -> None:
    run = make_parsing_run(without_audio=("clip18",))
    dataset = load(run, make_parsing_params(**{"dataset.min_coverage": 0.5}))
    assert (len(dataset.test), dataset.test.num_expected) == (5, 6)
    with pytest.raises(ShardError, match=r"split test: expected features of at least 95\.0% .* found 5 of 6"):
        load(run, make_parsing_params())


def test_labels_of_another_task_and_features_of_another_shape_are_refused_in_one_line(
    make_run: Callable, make_params: Callable, make_parsing_run: Callable, make_parsing_params: Callable
) -> None:
    with pytest.raises(AnnotationError, match=r"manifest\.csv: expected the columns .*tags.*, found .*category"):
        load(make_run(), make_parsing_params(**{"visual.backbone": "vgg19"}))
    with pytest.raises(AnnotationError, match=r"manifest\.csv: expected the columns .*category.*, found .*tags"):
        load(make_parsing_run(), make_params(**{"visual.backbone": "vgg19"}))
    with pytest.raises(ShardError, match=r"frames_per_segment"):
        load(make_parsing_run(), make_parsing_params(**{"visual.combine": "stack", "visual.frames_per_segment": 8}))

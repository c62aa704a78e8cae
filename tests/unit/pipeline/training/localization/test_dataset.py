import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from avel_testing.reaching import reachable
from models.localization.losses import BACKGROUND_CLIP
from pipeline.core.errors import AnnotationError, ParamsError, ShardError, TrainingError
from pipeline.core.files import sha256_of_file
from pipeline.features.recipes import visual_recipe
from pipeline.params.schema import Params
from pipeline.store.manifest import Clip
from pipeline.store.shards import ShardFile, ShardIndex, ShardRow, load_index, write_shard
from pipeline.training.dataset import ClipBatch, load_dataset
from pipeline.training.loading import open_store
from pipeline.training.localization.dataset import CategoryClips, LabelledClips, LocalizationDataset

CPU = torch.device("cpu")


def load(run: Path, params: Params) -> LocalizationDataset:
    return load_dataset(params, run / "prepared", run / "features")


def read(
    dataset: LocalizationDataset, clips: CategoryClips, positions: list[int], dtype: torch.dtype = torch.float32
) -> ClipBatch:
    with open_store(dataset, "stream", CPU, dtype, num_workers=0) as store:
        (batch,) = store.batches(clips, [positions])
    return batch


def segment_labels(start: object, labelled: LabelledClips) -> list[object]:
    """Return what of all that `start` holds tells where the events of `labelled` are."""
    labels = [labelled.events, labelled.truth]
    texts = {"".join(str(int(event)) for event in events) for events in labelled.events.tolist()}

    def tells(value: object) -> bool:
        if isinstance(value, torch.Tensor):
            return any(value.shape == label.shape and bool((value == label).all()) for label in labels)
        return isinstance(value, (LabelledClips, Clip)) or (isinstance(value, str) and value in texts)

    return [value for value in reachable(start) if tells(value)]


def test_clips_come_with_their_features_category_and_events(make_run: Callable, make_params: Callable) -> None:
    dataset = load(make_run(), make_params())
    assert [len(dataset.train), len(dataset.val), len(dataset.test)] == [12, 6, 6]
    assert dataset.categories == ("bell", "siren", "truck")
    batch = read(dataset, dataset.train.clips, [1, 0], torch.float64)
    assert batch.visual.shape == (2, 10, 7, 7, 8)
    assert batch.visual.dtype == torch.float64
    assert batch.audio.shape == (2, 10, 128)
    assert batch.categories.tolist() == [1, 0]
    events = dataset.train.events[1]
    loud = batch.audio[0, :, 10:20].mean(1) > 1.2
    assert torch.equal(loud, events)
    assert torch.equal(dataset.train.truth[1], torch.where(events, 1, 3))


@pytest.mark.parametrize("cache", ["ram", "stream"])
def test_from_what_weak_training_is_given_no_segment_label_can_be_reached(
    cache: str, make_run: Callable, make_params: Callable
) -> None:
    train = load(make_run(background=2), make_params()).train
    dataset = load(make_run(background=2), make_params())
    weak = dataset.train.without_segment_labels().joined(dataset.background)
    assert type(weak) is CategoryClips
    with open_store(dataset, cache, CPU, torch.float32, num_workers=0) as store:
        batches = store.batches(weak, [list(range(len(weak)))])
        given = [weak, store, batches, next(batches)]
        held = list(reachable(given))
    assert any(value is weak.categories for value in held)
    assert any(isinstance(value, str) and value == "clip00" for value in held)
    assert segment_labels(given, train) == []


def holds(value: object, tensor: torch.Tensor) -> bool:
    """Return whether a value is a tensor of the same numbers."""
    return isinstance(value, torch.Tensor) and value.shape == tensor.shape and bool((value == tensor).all())


def test_event_shares_are_seen_only_where_they_are_asked_for(make_run: Callable, make_params: Callable) -> None:
    train = load(make_run(masked={"clip00": 4}, events={"clip00": "0011111110"}), make_params()).train
    weak, shares = train.without_segment_labels(), train.event_shares
    assert weak.event_shares is None
    assert not any(holds(value, shares) for value in reachable(weak))
    given = train.without_segment_labels(with_event_shares=True)
    assert any(holds(value, shares) for value in reachable(given))
    assert shares.dtype == torch.float64
    assert shares.tolist() == [0.7, *(train.truth[1:] != 3).double().mean(1).tolist()]
    assert segment_labels(given, train) == []


def test_joined_clips_keep_their_event_shares_and_those_of_background_are_zero(
    make_run: Callable, make_params: Callable
) -> None:
    dataset = load(make_run(background=2, untimed=("clip01",)), make_params())
    train = dataset.train.without_segment_labels(with_event_shares=True)
    shares = [0.5] * 11
    assert train.joined(dataset.background).event_shares.tolist() == [*shares, 0, 0]
    assert dataset.background.joined(train).event_shares.tolist() == [0, 0, *shares]
    assert train.joined(train).event_shares.tolist() == shares * 2
    assert dataset.train.without_segment_labels().joined(dataset.background).event_shares is None
    with pytest.raises(
        TrainingError, match=r"^clip clip01: expected an event share, .*, found none; leave clips without"
    ):
        train.joined(dataset.untimed)


def test_clips_without_times_are_kept_apart(
    make_run: Callable, make_params: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    run = make_run(untimed=("clip01", "clip03", "clip04"), without_audio=("clip03",))
    with caplog.at_level(logging.INFO):
        dataset = load(run, make_params(**{"dataset.min_coverage": 0.6}))
    assert dataset.untimed.clip_ids == ("clip01", "clip04")
    assert dataset.untimed.categories.tolist() == [1, 1]
    assert not {"clip01", "clip03", "clip04"} & set(dataset.train.clips.clip_ids)
    assert len(dataset.train) == dataset.train.num_expected == 9
    assert caplog.messages[-1] == "train: 2 of 3 clips without times have features; full training leaves them out"
    joined = dataset.train.without_segment_labels().joined(dataset.untimed)
    assert torch.equal(read(dataset, joined, [9]).visual, read(dataset, dataset.untimed, [0]).visual)
    with pytest.raises(ShardError, match=r"clips of train without times: expected .* at least 95\.0% .* found 2 of 3"):
        load(run, make_params())


def test_clips_without_times_cannot_be_scored(make_run: Callable, make_params: Callable) -> None:
    run = make_run(untimed=("clip06",))
    with pytest.raises(AnnotationError, match="clip clip06: expected a label per segment"):
        load(run, make_params())


def test_most_data_sets_have_no_clip_without_times(make_run: Callable, make_params: Callable) -> None:
    assert len(load(make_run(), make_params()).untimed) == 0


def test_the_search_for_labels_finds_them_where_they_are(make_run: Callable, make_params: Callable) -> None:
    train = load(make_run(), make_params()).train
    row = Clip("a", "a", "a.mp4", "bell", "".join(str(int(event)) for event in train.events[0].tolist()), "train")
    found = segment_labels({"some": [train], "one": (row,)}, train)
    assert {id(value) for value in (train, train.events, train.truth, row, row.events)} <= {id(v) for v in found}
    assert segment_labels([train.truth[:]], train), "a view"
    assert segment_labels(lambda: train.truth, train), "a closure"
    assert segment_labels((label for label in [train.events]), train), "a generator"
    assert segment_labels(train.without_segment_labels, train), "a method"
    assert segment_labels(train.clips, train) == []


def test_a_segment_without_sound_is_background_in_training_and_stays_an_event_in_truth(
    make_run: Callable, make_params: Callable
) -> None:
    run = make_run(masked={"clip00": 4}, events={"clip00": "0011111000"})
    train = load(run, make_params()).train
    assert train.events[0].tolist() == [False, False, True, True, False, True, True, False, False, False]
    assert train.truth[0, 4] == 0
    assert not train.has_media[0, 4]
    assert train.has_media.sum() == train.has_media.numel() - 1


def test_clips_without_features_are_left_out_and_counted(make_run: Callable, make_params: Callable) -> None:
    run = make_run(without_audio=("clip01",))
    params = make_params(**{"dataset.min_coverage": 0.9})
    train = load(run, params).train
    assert "clip01" not in train.clips.clip_ids
    assert (len(train), train.num_expected) == (11, 12)


def test_too_little_coverage_is_refused(make_run: Callable, make_params: Callable) -> None:
    run = make_run(without_audio=("clip01", "clip02"))
    with pytest.raises(ShardError, match=r"split train: expected features of at least 95\.0% .* found 10 of 12"):
        load(run, make_params())


def test_features_of_another_recipe_are_refused_by_name(make_run: Callable, make_params: Callable) -> None:
    run = make_run()
    with pytest.raises(ShardError, match="frames_per_segment is 1 instead of 16"):
        load(run, make_params(**{"visual.frames_per_segment": 16}))


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"backbone": "resnet152_pooled"}, r"\(2048,\)"),
        ({"backbone": "resnet152_pooled", "combine": "stack", "frames_per_segment": 8}, r"\(8, 2048\)"),
        ({"backbone": "r2plus1d_18"}, r"\(512,\)"),
        ({"backbone": "vgg19", "combine": "stack", "frames_per_segment": 2}, r"\(2, 7, 7, 512\)"),
    ],
)
def test_features_without_one_map_per_segment_are_refused_before_any_file_is_read(
    changes: dict[str, object], found: str, make_params: Callable, tmp_path: Path
) -> None:
    params = make_params(**{f"visual.{name}": value for name, value in changes.items()})
    message = (
        rf"visual features of {changes['backbone']}, combine: \w+: expected one map \(H, W, C\) per segment, .*, "
        rf"found shape {found}; train on vgg19, resnet101, resnet152 with combine: mean; these can be extracted"
    )
    with pytest.raises(ParamsError, match=message) as caught:
        load_dataset(params, tmp_path / "none", tmp_path / "none")
    assert "\n" not in str(caught.value)


def test_a_damaged_shard_is_refused(make_run: Callable, make_params: Callable) -> None:
    run = make_run()
    shard = run / "features/audio/shard-00000.h5"
    content = bytearray(shard.read_bytes())
    content[-100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ShardError, match="changed or damaged"):
        load(run, make_params())


def test_a_manifest_of_another_clip_length_is_refused(make_run: Callable, make_params: Callable) -> None:
    run = make_run(events={"clip03": "0111110000"})
    manifest = run / "prepared/manifest.csv"
    manifest.write_text(
        manifest.read_text().replace("siren,0111110000", "siren,0110").replace("bell,0111110000", "bell,0110")
    )
    with pytest.raises(AnnotationError, match=r"clip clip\d\d: expected 10 segments .* found 4"):
        load(run, make_params())


def test_shards_of_different_shapes_are_refused(make_run: Callable, make_params: Callable) -> None:
    run, params = make_run(shard_size=12), make_params()
    folder = run / "features/visual"
    first = load_index(folder).shards[0]
    rows = [
        ShardRow(
            f"clip{number}", f"{number:064x}", torch.zeros(10, 7, 7, 4).half().numpy(), torch.ones(10).bool().numpy()
        )
        for number in range(12, 24)
    ]
    write_shard(folder / "shard-00001.h5", rows, {"modality": "visual"})
    second = ShardFile("shard-00001.h5", sha256_of_file(folder / "shard-00001.h5"), 12)
    ShardIndex("visual", visual_recipe(params.visual, params.dataset), "random", 24, (first, second)).save(folder)
    message = r"shard-00001.h5: expected features of \(10, 7, 7, 8\) float16 as in the first .*, found \(10, 7, 7, 4\)"
    with pytest.raises(ShardError, match=message):
        load(run, params)


def test_places_count_the_rows_of_all_shards(make_run: Callable, make_params: Callable) -> None:
    dataset = load(make_run(shard_size=5, without_audio=("clip03",)), make_params(**{"dataset.min_coverage": 0.5}))
    assert dataset.visual.places(["clip23", "clip00", "clip04"]).tolist() == [23, 0, 4]
    assert dataset.audio.places(["clip23", "clip00", "clip04"]).tolist() == [22, 0, 3]
    assert dataset.visual.files.starts == (0, 5, 10, 15, 20)
    assert "clip03" in dataset.visual
    assert "clip03" not in dataset.audio
    assert dataset.audio.num_bytes == 23 * 10 * 128 * 4
    assert dataset.visual.num_bytes == 24 * 10 * 7 * 7 * 8 * 2


def test_background_clips_are_in_no_split_and_of_no_category(
    make_run: Callable, make_params: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        dataset = load(make_run(background=3, without_audio=("background01",)), make_params())
    assert dataset.background.clip_ids == ("background00", "background02")
    assert dataset.background.categories.tolist() == [BACKGROUND_CLIP, BACKGROUND_CLIP]
    assert dataset.categories == ("bell", "siren", "truck")
    for split in (dataset.train, dataset.val, dataset.test):
        assert not {"background00", "background02"} & set(split.clips.clip_ids)
        assert len(split) == split.num_expected
    assert caplog.messages[-1] == "background: 2 of 3 clips have features"


def test_without_background_clips_nothing_is_said_of_them(
    make_run: Callable, make_params: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        dataset = load(make_run(), make_params())
    assert len(dataset.background) == 0
    assert dataset.background.categories.dtype == torch.int64
    assert "background" not in caplog.text
    assert dataset.train.clips.joined(dataset.background).clip_ids == dataset.train.clips.clip_ids


def test_joined_clips_are_read_as_one(make_run: Callable, make_params: Callable) -> None:
    dataset = load(make_run(background=2), make_params())
    train = dataset.train.without_segment_labels()
    joined = train.joined(dataset.background)
    assert len(joined) == 14
    assert joined.categories.tolist() == [*train.categories.tolist(), -1, -1]
    both = read(dataset, joined, [13, 0])
    assert both.categories.tolist() == [-1, 0]
    assert torch.equal(both.visual[0], read(dataset, dataset.background, [1]).visual[0])
    assert torch.equal(both.audio[1], read(dataset, train, [0]).audio[0])

import gc
import logging
import threading
import tracemalloc
from collections.abc import Callable, Iterator

import h5py
import pytest
import torch

from pipeline.core.errors import ParamsError, ShardError
from pipeline.store.manifest import VideoFile
from pipeline.store.placing import shard_groups
from pipeline.training import loading as module
from pipeline.training.dataset import ClipBatch, load_dataset
from pipeline.training.loading import BLOCK_SIZE, WINDOW_BLOCKS, block_shuffle, choose_cache, open_store
from pipeline.training.localization.dataset import LocalizationDataset

CPU = torch.device("cpu")
CUDA = torch.device("cuda", 0)
GIBIBYTE = 2**30
ON_THE_CPU = [("ram", None), ("stream", 0), ("stream", 2)]
ON_A_GPU = [("gpu", None), *ON_THE_CPU]


@pytest.fixture
def dataset(make_run: Callable, make_params: Callable) -> LocalizationDataset:
    """Return clips in several shards, which lie at other places for audio than for video."""
    run = make_run(shard_size=7, without_audio=("clip03",), background=2)
    params = make_params(**{"dataset.min_coverage": 0.5})
    return load_dataset(params, run / "prepared", run / "features")


def as_read_from_the_shards(dataset: LocalizationDataset, positions: list[int], dtype: torch.dtype) -> ClipBatch:
    clips, features = dataset.train.clips, []
    for folder in (dataset.visual, dataset.audio):
        rows = {}
        for path in folder.files.paths:
            with h5py.File(path) as file:
                names = [name.decode() for name in file["video_id"][:]]
                rows.update(zip(names, torch.from_numpy(file["features"][:]), strict=True))
        features.append(torch.stack([rows[clips.video_ids[position]] for position in positions]).to(dtype))
    return ClipBatch(*features, clips.categories[positions])


def assert_same(batch: ClipBatch, expected: ClipBatch) -> None:
    for name in ("visual", "audio", "categories"):
        found, wanted = getattr(batch, name).cpu(), getattr(expected, name)
        assert found.dtype == wanted.dtype
        assert torch.equal(found, wanted), name


def check_batches(
    dataset: LocalizationDataset, cache: module.Cache, num_workers: int | None, device: torch.device, dtype: torch.dtype
) -> None:
    batches = [[3, 0, 10, 7], [5], [1, 2, 3, 4, 6, 8, 9, 10], [0, 0]]
    with open_store(dataset, cache, device, dtype, num_workers=num_workers) as store:
        assert store.cache == cache
        for order in (batches, batches[::-1]):
            read = list(store.batches(dataset.train.clips, order))
            assert len(read) == len(order)
            for batch, positions in zip(read, order, strict=True):
                assert {batch.visual.device, batch.audio.device, batch.categories.device} == {device}
                assert_same(batch, as_read_from_the_shards(dataset, positions, dtype))
        assert list(store.batches(dataset.train.clips, [])) == []


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(("cache", "num_workers"), ON_THE_CPU)
def test_every_cache_gives_what_the_shards_hold(
    dataset: LocalizationDataset, cache: module.Cache, num_workers: int | None, dtype: torch.dtype
) -> None:
    check_batches(dataset, cache, num_workers, CPU, dtype)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(("cache", "num_workers"), ON_A_GPU)
def test_every_cache_gives_a_gpu_what_the_shards_hold(
    dataset: LocalizationDataset, cache: module.Cache, num_workers: int | None, dtype: torch.dtype
) -> None:
    check_batches(dataset, cache, num_workers, CUDA, dtype)


@pytest.mark.gpu
@pytest.mark.parametrize(("cache", "num_workers"), ON_A_GPU)
def test_batches_for_a_gpu_are_not_overwritten_while_it_is_behind(
    dataset: LocalizationDataset, cache: module.Cache, num_workers: int | None
) -> None:
    batches = [[position] for position in range(11)] * 20
    with open_store(dataset, cache, CUDA, torch.float32, num_workers=num_workers) as store:
        busy = torch.rand(4096, 4096, device=CUDA)
        read = []
        for batch in store.batches(dataset.train.clips, batches):
            busy = torch.tanh(busy @ busy)
            read.append(batch.visual.sum() + batch.audio.sum())
    expected = as_read_from_the_shards(dataset, list(range(11)), torch.float32)
    sums = expected.visual.flatten(1).sum(1) + expected.audio.flatten(1).sum(1)
    torch.testing.assert_close(torch.stack(read).cpu(), sums.repeat(20))


@pytest.mark.parametrize(("cache", "num_workers"), ON_THE_CPU)
def test_reading_draws_nothing_from_the_random_generator(
    dataset: LocalizationDataset, cache: module.Cache, num_workers: int | None
) -> None:
    state = torch.get_rng_state()
    with open_store(dataset, cache, CPU, torch.float32, num_workers=num_workers) as store:
        list(store.batches(dataset.train.clips, [[1, 2], [3]]))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("cache", "num_workers"), ON_THE_CPU)
def test_an_epoch_has_an_order_of_its_own_that_the_seed_determines(
    dataset: LocalizationDataset, cache: module.Cache, num_workers: int | None
) -> None:
    clips = dataset.train.clips
    with open_store(dataset, cache, CPU, torch.float32, num_workers=num_workers) as store:
        torch.manual_seed(7)
        orders = [store.epoch_order(clips) for _ in range(3)]
        torch.manual_seed(7)
        again = [store.epoch_order(clips) for _ in range(3)]
    for order, repeated in zip(orders, again, strict=True):
        assert order.dtype == torch.int64
        assert sorted(order.tolist()) == list(range(len(clips)))
        assert torch.equal(order, repeated)
    assert len({tuple(order.tolist()) for order in orders}) == 3
    if cache == "ram":
        torch.manual_seed(7)
        assert torch.equal(orders[0], torch.randperm(len(clips)))


@pytest.mark.parametrize("cache", ["ram", "stream"])
def test_a_large_data_set_is_shuffled_in_blocks_wherever_it_is(
    dataset: LocalizationDataset, cache: module.Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = dataset.train.clips
    monkeypatch.setattr(module, "SHUFFLED_WHOLE", dataset.visual.num_bytes + dataset.audio.num_bytes - 1)
    torch.manual_seed(7)
    expected = module.block_shuffle(clips.visual.places(clips.video_ids))
    torch.manual_seed(7)
    with open_store(dataset, cache, CPU, torch.float32, num_workers=0) as store:
        assert torch.equal(store.epoch_order(clips), expected)


def test_a_batch_of_a_block_shuffle_touches_few_blocks() -> None:
    places = torch.randperm(10_000)[:5_000]  # some places are of other splits, and clips are in any order
    block_of = torch.empty_like(places)
    block_of[places.argsort()] = torch.arange(5_000) // BLOCK_SIZE
    orders = [block_shuffle(places) for _ in range(3)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(5_000))
        touched = [len(block_of[batch].unique()) for batch in order.split(64)]
        assert max(touched) <= 2 * WINDOW_BLOCKS
        assert sum(touched) / len(touched) < 1.3 * WINDOW_BLOCKS
        spread = [(places[batch].max() - places[batch].min()).item() for batch in order.split(64)]
        assert sum(spread) / len(spread) > 5_000, "a batch should mix places from all over"
    shares = [(one == other).float().mean() for one, other in ((orders[0], orders[1]), (orders[1], orders[2]))]
    assert max(shares) < 0.01


def categories_per_batch(order: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
    """Return how many categories each whole batch of 64 has, float64."""
    batches = categories[order].split(64)
    return torch.tensor([len(batch.unique()) for batch in batches if len(batch) == 64], dtype=torch.float64)


def test_batches_of_a_list_sorted_by_category_have_as_many_categories_as_in_a_full_shuffle() -> None:
    torch.manual_seed(0)
    listed = [VideoFile(f"category{number // 100:03d}_{number % 100}", "", None, None) for number in range(14_100)]
    placed = [video for group in shard_groups(listed, 256, num_segments=10) for video in group]
    place_of = {video.video_id: place for place, video in enumerate(placed)}
    train = [number for number in range(14_100) if number % 5 < 3]
    places = torch.tensor([place_of[listed[number].video_id] for number in train])
    categories = torch.tensor([number // 100 for number in train])
    blocks, whole, as_listed = (
        torch.cat([categories_per_batch(shuffle(), categories) for _ in range(10)])
        for shuffle in (
            lambda: block_shuffle(places),
            lambda: torch.randperm(len(train)),
            lambda: block_shuffle(torch.tensor(train)),
        )
    )
    standard_error = (blocks.var() / len(blocks) + whole.var() / len(whole)).sqrt()
    assert abs(blocks.mean() - whole.mean()) < 4 * standard_error
    assert abs(blocks.std() - whole.std()) < 0.2 * whole.std()
    assert whole.mean() > 45
    assert as_listed.mean() < 20, "what the places are for"


@pytest.mark.parametrize("number", [0, 1, BLOCK_SIZE, BLOCK_SIZE + 1])
def test_small_data_sets_are_shuffled_too(number: int) -> None:
    order = block_shuffle(torch.arange(number))
    assert order.dtype == torch.int64
    assert sorted(order.tolist()) == list(range(number))


def test_a_batch_stays_as_it_is_while_it_is_held_and_its_memory_is_used_again(dataset: LocalizationDataset) -> None:
    with open_store(dataset, "ram", CPU, torch.float32) as store:
        batches = store.batches(dataset.train.clips, [[position] for position in range(8)])
        held = next(batches).visual[0, 3:]  # a view is enough
        before = held.clone()
        places = [next(batches).visual.data_ptr() for _ in range(7)]
    assert torch.equal(held, before)
    assert len(set(places)) < 7
    assert held.untyped_storage().data_ptr() not in places


def test_features_a_network_has_saved_for_its_gradient_are_not_overwritten(dataset: LocalizationDataset) -> None:
    weight = torch.ones(128, requires_grad=True)
    total, sums = torch.zeros(()), torch.zeros(128)
    with open_store(dataset, "ram", CPU, torch.float32) as store:
        for batch in store.batches(dataset.train.clips, [[position] for position in range(8)]):
            total = total + (batch.audio * weight).sum()
            sums += batch.audio.sum((0, 1))
    total.backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, sums)


def test_loading_takes_no_more_memory_than_the_features(make_run: Callable, make_params: Callable) -> None:
    run = make_run(channels=512, shard_size=6)
    dataset = load_dataset(make_params(), run / "prepared", run / "features")
    num_bytes = dataset.visual.num_bytes + dataset.audio.num_bytes
    gc.collect()
    tracemalloc.start()
    try:
        with open_store(dataset, "ram", CPU, torch.float32):
            size, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert num_bytes <= size <= peak < 1.1 * num_bytes


def test_an_error_while_reading_is_that_of_the_shard(dataset: LocalizationDataset) -> None:
    dataset.visual.files.paths[0].unlink()
    with (
        open_store(dataset, "stream", CPU, torch.float32, num_workers=1) as store,
        pytest.raises(ShardError, match=r"shard-00000.h5: expected the features of its row \d"),
    ):
        list(store.batches(dataset.train.clips, [[0, 1]]))
    with pytest.raises(ShardError, match=r"shard-00000\.h5"):
        open_store(dataset, "ram", CPU, torch.float32)


def test_clips_of_another_data_set_are_refused(
    dataset: LocalizationDataset, make_run: Callable, make_params: Callable
) -> None:
    run = make_run()
    other = load_dataset(make_params(), run / "prepared", run / "features")
    with (
        open_store(dataset, "ram", CPU, torch.float32) as store,
        pytest.raises(AssertionError, match="another data set"),
    ):
        next(store.batches(other.train.clips, [[0]]))


def test_what_is_computed_ahead_comes_in_order_and_its_error_in_its_place() -> None:
    threads, closed = set(), []

    def pairs() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        try:
            for number in range(5):
                threads.add(threading.current_thread())
                yield torch.tensor(number), torch.tensor(-number)
            raise ShardError("the sixth")
        finally:
            closed.append(True)

    ahead = module._ahead(pairs(), CPU)
    seen = [next(ahead)[0].item() for _ in range(5)]
    with pytest.raises(ShardError, match="the sixth"):
        next(ahead)
    assert seen == [0, 1, 2, 3, 4]
    assert threading.current_thread() not in threads
    left = module._ahead(pairs(), CPU)
    next(left)
    left.close()
    assert closed == [True, True]
    assert not any(thread.is_alive() for thread in threads)


class _Sizes:
    """Stands for a data set of some size."""

    def __init__(self, gibibytes: float) -> None:
        self.visual = self.audio = self
        self.num_bytes = int(gibibytes * GIBIBYTE / 2)


def choose(
    monkeypatch: pytest.MonkeyPatch, requested: str, *, features: float, memory: float, gpu: float | None = None
) -> str:
    monkeypatch.setattr(module, "available_bytes", lambda: int(memory * GIBIBYTE))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int((gpu or 0) * GIBIBYTE), 10**12))
    return choose_cache(requested, _Sizes(features), CPU if gpu is None else CUDA)


@pytest.mark.parametrize(
    ("features", "memory", "gpu", "expected"),
    [
        (2, 16, 140, "gpu"),
        (2, 16, None, "ram"),
        (2, 16, 3, "ram"),
        (80, 256, 140, "gpu"),
        (90, 256, 140, "ram"),
        (90, 128, 140, "stream"),
        (7, 16, None, "stream"),
    ],
)
def test_auto_is_the_nearest_memory_with_room(
    features: float, memory: float, gpu: float | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose(monkeypatch, "auto", features=features, memory=memory, gpu=gpu) == expected


def test_a_cache_asked_for_may_take_more_than_auto_would(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(monkeypatch, "ram", features=14, memory=16) == "ram"
    assert choose(monkeypatch, "gpu", features=120, memory=16, gpu=140) == "gpu"
    assert choose(monkeypatch, "ram", features=2, memory=16, gpu=140) == "ram"
    assert choose(monkeypatch, "stream", features=1, memory=16, gpu=140) == "stream"


@pytest.mark.parametrize(
    ("requested", "gpu", "message"),
    [
        (
            "gpu",
            None,
            r"train.cache: expected auto, ram or stream where the network runs on cpu, found gpu; write auto",
        ),
        (
            "ram",
            None,
            r"train.cache: ram: expected features of at most 14.40 GiB, 90% of the 16.00 GiB of memory avail",
        ),
        ("gpu", 8, r"train.cache: gpu: .* of at most 7.20 GiB, 90% of the 8.00 GiB free on cuda:0, found 15.00 GiB; w"),
    ],
)
def test_a_cache_without_room_is_refused_in_one_line(
    requested: str, gpu: float | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ParamsError, match=message) as caught:
        choose(monkeypatch, requested, features=15, memory=16, gpu=gpu)
    assert "\n" not in str(caught.value)


def test_the_choice_and_what_decided_it_are_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        choose(monkeypatch, "auto", features=90, memory=256, gpu=140)
    assert caplog.messages == [
        "train.cache auto: ram; features of 90.00 GiB, 140.00 GiB free on cuda:0, 256.00 GiB of memory available"
    ]

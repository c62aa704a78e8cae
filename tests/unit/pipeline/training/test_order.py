"""The batches of an epoch: every order of the clips, and the last batch."""

from types import SimpleNamespace

import pytest
import torch

from pipeline.methods.recipe import Order, Recipe
from pipeline.training.order import draw_batches

STORE = SimpleNamespace(epoch_order=lambda clips: torch.randperm(len(clips)))


def batches(order: Order, *, num_clips: int = 23, drops_last: bool = False, seed: int = 0) -> list[list[int]]:
    torch.manual_seed(seed)
    return draw_batches(range(num_clips), STORE, Recipe(order=order, drops_last_batch=drops_last), 5)


def flat(parts: list[list[int]]) -> list[int]:
    return [position for part in parts for position in part]


def test_a_shuffled_epoch_has_every_clip_once_in_another_order_each_time() -> None:
    first, second = batches("shuffled"), batches("shuffled", seed=1)
    assert sorted(flat(first)) == sorted(flat(second)) == list(range(23))
    assert first != second
    assert batches("shuffled") == first
    assert [len(part) for part in first] == [5, 5, 5, 5, 3]


def test_clips_as_listed_come_in_the_order_of_the_data_set() -> None:
    assert flat(batches("as_listed")) == list(range(23))


def test_only_the_first_batch_is_drawn_where_the_authors_loader_draws_no_other() -> None:
    epochs = [batches("first_batch_drawn", seed=seed) for seed in range(40)]
    for epoch in epochs:
        assert flat(epoch[1:]) == list(range(5, 23))
        assert len(set(epoch[0])) == 5
    assert set(flat([epoch[0] for epoch in epochs])) == set(range(23))


@pytest.mark.parametrize("order", ["shuffled", "as_listed", "first_batch_drawn"])
def test_a_last_batch_that_is_not_full_can_be_dropped(order: Order) -> None:
    assert [len(part) for part in batches(order, drops_last=True)] == [5, 5, 5, 5]
    assert [len(part) for part in batches(order, num_clips=20, drops_last=True)] == [5, 5, 5, 5]


def test_the_only_batch_is_never_dropped() -> None:
    assert [len(part) for part in batches("as_listed", num_clips=3, drops_last=True)] == [3]
    assert [len(part) for part in batches("first_batch_drawn", num_clips=3)] == [3]

import random

import pytest

from pipeline.store import placing as module
from pipeline.store.manifest import VideoFile
from pipeline.store.placing import PLACED_FROM, shard_groups


def videos_of(count: int) -> list[VideoFile]:
    return [VideoFile(f"class{number // 100:03d}/clip{number}", "", None, None) for number in range(count)]


def ids(group: list[VideoFile]) -> list[str]:
    return [video.video_id for video in group]


def test_a_small_set_keeps_the_order_of_its_list() -> None:
    videos = videos_of(PLACED_FROM // 10 - 1)
    groups = shard_groups(videos, 256, num_segments=10)
    assert [video for group in groups for video in group] == videos
    assert {len(group) for group in groups[:-1]} == {256}
    assert shard_groups([], 256, num_segments=10) == []


@pytest.mark.parametrize("count", [8192, 8193, 20_000])
def test_a_large_set_is_placed_by_a_hash_of_the_ids(count: int) -> None:
    videos = videos_of(count)
    groups = shard_groups(videos, 256, num_segments=10)
    assert sorted(video.video_id for group in groups for video in group) == sorted(video.video_id for video in videos)
    assert 128 < count / len(groups) <= 256
    assert max(map(len, groups)) < 256 + 100
    assert all(len({video_id[:8] for video_id in ids(group)[:64]}) > 30 for group in groups)


def test_the_order_of_the_list_moves_nothing() -> None:
    videos = videos_of(9000)
    groups = shard_groups(videos, 256, num_segments=10)
    random.Random(3).shuffle(videos)
    assert shard_groups(videos, 256, num_segments=10) == groups


def test_ten_new_videos_change_ten_shards_at_the_most() -> None:
    videos = videos_of(10_010)
    before, after = (shard_groups(some, 256, num_segments=10) for some in (videos[:-10], videos))
    assert len(before) == len(after) == 64
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert 0 < len(changed) <= 10
    new_ids = set(ids(videos[-10:]))
    assert all([video for video in new if video.video_id not in new_ids] == old for old, new in changed)


def test_segments_count_not_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PLACED_FROM", 60)
    videos = videos_of(20)
    assert shard_groups(videos, 8, num_segments=2)[0] == videos[:8]
    groups = shard_groups(videos, 8, num_segments=3)
    assert len(groups) <= 4
    assert [video for group in groups for video in group] != videos


@pytest.mark.parametrize(("shard_size", "num_shards"), [(20, 1), (1000, 1), (10, 2), (7, 4)])
def test_the_number_of_shards_is_the_power_of_two_that_holds_them(shard_size, num_shards, monkeypatch) -> None:
    monkeypatch.setattr(module, "PLACED_FROM", 0)
    assert len(shard_groups(videos_of(20), shard_size, num_segments=1)) == num_shards

"""Which videos share a shard, and in which order they stand there.

Training reads a large data set in stretches of the disk, so that what lies together comes together into a batch; and
lists of videos are often sorted by category. So videos of a large set are placed by a hash of their id, which any
stretch of the disk then draws from all of them alike::

    hash of the id      0.03  0.11 | 0.26  0.31  0.44 | 0.58 | 0.81  0.97
    shard                   0      |        1         |   2  |     3         a quarter of all hashes each
    a new video, 0.29                     here: the other shards stay as they are

The number of shards is a power of two, so that it is seldom another one. A small set, of which training draws each clip
by itself, keeps the order of the list: its last shard alone is another one when videos are added.
"""

import hashlib
from collections.abc import Sequence

from pipeline.store.manifest import VideoFile

PLACED_FROM = 81_920
"""Segments of all videos: with less, maps (7, 7, 1024) in float32 are below the 16 GiB that training shuffles whole."""


def shard_groups(videos: Sequence[VideoFile], shard_size: int, num_segments: int) -> list[list[VideoFile]]:
    """Return the videos of each shard, in the order in which they stand there; no group is empty.

    Parameters
    ----------
    videos : sequence of VideoFile
        In append-only order.
    shard_size : int
        Videos per shard; of a large set on average that many at the most, and more than half of it.
    num_segments : int
        T, of each video.
    """
    if len(videos) * num_segments < PLACED_FROM:
        return [list(videos[start : start + shard_size]) for start in range(0, len(videos), shard_size)]
    num_bits = max(0, (-(-len(videos) // shard_size) - 1).bit_length())
    groups: list[list[VideoFile]] = [[] for _ in range(2**num_bits)]
    placed = sorted(((_hash(video.video_id), video) for video in videos), key=lambda pair: pair[0])
    for number, video in placed:
        groups[number >> (64 - num_bits)].append(video)
    return [group for group in groups if group]


def _hash(video_id: str) -> int:
    """Return a number from 0 to 2**64 - 1, the same on every machine."""
    return int.from_bytes(hashlib.sha256(video_id.encode()).digest()[:8], "big")

"""How features come to the network: from the GPU's memory, from the machine's, or from the disk as they are needed.

========  ========================  ===========================================
cache     features are              a batch is
========  ========================  ===========================================
gpu       on the GPU, as stored     gathered and converted there
ram       in memory, as stored      gathered; for a GPU, ahead of time
stream    on the disk               read ahead by processes
========  ========================  ===========================================

The same clips are the same values from each, in the same order. Memory of ``stream`` does not grow with the data set.
"""

import logging
import math
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from pipeline.core.errors import ParamsError, explain
from pipeline.core.memory import available_bytes
from pipeline.core.processes import num_processors
from pipeline.training.dataset import ClipBatch, Clips, Dataset
from pipeline.training.reading import FeatureFiles, FeatureReader, Reader, ReaderPool

logger = logging.getLogger(__name__)

Cache = Literal["gpu", "ram", "stream"]

GPU_SHARE = 0.6  # of the free memory there that ``auto`` gives to features; the network needs some
RAM_SHARE = 0.4  # likewise of the machine, which others use too
ASKED_SHARE = 0.9  # of either that features may take where the cache was asked for by name

SHUFFLED_WHOLE = 16 << 30  # bytes of features; those of AVE are 2 GiB, those of AVEL100k 46
BLOCK_SIZE = 64  # clips next to each other on the disk, 32 MB of VGG19 maps
WINDOW_BLOCKS = 8  # blocks that are shuffled into each other

BATCHES_AHEAD = 2
MAX_WORKERS = 4
LOADED_AT_ONCE = 64  # videos on their way from the disk to a GPU
MAX_FREE_MEMORIES = 4  # of a batch, kept for the next ones


def choose_cache(requested: str, dataset: Dataset, device: torch.device) -> Cache:
    """Return where features are read from, and log it with the sizes that decided it.

    Parameters
    ----------
    requested : str
        ``train.cache``. ``auto`` is the GPU where features take at most :data:`GPU_SHARE` of what is free there, else
        memory where they take at most :data:`RAM_SHARE` of what is available, else ``stream``.
    dataset : Dataset
    device : torch.device
        Where the network runs.

    Raises
    ------
    ParamsError
        If ``gpu`` is requested and `device` is none, or features do not fit where they are requested to be.
    """
    assert requested in ("auto", *get_args(Cache)), requested
    num_bytes = dataset.visual.num_bytes + dataset.audio.num_bytes
    memories: dict[Cache, _Memory] = {}
    if device.type == "cuda":
        memories["gpu"] = _Memory(torch.cuda.mem_get_info(device)[0], GPU_SHARE, f"free on {device}")
    memories["ram"] = _Memory(available_bytes(), RAM_SHARE, "of memory available")
    cache: Cache = "stream"
    for name, memory in memories.items():
        if requested == "auto" and num_bytes <= memory.share * memory.num_free_bytes:
            cache = name
            break
        if requested == name:
            cache = name
            _require_room(name, memory, num_bytes)
    if requested == "gpu" and cache != "gpu":
        raise ParamsError(
            explain(
                "train.cache",
                expected=f"auto, ram or stream where the network runs on {device}",
                found="gpu",
                remedy="write auto, or use a machine with a GPU",
            )
        )
    sizes = ", ".join(f"{_gibibytes(memory.num_free_bytes)} {memory.where}" for memory in memories.values())
    logger.info("train.cache %s: %s; features of %s, %s", requested, cache, _gibibytes(num_bytes), sizes)
    return cache


class _Memory(NamedTuple):
    """Some memory: what is free of it, the share of that for ``auto``, and words for it."""

    num_free_bytes: int
    share: float
    where: str


def _require_room(cache: Cache, memory: _Memory, num_bytes: int) -> None:
    most = ASKED_SHARE * memory.num_free_bytes
    if num_bytes > most:
        raise ParamsError(
            explain(
                f"train.cache: {cache}",
                expected=f"features of at most {_gibibytes(most)}, {ASKED_SHARE:.0%} of the "
                f"{_gibibytes(memory.num_free_bytes)} {memory.where}",
                found=_gibibytes(num_bytes),
                remedy="write auto or stream, or free memory",
            )
        )


def open_store(
    dataset: Dataset, cache: Cache, device: torch.device, dtype: torch.dtype, *, num_workers: int | None = None
) -> "FeatureStore":
    """Return the features of a data set, ready to be read; ``gpu`` and ``ram`` load all of them now.

    Parameters
    ----------
    dataset : Dataset
        Only where its features are is kept, no label.
    cache : {"gpu", "ram", "stream"}
    device : torch.device
        Where batches are wanted.
    dtype : torch.dtype
        What batches are wanted in.
    num_workers : int, optional
        Processes that read for ``stream``, by default :func:`default_num_workers`. With 0 this process reads, when a
        batch is asked for.

    Raises
    ------
    ShardError
        If a shard cannot be read.
    """
    folders = (dataset.visual.files, dataset.audio.files)
    if cache == "gpu":
        return _GpuStore(folders, device, dtype)
    if cache == "ram":
        return _RamStore(folders, device, dtype)
    return _StreamStore(folders, device, dtype, default_num_workers() if num_workers is None else num_workers)


Folders = tuple[FeatureFiles, FeatureFiles]
"""Where the visual and the audio features are."""

Pair = tuple[Tensor, Tensor]
"""Something about the visual and the audio features of a batch: places, int64 (B,), or the features, (B, T, ...)."""


class FeatureStore(ABC):
    """The features of a data set, ready to be read; a context manager. It holds no label of any kind.

    Parameters
    ----------
    folders : pair of FeatureFiles
        Of the visual and the audio features.
    device : torch.device
        Where batches are wanted.
    dtype : torch.dtype
        What batches are wanted in.
    """

    cache: Cache

    def __init__(self, folders: Folders, device: torch.device, dtype: torch.dtype) -> None:
        self.folders, self.device, self.dtype = folders, device, dtype

    def __enter__(self) -> "FeatureStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Free what the store holds, and end its processes."""

    def epoch_order(self, clips: Clips) -> Tensor:
        """Return the positions of all clips in a random order, int64 (N,), drawn from torch's global generator.

        The same state of the generator gives the same order, wherever the features are: how much memory a machine has
        changes no result. Of a data set up to :data:`SHUFFLED_WHOLE` every order is as likely as any other; a larger
        one is shuffled by :func:`block_shuffle`, so that it can be read from a disk.
        """
        if clips.visual.num_bytes + clips.audio.num_bytes <= SHUFFLED_WHOLE:
            return torch.randperm(len(clips))
        return block_shuffle(clips.visual.places(clips.video_ids))

    def batches(self, clips: Clips, batches: Sequence[Sequence[int]]) -> Iterator[ClipBatch]:
        """Yield batches of clips in the order asked for, while the next ones are being read.

        Only one iteration at a time. Nothing is drawn from any random generator.

        Parameters
        ----------
        clips : Clips
            Of the data set that the store was opened for.
        batches : sequence of sequence of int
            Positions in `clips`; no batch is empty.

        Yields
        ------
        ClipBatch
            On the store's device, features in its dtype.

        Raises
        ------
        ShardError
            If a shard cannot be read.
        PipelineError
            If a process that reads has ended.
        """
        assert (clips.visual.files, clips.audio.files) == self.folders, "clips of another data set"
        assert all(len(batch) for batch in batches), "an empty batch"
        if not batches:
            return
        lengths = [len(batch) for batch in batches]
        chosen = torch.cat([torch.as_tensor(batch, dtype=torch.int64) for batch in batches])
        visual, audio = (folder.places(clips.video_ids)[chosen] for folder in (clips.visual, clips.audio))
        categories = clips.categories[chosen].to(self.device).split(lengths)
        with closing(self._features(visual, audio, lengths)) as features:
            for (visual_features, audio_features), categories_of_batch in zip(features, categories, strict=True):
                yield ClipBatch(visual_features, audio_features, categories_of_batch)

    @abstractmethod
    def _features(self, visual: Tensor, audio: Tensor, lengths: list[int]) -> Generator[Pair]:
        """Yield the features of batch after batch, `lengths` of the places after one another."""


class _GpuStore(FeatureStore):
    """All features on the GPU."""

    cache = "gpu"

    def __init__(self, folders: Folders, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(folders, device, dtype)
        self._all = [_load_to_device(files, device) for files in folders]

    def close(self) -> None:
        self._all = []

    def _features(self, visual: Tensor, audio: Tensor, lengths: list[int]) -> Generator[Pair]:
        all_visual, all_audio = self._all
        visual, audio = visual.to(self.device), audio.to(self.device)
        for of_visual, of_audio in zip(visual.split(lengths), audio.split(lengths), strict=True):
            yield (
                all_visual.index_select(0, of_visual).to(self.dtype),
                all_audio.index_select(0, of_audio).to(self.dtype),
            )


class _HostStore(FeatureStore):
    """Features that become batches in the machine's memory."""

    def __init__(self, folders: Folders, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(folders, device, dtype)
        self._memories = [_ReusedMemory() for _ in folders]

    def _features(self, visual: Tensor, audio: Tensor, lengths: list[int]) -> Generator[Pair]:
        gathered = self._gathered(list(zip(visual.split(lengths), audio.split(lengths), strict=True)))
        if self.device.type == "cpu":  # where the network has all cores, a thread would win nothing
            yield from gathered
            return
        for visual, audio in _ahead(gathered, self.device):
            yield (
                visual.to(self.device, non_blocking=True).to(self.dtype),
                audio.to(self.device, non_blocking=True).to(self.dtype),
            )

    @abstractmethod
    def _gathered(self, places: Sequence[Pair]) -> Generator[Pair]:
        """Yield the features at the places of each batch, in what :meth:`_empty` returns."""

    def _empty(self, num_clips: int) -> Pair:
        """Return memory for a batch's features: for a GPU in the stored dtype and pinned, else as they are wanted."""
        visual, audio = (
            memory.empty((num_clips, *files.shape), self.dtype)
            if self.device.type == "cpu"
            else torch.empty((num_clips, *files.shape), dtype=_stored_dtype(files), pin_memory=True)
            for memory, files in zip(self._memories, self.folders, strict=True)
        )
        return visual, audio


class _RamStore(_HostStore):
    """All features in the machine's memory."""

    cache = "ram"

    def __init__(self, folders: Folders, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(folders, device, dtype)
        self._all = [_load(files) for files in folders]

    def close(self) -> None:
        self._all = []

    def _gathered(self, places: Sequence[Pair]) -> Generator[Pair]:
        for of_batch in places:
            batch = self._empty(len(of_batch[0]))
            for features, chosen, out in zip(self._all, of_batch, batch, strict=True):
                # Row by row: index_select would write all of it twice, once in the stored type.
                for row, place in zip(out.unbind(), chosen.tolist(), strict=True):
                    row.copy_(features[place])
            yield batch


class _StreamStore(_HostStore):
    """Features on the disk."""

    cache = "stream"

    def __init__(self, folders: Folders, device: torch.device, dtype: torch.dtype, num_workers: int) -> None:
        super().__init__(folders, device, dtype)
        self._reader = ReaderPool(folders, num_workers=num_workers) if num_workers else Reader(folders)

    def close(self) -> None:
        self._reader.close()

    def _gathered(self, places: Sequence[Pair]) -> Generator[Pair]:
        requests = ([chosen.tolist() for chosen in of_batch] for of_batch in places)
        sizes = iter(len(visual) for visual, _ in places)
        batch: Pair | None = None
        for piece, features in self._reader.read(requests):
            batch = batch or self._empty(next(sizes))
            for read, out in zip(features, batch, strict=True):
                for row, position in zip(torch.from_numpy(read).unbind(), piece.positions.tolist(), strict=True):
                    out[position].copy_(row)
            if piece.is_last:
                yield batch
                batch = None


def block_shuffle(places: Tensor) -> Tensor:
    """Return a random permutation of the positions 0 to N - 1, int64 (N,), in which neighbours lie close together.

    Positions are sorted by place and cut into blocks; the blocks are shuffled, and each :data:`WINDOW_BLOCKS` of them
    shuffled into each other. So a batch comes from few stretches of the disk, however large the data set is. Neighbours
    have nothing in common in a set of that size, whatever its list (:mod:`pipeline.store.placing`)::

        sorted by place     0 1 2 3 | 4 5 6 7 | 8 9 10 11 | 12 13 14 15     blocks of 4
        blocks shuffled     8 9 10 11 | 0 1 2 3 || 12 13 14 15 | 4 5 6 7    windows of 2 blocks
        windows shuffled    2 8 10 0 11 1 3 9 || 5 13 14 4 15 7 6 12

    Parameters
    ----------
    places : torch.Tensor
        Shape (N,), int64.
    """
    blocks = places.argsort(stable=True).split(BLOCK_SIZE)
    order = torch.randperm(len(blocks)).tolist()
    shuffled = []
    for start in range(0, len(order), WINDOW_BLOCKS):
        window = torch.cat([blocks[number] for number in order[start : start + WINDOW_BLOCKS]])
        shuffled.append(window[torch.randperm(len(window))])
    return torch.cat(shuffled)


class _ReusedMemory:
    """Memory that is used again as soon as no tensor is left in it.

    To fill new memory takes twice as long as to fill used one: the system has to clear every page of it first.
    """

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return a tensor with any values in it."""
        num_bytes = math.prod(shape) * dtype.itemsize
        memory = self._free.pop() if self._free else None
        if memory is None or memory.nbytes < num_bytes:
            memory = np.empty(num_bytes, np.uint8)
        view = memory[:num_bytes]  # held by the tensors in it, whatever becomes of them, and by nothing else
        weakref.finalize(view, self._take_back, memory).atexit = False
        return torch.from_numpy(view).view(dtype).view(shape)

    def _take_back(self, memory: np.ndarray) -> None:
        if len(self._free) < MAX_FREE_MEMORIES:
            self._free.append(memory)


def _ahead(pairs: Generator[Pair], device: torch.device) -> Generator[Pair]:
    """Yield what `pairs` yields; a thread of the device's computes :data:`BATCHES_AHEAD` of it in advance."""
    is_gpu = device.type == "cuda"
    thread = ThreadPoolExecutor(1, initializer=partial(torch.cuda.set_device, device) if is_gpu else None)
    try:
        waiting = deque(thread.submit(next, pairs, None) for _ in range(BATCHES_AHEAD))
        while (pair := waiting.popleft().result()) is not None:
            waiting.append(thread.submit(next, pairs, None))
            yield pair
    finally:
        thread.shutdown(cancel_futures=True)
        pairs.close()


def _load(files: FeatureFiles) -> Tensor:
    """Return all features of a modality, (N, T, ...), for which no more memory is taken than they have."""
    features = np.empty((files.num_videos, *files.shape), files.dtype)
    with FeatureReader(files) as reader:
        reader.read(range(files.num_videos), features)
    return torch.from_numpy(features)


def _load_to_device(files: FeatureFiles, device: torch.device) -> Tensor:
    """Do the same on a GPU; some videos at a time come by way of the machine's memory."""
    features = torch.empty((files.num_videos, *files.shape), dtype=_stored_dtype(files), device=device)
    with FeatureReader(files) as reader:
        staging = np.empty((LOADED_AT_ONCE, *files.shape), files.dtype)
        for start in range(0, files.num_videos, LOADED_AT_ONCE):
            places = range(start, min(start + LOADED_AT_ONCE, files.num_videos))
            reader.read(places, staging)
            features[start : places.stop].copy_(torch.from_numpy(staging[: len(places)]))
    return features


def _stored_dtype(files: FeatureFiles) -> torch.dtype:
    return torch.from_numpy(np.empty(0, files.dtype)).dtype


def default_num_workers() -> int:
    """Return how many processes read for ``stream``: as many as there are cores beside the network's, 4 at the most."""
    return max(1, min(MAX_WORKERS, num_processors() - 1))


def _gibibytes(num_bytes: float) -> str:
    return f"{num_bytes / 2**30:.2f} GiB"

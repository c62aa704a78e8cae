"""The network's side of extraction: full batches that span videos, and every result back at its video.

All calls of a run have the same shape, the last one padded, so that what the network says about an input does not
depend on which others it is computed with: a resumed run, which batches other videos together, gives the same bytes.
On a GPU copies and results of one batch overlap with the computation of the next. Each stream of a joint extractor has
batches of its own, and so the values that it has alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from pipeline.core.errors import MediaError, PipelineError, explain
from pipeline.features.contract import (
    AnyExtractor,
    Extractor,
    combine_samples,
    join_streams,
    split_streams,
    streams_of,
)
from pipeline.features.decoding import Prepared
from pipeline.media.segments import segment_valid
from pipeline.store.manifest import VideoFile

_STORAGE = {np.dtype("float16"): torch.float16, np.dtype("float32"): torch.float32}


@dataclass(frozen=True)
class Computed:
    """A video with what became of it: `features` (T, ...) in the storage type, None where no segment is valid."""

    video: VideoFile
    prepared: Prepared | MediaError
    features: np.ndarray | None


@dataclass
class _Open:
    """A video of which some inputs have not been computed."""

    video: VideoFile
    prepared: Prepared
    outputs: Tensor | None = None
    num_computed: int = 0


@dataclass
class _Batch:
    """Inputs of one network call: the host's buffer, and which rows of it belong to which inputs of which video."""

    inputs: Tensor
    rows: list[tuple[_Open, slice, slice]] = field(default_factory=list)
    num_inputs: int = 0


@dataclass
class _InFlight:
    """Videos that a launched call finishes."""

    finished: list[tuple[_Open, Tensor]]
    event: torch.cuda.Event | None


def compute_features(
    extractor: AnyExtractor, source: Iterable[tuple[VideoFile, Prepared | MediaError]], batch_size: int = 0
) -> Iterator[Computed]:
    """Yield the videos of `source` with their features, as they are finished.

    Parameters
    ----------
    extractor : AnyExtractor
    source : iterable of tuple
        Videos, each with what decoding made of it, and with an id of its own.
    batch_size : int, optional
        Inputs of each network call; 0 is what suits the network and its device.

    Raises
    ------
    PipelineError
        If the GPU's memory is too small for a batch.
    """
    loops = [NetworkLoop(stream, batch_size or stream.batch_size) for stream in streams_of(extractor)]
    unfinished: dict[str, tuple[Prepared, dict[int, np.ndarray]]] = {}

    def finish(number: int, of_stream: Iterable[Computed]) -> Iterator[Computed]:
        """Put what a stream has computed beside what the others have, and yield the videos that are complete."""
        for computed in of_stream:
            prepared, parts = unfinished[computed.video.video_id]
            assert computed.features is not None
            parts[number] = computed.features
            if len(parts) == len(loops):
                del unfinished[computed.video.video_id]
                features = join_streams(extractor, [parts[stream] for stream in range(len(loops))])
                yield Computed(computed.video, prepared, features)

    for video, prepared in source:
        if isinstance(prepared, MediaError) or not segment_valid(prepared.rows).any():
            yield Computed(video, prepared, None)
            continue
        unfinished[video.video_id] = prepared, {}
        for number, inputs in enumerate(split_streams(extractor, prepared)):
            yield from finish(number, loops[number].add(video, inputs))
    for number, loop in enumerate(loops):
        yield from finish(number, loop.finish())


class NetworkLoop:
    """Feeds one network, and gives every video its features back.

    Parameters
    ----------
    extractor : Extractor
    batch_size : int
        Inputs of each call.
    """

    def __init__(self, extractor: Extractor, batch_size: int) -> None:
        self._extractor, self._batch_size = extractor, batch_size
        self._on_gpu = extractor.device.type == "cuda"
        self._batches: list[_Batch] = []
        self._in_flight: list[_InFlight] = []

    def add(self, video: VideoFile, prepared: Prepared) -> Iterator[Computed]:
        """Take in a video of which some segment is valid; yield the videos that are finished thereby.

        Raises
        ------
        PipelineError
            If the GPU's memory is too small for a batch.
        """
        opened, inputs = _Open(video, prepared), prepared.inputs
        start = 0
        while start < len(inputs):
            batch = self._batch_for(inputs)
            first = batch.num_inputs
            taken = min(len(inputs) - start, self._batch_size - first)
            np.copyto(batch.inputs[first : first + taken].numpy(), inputs[start : start + taken])
            batch.rows.append((opened, slice(start, start + taken), slice(first, first + taken)))
            batch.num_inputs += taken
            start += taken
            if batch.num_inputs == self._batch_size:
                yield from self._compute()

    def finish(self) -> Iterator[Computed]:
        """Compute what is left, and yield the videos that were not finished; raises as :meth:`add`."""
        if self._batches and self._batches[0].num_inputs:
            yield from self._compute()
        yield from self._results(num_in_flight=0)

    def _batch_for(self, inputs: np.ndarray) -> _Batch:
        """Return the batch that is being filled; on a GPU the other one may still be on its way there."""
        if not self._batches:
            shape = (self._batch_size, *inputs.shape[1:])
            dtype = torch.from_numpy(np.empty(0, inputs.dtype)).dtype
            self._batches = [
                _Batch(torch.empty(shape, dtype=dtype, pin_memory=self._on_gpu))
                for _ in range(2 if self._on_gpu else 1)
            ]
        return self._batches[0]

    def _compute(self) -> Iterator[Computed]:
        """Launch the network on the filled batch; yield what is finished."""
        batch = self._batches[0]
        batch.inputs[batch.num_inputs :] = 0
        try:
            finished = self._launch(batch)
        except torch.OutOfMemoryError as error:
            smaller = f"write {self._batch_size // 2}, or end" if self._batch_size > 1 else "end"
            raise PipelineError(
                explain(
                    "extract.batch_size",
                    expected=f"batches that fit {self._extractor.device}",
                    found=f"too little memory for {self._batch_size} inputs",
                    remedy=f"{smaller} what else uses the GPU",
                )
            ) from error
        event = None
        if self._on_gpu:
            event = torch.cuda.Event()
            event.record(torch.cuda.current_stream(self._extractor.device))
        self._in_flight.append(_InFlight(finished, event))
        batch.rows, batch.num_inputs = [], 0
        self._batches.reverse()
        yield from self._results(num_in_flight=1 if self._on_gpu else 0)

    def _launch(self, batch: _Batch) -> list[tuple[_Open, Tensor]]:
        """Start the network and return the videos that its call finishes; on a GPU nothing here waits for it."""
        outputs = self._extractor.network(batch.inputs.to(self._extractor.device, non_blocking=True))
        finished = []
        for opened, inputs, rows in batch.rows:
            if opened.outputs is None:
                opened.outputs = outputs.new_empty((len(opened.prepared.inputs), *outputs.shape[1:]))
            opened.outputs[inputs] = outputs[rows]
            opened.num_computed += rows.stop - rows.start
            if opened.num_computed == len(opened.prepared.inputs):
                finished.append((opened, self._features(opened)))
        return finished

    def _features(self, opened: _Open) -> Tensor:
        """Combine, convert and send to the host; on a GPU the copy is only launched."""
        assert opened.outputs is not None
        features = combine_samples(opened.outputs, opened.prepared.rows, self._extractor.combine)
        features = features.to(_STORAGE[self._extractor.storage])
        opened.outputs = None
        if not self._on_gpu:
            return features
        return torch.empty(features.shape, dtype=features.dtype, pin_memory=True).copy_(features, non_blocking=True)

    def _results(self, num_in_flight: int) -> Iterator[Computed]:
        """Yield the videos of launched calls, all but the last `num_in_flight`."""
        while len(self._in_flight) > num_in_flight:
            call = self._in_flight.pop(0)
            if call.event is not None:
                call.event.synchronize()
            for opened, features in call.finished:
                yield Computed(opened.video, opened.prepared, features.numpy())

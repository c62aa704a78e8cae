"""One video through the model: decoded, made features, judged window by window, and the windows' answers joined."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.core.errors import MediaError
from pipeline.extraction.batching import compute_features
from pipeline.extraction.decode_pool import DecodePool
from pipeline.features.contract import AnyExtractor
from pipeline.features.decoding import Decoder, Prepared
from pipeline.media.container import size_in_bytes
from pipeline.media.segments import segment_valid
from pipeline.prediction.decoding import WindowPatchDecoder
from pipeline.prediction.network import Model
from pipeline.prediction.sound import SoundDecoder
from pipeline.prediction.videos import Judged, Places, VideoPrediction
from pipeline.prediction.windows import count_segments, window_of_segments, window_starts
from pipeline.store.manifest import VideoFile
from pipeline.training.dataset import ClipBatch
from pipeline.training.inference import ARITHMETIC, PREDICTION_BATCH_SIZE, answer, reproducible
from pipeline.training.outputs import Outputs, join_outputs

BLOCK_BYTES = 1 << 29
"""Of pictures that are decoded before the network sees them."""

TIMEOUT_SECONDS = 300.0
SLOWEST_BYTES_PER_SECOND = 100_000
"""A decoder that takes longer than the timeout, and than a file of this size needs at this rate, hangs."""

ABSENT = {"no_video_stream", "no_audio_stream", "too_short"}
"""Reasons for which a file lacks one modality and may still be of use in the other."""

Report = Callable[[int, int], object]
"""Told how many windows of how many are done."""


@dataclass(frozen=True)
class _Features:
    """One modality of some windows: features (W, T, ...), and where the file has media (W, T)."""

    values: np.ndarray
    valid: np.ndarray


def predict_video(model: Model, path: Path, report: Report = lambda done, total: None) -> VideoPrediction:
    """Say what the model's task asks about a video.

    A video that fits one window is treated as the pipeline treats a clip, decoders, features, masks and all.

    Parameters
    ----------
    model : Model
    path : Path
    report : callable, optional
        Told how many windows are done, and how many there are.

    Raises
    ------
    MediaError
        If the file lacks what the task needs of picture and sound, or cannot be decoded, or crashes or hangs the
        process that does it.
    PipelineError
        If it changes meanwhile, or memory or disk are too small.
    """
    num_per_window, seconds = model.num_segments, model.segment_seconds
    frames_bytes = num_per_window * model.frames.frames_per_segment * math.prod(model.frames.frame_shape)
    num_per_block = max(1, BLOCK_BYTES // frames_bytes)
    block, sound, duration = _decode_both(model, path, num_per_block)
    num_segments = count_segments(duration, seconds)
    starts = window_starts(num_segments, num_per_window)
    audio = _features(model.audio, _split(sound, len(starts))) if sound else _nothing(model.audio, model, len(starts))
    combined = np.logical_and if model.reading.needs_both else np.logical_or
    decided: list[Outputs] = []
    seen: list[np.ndarray] = []
    for visual in _visual_features(model, path, block, (len(starts), num_per_block), report):
        inside = slice(len(seen), len(seen) + len(visual.valid))
        heard = _Features(audio.values[inside], audio.valid[inside])
        decided += _judge(model, visual, heard, combined(visual.valid.any(axis=1), heard.valid.any(axis=1)))
        seen += list(visual.valid)
    visual_valid = np.stack(seen)
    is_judged = combined(visual_valid.any(axis=1), audio.valid.any(axis=1))
    if not decided:
        where = "nowhere together" if model.reading.needs_both else "nowhere"
        raise MediaError("gap", f"{path.name}: picture and sound are {where}")
    judged = Judged(_spread(join_outputs(decided), is_judged), is_judged, visual_valid, audio.valid)
    if len(starts) == 1:
        # Frames by number are spread over the whole window, whatever the duration.
        last = int(np.flatnonzero(combined(visual_valid, audio.valid)[0]).max(initial=0))
        num_segments = min(num_per_window, max(num_segments, last + 1))
    window = window_of_segments(num_segments, num_per_window)
    places = Places(window, np.arange(num_segments) - np.array(starts)[window], seconds)
    warnings = _offset_warnings(model, block)
    return model.reading.predict(path, duration, judged, places, model.checkpoint.categories, warnings)


def _decode_both(model: Model, path: Path, num_per_block: int) -> tuple[Prepared | None, Prepared | None, float]:
    """Return the pictures of the first windows, the sound of all, and the duration in seconds.

    One modality may be None, where the task can do without: the duration is that of the pictures if there are any.
    """
    is_optional = not model.reading.needs_both
    try:
        block = _decode(model.decoder_of_windows(0, num_per_block), path)
    except MediaError as error:
        if not (is_optional and error.reason in ABSENT):
            raise
        try:
            sound = _decode(SoundDecoder(model.patches), path)
        except MediaError as of_sound:
            # A file of sound is not at fault for having no pictures.
            has_pictures = error.reason != "no_video_stream"
            raise (error if has_pictures and of_sound.reason in ABSENT else of_sound) from of_sound
        return None, sound, sound.seconds
    num_segments = count_segments(block.seconds, model.segment_seconds)
    try:
        return block, _decode(WindowPatchDecoder(model.patches, num_segments), path), block.seconds
    except MediaError as error:
        if not (is_optional and error.reason in ABSENT):
            raise
        return block, None, block.seconds


def _visual_features(
    model: Model, path: Path, block: Prepared | None, sizes: tuple[int, int], report: Report
) -> Iterator[_Features]:
    """Yield the visual features of all windows in blocks, the first of which is decoded already.

    `sizes` is the number of windows, and how many a block has.
    """
    num_windows, num_per_block = sizes
    if block is None:
        yield _nothing(model.visual, model, num_windows)
        report(num_windows, num_windows)
        return
    for first in range(0, num_windows, num_per_block):
        if first:
            block = _decode(model.decoder_of_windows(first, num_per_block), path)
        windows = _split(block, min(num_per_block, num_windows - first))
        yield _features(model.visual, windows, partial(_report_from, report, first, num_windows))


def _nothing(extractor: AnyExtractor, model: Model, num_windows: int) -> _Features:
    """Return the features of a modality that a file lacks."""
    shape = num_windows, model.num_segments
    return _Features(np.zeros((*shape, *extractor.feature_shape), extractor.storage), np.zeros(shape, bool))


def _report_from(report: Report, first: int, total: int, done: int) -> None:
    report(first + done, total)


def _decode(decoder: Decoder, path: Path) -> Prepared:
    """Decode in a process of its own, which a damaged file may crash or hang."""
    name, size = path.name, size_in_bytes(path)
    if not path.is_file():
        raise MediaError("unreadable", f"{name}: a folder or a device")
    timeout_seconds = max(TIMEOUT_SECONDS, size / SLOWEST_BYTES_PER_SECOND)
    video = VideoFile(name, str(path.absolute()), size, type(decoder).__name__)
    with DecodePool(decoder, Path(), num_workers=1, timeout_seconds=timeout_seconds) as pool:
        ((_, prepared),) = pool.decode([video])
    if isinstance(prepared, MediaError):
        raise prepared
    return prepared


def _split(prepared: Prepared, num_windows: int) -> Iterator[Prepared]:
    """Yield what belongs to each window; windows that overlap share inputs."""
    for rows in np.split(prepared.rows, num_windows):
        used, positions = np.unique(rows[rows >= 0], return_inverse=True)
        own = rows.copy()
        own[rows >= 0] = positions
        yield Prepared(prepared.inputs[used], own, prepared.reason, prepared.seconds, prepared.detail)


def _features(
    extractor: AnyExtractor, windows: Iterator[Prepared], report: Callable[[int], object] = lambda done: None
) -> _Features:
    """Compute the features of windows, as extraction does; zero in segments without media."""
    masks: list[np.ndarray] = []

    def named() -> Iterator[tuple[VideoFile, Prepared | MediaError]]:
        for number, prepared in enumerate(windows):
            masks.append(segment_valid(prepared.rows))
            yield VideoFile(str(number), "", None, None), prepared

    computed = {}
    for done in compute_features(extractor, named()):
        computed[done.video.video_id] = done.features
        report(len(computed))
    valid = np.stack(masks)
    nothing = np.zeros((valid.shape[1], *extractor.feature_shape), extractor.storage)
    found = [computed[str(number)] for number in range(len(masks))]
    return _Features(np.stack([nothing if values is None else values for values in found]), valid)


@torch.inference_mode()
def _judge(model: Model, visual: _Features, audio: _Features, is_judged: np.ndarray) -> list[Outputs]:
    """Return what the network says about the windows that are judged, in their order, in batches."""
    arithmetic = ARITHMETIC[model.checkpoint.precision]
    chosen_windows = np.flatnonzero(is_judged)
    decided = []
    with reproducible():
        for start in range(0, len(chosen_windows), PREDICTION_BATCH_SIZE):
            chosen = chosen_windows[start : start + PREDICTION_BATCH_SIZE]
            of_visual, of_audio = (
                torch.from_numpy(features.values[chosen]).to(model.device).to(arithmetic.network)
                for features in (visual, audio)
            )
            batch = ClipBatch(of_visual, of_audio, torch.zeros(len(chosen), dtype=torch.int64))
            output = answer(model.network, batch, arithmetic)
            decided.append(model.reading.decide(output, len(model.checkpoint.categories)))
    return decided


def _spread(outputs: Outputs, is_judged: np.ndarray) -> Outputs:
    """Return outputs with a row for every window, zero where it was not judged."""

    def spread(values: np.ndarray) -> np.ndarray:
        of_all = np.zeros((len(is_judged), *values.shape[1:]), values.dtype)
        of_all[is_judged] = values
        return of_all

    names = [field.name for field in fields(outputs) if field.name != "maps"]
    changes: dict[str, Any] = {name: spread(getattr(outputs, name)) for name in names}
    return replace(outputs, **changes)


def _offset_warnings(model: Model, block: Prepared | None) -> list[str]:
    offset = None if block is None else block.sampling_offset_seconds
    if model.frames.sampling != "frames" or offset is None or offset <= model.segment_seconds / 2:
        return []
    return [f"frames are chosen by number, as for the training clips, up to {offset:.1f} s from their segment"]

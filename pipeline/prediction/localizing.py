"""One video through the model: decoded, made features, judged window by window, and the windows' answers joined."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import torch

from pipeline.core.errors import MediaError
from pipeline.extraction.batching import compute_features
from pipeline.extraction.decode_pool import DecodePool
from pipeline.features.contract import AnyExtractor
from pipeline.features.decoding import Decoder, Prepared
from pipeline.media.container import size_in_bytes
from pipeline.media.segments import segment_valid
from pipeline.metrics.labels import mask_labels
from pipeline.prediction.decoding import WindowFrameDecoder, WindowPatchDecoder
from pipeline.prediction.events import Segment, VideoPrediction
from pipeline.prediction.network import Model
from pipeline.prediction.windows import count_segments, window_of_segments, window_starts
from pipeline.store.manifest import BACKGROUND, VideoFile
from pipeline.training.dataset import ClipBatch
from pipeline.training.inference import ARITHMETIC, PREDICTION_BATCH_SIZE, answer, reproducible
from pipeline.training.localization.decisions import decide

BLOCK_BYTES = 1 << 29
"""Of pictures that are decoded before the network sees them."""

TIMEOUT_SECONDS = 300.0
SLOWEST_BYTES_PER_SECOND = 100_000
"""A decoder that takes longer than the timeout, and than a file of this size needs at this rate, hangs."""

Report = Callable[[int, int], object]
"""Told how many windows of how many are done."""


@dataclass(frozen=True)
class _Features:
    """One modality of some windows: features (W, T, ...), and where the file has media (W, T)."""

    values: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class _Answers:
    """The decisions about W windows.

    Labels, relevance and the validity of either modality are (W, T), category scores (W, C), attention (W, T, P).
    """

    labels: np.ndarray
    relevance: np.ndarray
    category_scores: np.ndarray
    attention: np.ndarray
    visual_valid: np.ndarray
    audio_valid: np.ndarray

    @property
    def is_covered(self) -> np.ndarray:
        """Whether a window has both modalities anywhere (W,), bool: others are not judged."""
        return np.asarray(self.visual_valid.any(axis=1) & self.audio_valid.any(axis=1))


def localize_video(model: Model, path: Path, report: Report = lambda done, total: None) -> VideoPrediction:
    """Say where in a video which events are.

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
        If the file lacks picture or sound, or cannot be decoded, or crashes or hangs the process that does it.
    PipelineError
        If it changes meanwhile, or memory or disk are too small.
    """
    num_per_window, seconds = model.num_segments, model.segment_seconds
    frames_bytes = num_per_window * model.frames.frames_per_segment * math.prod(model.frames.frame_shape)
    num_per_block = max(1, BLOCK_BYTES // frames_bytes)
    block = _decode(WindowFrameDecoder(model.frames, 0, num_per_block), path)
    duration, offset = block.seconds, block.sampling_offset_seconds
    num_segments = count_segments(duration, seconds)
    starts = window_starts(num_segments, num_per_window)
    audio = _features(model.audio, _split(_decode(WindowPatchDecoder(model.patches, num_segments), path), len(starts)))
    judged = []
    for first in range(0, len(starts), num_per_block):
        if first:
            block = _decode(WindowFrameDecoder(model.frames, first, num_per_block), path)
        num_windows = min(num_per_block, len(starts) - first)
        visual = _features(model.visual, _split(block, num_windows), partial(_report_from, report, first, len(starts)))
        inside = slice(first, first + num_windows)
        judged.append(_judge(model, visual, _Features(audio.values[inside], audio.valid[inside])))
    answers = _Answers(*(np.concatenate([getattr(of, field.name) for of in judged]) for field in fields(_Answers)))
    if not answers.is_covered.any():
        raise MediaError("gap", f"{path.name}: picture and sound are nowhere together")
    if len(starts) == 1:
        # Frames by number are spread over the whole window, whatever the duration.
        both = (answers.visual_valid & answers.audio_valid)[0]
        num_segments = min(num_per_window, max(num_segments, int(np.flatnonzero(both).max(initial=0)) + 1))
    window = window_of_segments(num_segments, num_per_window)
    position = np.arange(num_segments) - np.array(starts)[window]
    segments = _segments(answers, window, position, seconds, model.checkpoint.categories)
    warnings = _warnings(segments, offset if model.frames.sampling == "frames" else None, seconds)
    return VideoPrediction(path, duration, segments, answers.attention[window, position], warnings)


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
def _judge(model: Model, visual: _Features, audio: _Features) -> _Answers:
    """Run the network over the windows that have both modalities; the answers about others are zero."""
    arithmetic = ARITHMETIC[model.checkpoint.precision]
    num_windows, num_segments = visual.valid.shape
    num_categories = len(model.checkpoint.categories)
    answers = _Answers(
        np.full((num_windows, num_segments), num_categories),
        np.zeros((num_windows, num_segments)),
        np.zeros((num_windows, num_categories)),
        np.zeros((num_windows, num_segments, model.checkpoint.inputs["num_positions"]), np.float32),
        visual.valid,
        audio.valid,
    )
    covered = np.flatnonzero(answers.is_covered)
    with reproducible():
        for start in range(0, len(covered), PREDICTION_BATCH_SIZE):
            chosen = covered[start : start + PREDICTION_BATCH_SIZE]
            of_visual, of_audio = (
                torch.from_numpy(features.values[chosen]).to(model.device).to(arithmetic.network)
                for features in (visual, audio)
            )
            batch = ClipBatch(of_visual, of_audio, torch.zeros(len(chosen), dtype=torch.int64))
            output = answer(model.network, batch, arithmetic)
            decided = decide(output, num_categories)
            answers.labels[chosen] = decided.labels
            answers.relevance[chosen] = decided.relevance
            answers.category_scores[chosen] = decided.category_scores
            answers.attention[chosen] = output.attention.float().cpu().numpy()
    return answers


def _segments(
    answers: _Answers, window: np.ndarray, position: np.ndarray, seconds: float, categories: Sequence[str]
) -> tuple[Segment, ...]:
    """Return the segments, each from a position in a window."""
    both = answers.visual_valid & answers.audio_valid
    predicted = mask_labels(answers.labels, both, num_categories=len(categories))
    probability = torch.softmax(torch.from_numpy(answers.category_scores), dim=1).numpy()
    names = [*categories, BACKGROUND]
    covered = answers.is_covered
    segments = []
    for number, place in enumerate(zip(window.tolist(), position.tolist(), strict=True)):
        of = place[0]
        is_covered = bool(covered[of])
        most_probable = int(answers.category_scores[of].argmax())
        valid = {"visual": answers.visual_valid[place], "audio": answers.audio_valid[place]}
        segments.append(
            Segment(
                start_seconds=number * seconds,
                end_seconds=(number + 1) * seconds,
                prediction=names[predicted[place]],
                relevance=float(answers.relevance[place]) if is_covered else None,
                category=names[most_probable] if is_covered else None,
                category_probability=float(probability[of, most_probable]) if is_covered else None,
                missing=tuple(modality for modality, is_valid in valid.items() if not is_valid),
            )
        )
    return tuple(segments)


def _warnings(segments: Sequence[Segment], offset_seconds: float | None, segment_seconds: float) -> tuple[str, ...]:
    warnings = []
    num_masked = sum(bool(segment.missing) for segment in segments)
    if num_masked:
        warnings.append(f"{num_masked} of {len(segments)} segments lack picture or sound and are background")
    if offset_seconds is not None and offset_seconds > segment_seconds / 2:
        warnings.append(
            f"frames are chosen by number, as for the training clips, up to {offset_seconds:.1f} s from their segment"
        )
    return tuple(warnings)

"""Comparison of a file's rows with features of some of its videos, extracted again under several recipes.

Work that recipes share is done once: a video is decoded once per choice of frames or patches, and a network sees each
distinct input once, whichever recipes use it.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from pipeline.backbones.registry import BACKBONES
from pipeline.core.errors import MediaError, WeightsError
from pipeline.doctor.candidates import Candidate
from pipeline.doctor.orders import Order, OrderName
from pipeline.doctor.source import FeatureFile
from pipeline.features.audio.extractor import AudioExtractor, audio_decoder
from pipeline.features.audio.patches import PatchDecoder
from pipeline.features.contract import (
    AnyExtractor,
    Extractor,
    combine_samples,
    join_streams,
    split_streams,
    streams_of,
)
from pipeline.features.decoding import Decoder, Prepared
from pipeline.features.visual.extractor import visual_decoder, visual_extractor
from pipeline.media.segments import NO_FRAME, segment_valid
from pipeline.params.schema import AudioParams, VisualParams

NUM_VISUAL_SEGMENTS = 4
"""Segments compared per video, first and last among them: recipes that differ do so in some of these, and frames take
long on a CPU."""

MADE = 0.9999
"""Correlation from which a recipe is said to have made the file: the rest is no more than rounding."""

NEAR = 0.9
"""Correlation from which a recipe is called near: another decoder made it, or a setting of little weight differs.
Networks with much the same output for any input need more, see :attr:`Comparison.needed`."""

TIE = 1e-3
"""Matches whose unexplained deviation, sqrt(1 - r²), differs by less are alike: float16 costs a third of that."""


@dataclass(frozen=True)
class Segments:
    """One video's features (T, ...), float64, and which segments have any, (T,)."""

    features: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class Match:
    """The agreement of one recipe, with the rows in one order, with the file.

    Parameters
    ----------
    candidate : Candidate
    order : str
    correlation : float
        Pearson's r over all values of all compared segments; 0 where one side is constant.
    mismatched_correlation : float
        The same for segments that do not belong together: the correlation that any segment would give.
    relative_difference : float
        Mean of the absolute differences, as a share of the mean magnitude in the file.
    num_segments : int
        Number of segments compared.
    """

    candidate: Candidate
    order: OrderName
    correlation: float
    mismatched_correlation: float
    relative_difference: float
    num_segments: int

    @property
    def unexplained(self) -> float:
        """Deviation that the recipe leaves unexplained, as a share of the file's: sqrt(1 - r²)."""
        return float(np.sqrt(max(0.0, 1 - self.correlation**2)))


@dataclass(frozen=True)
class Comparison:
    """All recipes that could be compared, best first, and what could not be.

    Parameters
    ----------
    matches : tuple of Match
        One for each candidate and order.
    num_candidates : int
        Number of candidates that could be compared.
    video_ids : tuple of str
        Videos compared.
    unusable_videos : tuple of str
        Videos that were chosen and do not decode, in words.
    unavailable_weights : tuple of str
        Reasons why recipes were left out.
    """

    matches: tuple[Match, ...]
    num_candidates: int
    video_ids: tuple[str, ...]
    unusable_videos: tuple[str, ...]
    unavailable_weights: tuple[str, ...]

    @property
    def needed(self) -> float:
        """The correlation below which even the best match is none: halfway from that of any segment to 1."""
        return max(NEAR, (1 + self.matches[0].mismatched_correlation) / 2) if self.matches else NEAR

    @property
    def verdict(self) -> str:
        """The verdict on the best match: ``made``, ``near`` or ``none``."""
        best = self.matches[0].correlation if self.matches else 0.0
        return "none" if best < self.needed else "made" if best >= MADE else "near"

    @property
    def ties(self) -> tuple[Match, ...]:
        """The matches that these videos cannot tell from the best one, which comes first."""
        return tuple(match for match in self.matches if match.unexplained - self.matches[0].unexplained < TIE)


def compare(
    file: FeatureFile,
    orders: Sequence[Order],
    paths: Mapping[str, Path],
    candidates: Sequence[Candidate],
    device: torch.device,
    *,
    num_videos: int,
    is_channels_first: bool = False,
) -> Comparison:
    """Extract some of the file's videos under each candidate and correlate.

    Parameters
    ----------
    file : FeatureFile
    orders : sequence of Order
        Each is tried.
    paths : mapping of str to Path
        Media file by video id.
    candidates : sequence of Candidate
        Of one modality and of the file's number of segments.
    device : torch.device
        For the networks.
    num_videos : int
        How many videos to compare, spread evenly over the rows.
    is_channels_first : bool, optional
        The file has maps (C, H, W).

    Raises
    ------
    ShardError
        If the file is damaged.
    """
    decoders = {candidate: _decoder(candidate) for candidate in candidates}
    known = [video_id for video_id in dict.fromkeys(orders[0].video_ids) if video_id in paths]
    prepared, unusable = _prepare_videos(known, paths, list(dict.fromkeys(decoders.values())), num_videos)
    theirs = {
        order.name: [_row(file, order.video_ids.index(video_id), is_channels_first) for video_id in prepared]
        for order in orders
    }
    matches: list[Match] = []
    num_candidates, unavailable = 0, []
    groups = _by_network(candidates)
    with tqdm(total=len(groups) * len(prepared), desc="comparing", unit="video", disable=None) as progress:
        for group in groups:
            try:
                extractor = _extractor(group[0], device)
            except WeightsError as error:
                unavailable.append(str(error))
                progress.update(len(prepared))
                continue
            num_candidates += len(group)
            ours: dict[Candidate, list[Segments | None]] = {candidate: [] for candidate in group}
            for of_video in prepared.values():
                extracted = _extract(extractor, [of_video.get(decoders[candidate]) for candidate in group])
                for candidate, segments in zip(group, extracted, strict=True):
                    ours[candidate].append(segments)
                progress.update()
            for candidate, name in product(group, theirs):
                match = _match(candidate, name, ours[candidate], theirs[name])
                matches += [match] if match else []
    matches.sort(key=lambda match: -match.correlation)
    return Comparison(
        tuple(matches), num_candidates, tuple(prepared), tuple(unusable), tuple(dict.fromkeys(unavailable))
    )


def _decoder(candidate: Candidate) -> Decoder:
    section, dataset = candidate.section, candidate.dataset
    if isinstance(section, VisualParams):
        return visual_decoder(section, dataset)
    return audio_decoder(section, dataset)


def _extractor(candidate: Candidate, device: torch.device) -> AnyExtractor:
    if isinstance(candidate.section, AudioParams):
        return AudioExtractor(candidate.section, candidate.dataset, device)
    return visual_extractor(candidate.section, candidate.dataset, device)


def _by_network(candidates: Iterable[Candidate]) -> list[list[Candidate]]:
    """Group the candidates that differ only in what their decoders choose."""
    groups: dict[VisualParams | AudioParams, list[Candidate]] = {}
    for candidate in candidates:
        chosen: dict[str, object] = {"alignment": "segment"}
        if isinstance(candidate.section, VisualParams):
            chosen = {"sampling": "frames", "frames_per_segment": 1}
            has_snippets = BACKBONES[candidate.section.backbone].is_of_snippets or candidate.section.motion is not None
            if has_snippets:  # their length is the shape of an input
                del chosen["frames_per_segment"]
        groups.setdefault(candidate.section.model_copy(update=chosen), []).append(candidate)
    return list(groups.values())


def _prepare_videos(
    video_ids: Sequence[str], paths: Mapping[str, Path], decoders: Sequence[Decoder], num_videos: int
) -> tuple[dict[str, dict[Decoder, Prepared]], list[str]]:
    """Decode videos at even distances, and others in place of those that no decoder can use; say which those are."""
    chosen = np.linspace(0, len(video_ids) - 1, min(num_videos, len(video_ids))).round().astype(int)
    prepared: dict[str, dict[Decoder, Prepared]] = {}
    unusable = []
    for video_id in dict.fromkeys([*(video_ids[number] for number in chosen), *video_ids]):
        if len(prepared) == num_videos:
            break
        of_video, problem = _prepare(paths[video_id], decoders)
        if of_video:
            prepared[video_id] = of_video
        else:
            unusable.append(problem)
    return prepared, unusable


def _prepare(path: Path, decoders: Iterable[Decoder]) -> tuple[dict[Decoder, Prepared], str]:
    """Decode a file with each decoder; return what succeeded, and what the last one that failed said."""
    of_video, problem = {}, ""
    for decoder in decoders:
        try:
            prepared = decoder(path)
        except MediaError as error:
            problem = str(error)
            continue
        prepared = prepared if isinstance(decoder, PatchDecoder) else _thin_out(prepared)
        if segment_valid(prepared.rows).any():
            of_video[decoder] = prepared
        else:
            problem = f"{path.name}: {prepared.reason}"
    return of_video, problem


def _thin_out(prepared: Prepared) -> Prepared:
    """Keep some segments and the inputs they are made of; the others become segments without media."""
    num_segments = len(prepared.rows)
    kept = np.linspace(0, num_segments - 1, min(NUM_VISUAL_SEGMENTS, num_segments)).round().astype(int)
    rows = np.full_like(prepared.rows, NO_FRAME)
    rows[kept] = prepared.rows[kept]
    used, places = np.unique(rows[rows != NO_FRAME], return_inverse=True)
    rows[rows != NO_FRAME] = places
    return replace(prepared, inputs=prepared.inputs[used], rows=rows)


def _extract(extractor: AnyExtractor, wanted: Sequence[Prepared | None]) -> list[Segments | None]:
    """Return the features of one video under each choice of inputs."""
    split = [split_streams(extractor, prepared) for prepared in wanted if prepared is not None]
    if not split:
        return [None] * len(wanted)
    by_stream = [
        _extract_stream(stream, [inputs[number] for inputs in split])
        for number, stream in enumerate(streams_of(extractor))
    ]
    features = (join_streams(extractor, of_streams) for of_streams in zip(*by_stream, strict=True))
    return [None if prepared is None else Segments(next(features), segment_valid(prepared.rows)) for prepared in wanted]


def _extract_stream(extractor: Extractor, wanted: Sequence[Prepared]) -> list[np.ndarray]:
    """Return the features (T, ...), float64, under each choice; an input of several choices is computed once."""
    place_of: dict[bytes, int] = {}
    distinct: list[np.ndarray] = []
    rows: list[np.ndarray] = []
    for prepared in wanted:
        places = []
        for network_input in prepared.inputs:
            content = hashlib.sha256(network_input.tobytes()).digest()
            if content not in place_of:
                place_of[content] = len(distinct)
                distinct.append(network_input)
            places.append(place_of[content])
        rows.append(np.where(prepared.rows == NO_FRAME, NO_FRAME, np.array(places)[prepared.rows]))
    outputs = torch.cat(
        [
            extractor.network(
                torch.from_numpy(np.stack(distinct[start : start + extractor.batch_size])).to(extractor.device)
            )
            for start in range(0, len(distinct), extractor.batch_size)
        ]
    )
    return [combine_samples(outputs, of_choice, extractor.combine).double().cpu().numpy() for of_choice in rows]


def _row(file: FeatureFile, number: int, is_channels_first: bool) -> Segments:
    """Return one row of the file, channels last; segments that are zero throughout are missing ones."""
    (features,) = file.read(number, number + 1).astype(np.float64)
    per_segment = features.reshape(len(features), -1)
    valid = per_segment.any(axis=1) & np.isfinite(per_segment).all(axis=1)
    if file.valid is not None:
        valid &= file.valid[number]
    return Segments(np.moveaxis(features, 1, -1) if is_channels_first else features, valid)


def _match(
    candidate: Candidate, order: OrderName, ours: Sequence[Segments | None], theirs: Sequence[Segments]
) -> Match | None:
    """Compare the segments that both have; None where there are none."""
    pairs = [
        (mine.features[both], row.features[both])
        for mine, row in zip(ours, theirs, strict=True)
        if mine is not None and (both := mine.valid & row.valid).any()
    ]
    if not pairs:
        return None
    made, found = (np.concatenate(side).reshape(-1, pairs[0][0][0].size) for side in zip(*pairs, strict=True))
    num_segments = len(found)
    return Match(
        candidate,
        order,
        correlation(made, found),
        correlation(made, np.roll(found, num_segments // 2, axis=0)) if num_segments > 1 else 0.0,
        float(np.abs(made - found).mean() / np.abs(found).mean()),
        num_segments,
    )


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Pearson's r over all values of two arrays of one shape; 0 where one of them is constant.

    >>> round(correlation(np.array([1.0, 2.0, 4.0]), np.array([3.0, 5.0, 9.0])), 12)
    1.0
    """
    if not np.ptp(one) or not np.ptp(other):
        return 0.0
    one, other = (array.ravel() - array.mean() for array in (one, other))
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))

"""The evidence of a feature file's values by themselves: no video, no network.

The statistics are over the segments that are not zero throughout: such a segment is a missing one, in released files
too. Where the values lie on few levels they were rounded to 8 bits; where none is negative and many are zero a
rectifier (ReLU) came last. AudioSet's 8 bits stand for -2 to 2, so that its features in floating point lie 4/255 apart.

Source: Hershey et al., CNN Architectures for Large-Scale Audio Classification, ICASSP 2017, and AudioSet's release.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pipeline.backbones.registry import BACKBONES
from pipeline.doctor.source import FeatureFile
from pipeline.features.recipes import Modality

NUM_LEVELS = 256
AUDIOSET_LOWEST, AUDIOSET_STEP = -2.0, 4 / 255

MIN_LEVELS = 16
"""Fewer different values than this are no features but labels, masks or constants."""

MIN_ZERO_SHARE = 0.05
"""Least share of zeros after a rectifier. VGGish of the AVE release has 65 %."""

UNIT_TOLERANCE = 2e-3
"""Largest deviation from 1 of the length of vectors that were normalised: float16 leaves 5e-4."""

MAX_STACKED = 32
"""Frames of a segment, stored before the features of motion, that a length is taken for."""

MIN_NUM_BLOCKS = 4
BLOCK_BYTES = 1 << 26
"""Bytes that are read at once, unless a single row is larger."""

CAFFE_LEAST_MAXIMUM, TORCHVISION_MOST_MAXIMUM = 100.0, 60.0
"""Largest value of VGG19's ``block5_pool``: above the first, pixels were 0 to 255 (Caffe's weights); below the second,
normalised (torchvision's).

An estimate, not checked against the published weights. The first is supported by 8-bit fixed-point versions of Caffe's
VGG-16, which give this layer the range to 508 (the table of PipeCNN). Torchvision trained anew on pixels that are
smaller by a factor of 58."""

Processing = Literal["levels", "dequantised", "rectified", "averaged", "signed", "few_values"]
Scale = Literal["caffe", "torchvision", "unclear"]


@dataclass(frozen=True)
class Shape:
    """The modality and the networks that make segments of a certain shape.

    Parameters
    ----------
    modality : str
    backbones : tuple of str
        ``vggish``, or values of `visual.backbone`.
    is_channels_first : bool
        The maps are (C, H, W); ours are (H, W, C).
    num_stacked : int, optional
        K, where a segment holds the features of its K frames.
    motion : str, optional
        Where a segment is one vector of two streams, the value of `visual.motion.backbone`.
    """

    modality: Modality
    backbones: tuple[str, ...]
    is_channels_first: bool = False
    num_stacked: int | None = None
    motion: str | None = None

    @property
    def is_of_vectors(self) -> bool:
        """Whether a network's features are vectors, not maps."""
        return self.modality == "audio" or len(BACKBONES[self.backbones[0]].feature_shape) == 1


def recognise(segment_shape: tuple[int, ...]) -> Shape | None:
    """Return the modality and the networks that make segments of this shape, or None if none is known.

    >>> shape = recognise((1024, 7, 7))
    >>> shape.backbones, shape.is_channels_first
    (('resnet101', 'resnet152'), True)
    >>> shape = recognise((8 * 2048 + 512,))
    >>> shape.backbones, shape.num_stacked, shape.motion
    (('resnet152_pooled',), 8, 'r2plus1d_18')
    """
    if segment_shape == (128,):
        return Shape("audio", ("vggish",))
    by_shape = [
        (segment_shape, False, None),
        (segment_shape[1:] + segment_shape[:1], True, None),
        (segment_shape[1:], False, segment_shape[0]),
    ]
    for shape, is_channels_first, num_stacked in by_shape:
        backbones = tuple(
            name
            for name, backbone in BACKBONES.items()
            if backbone.feature_shape == shape and not (num_stacked and backbone.is_of_snippets)
        )
        if backbones:
            return Shape("visual", backbones, is_channels_first, num_stacked)
    return _recognise_streams(segment_shape[0]) if len(segment_shape) == 1 else None


def _recognise_streams(num_features: int) -> Shape | None:
    """Return the networks whose features, flattened and with those of motion behind them, are so many."""
    of_frames = {name: math.prod(facts.feature_shape) for name, facts in BACKBONES.items() if not facts.is_of_snippets}
    for motion, backbone in BACKBONES.items():
        if backbone.is_of_snippets:
            num_appearance = num_features - math.prod(backbone.feature_shape)
            for num_stacked in (None, *range(2, MAX_STACKED + 1)):
                names = tuple(name for name, size in of_frames.items() if size * (num_stacked or 1) == num_appearance)
                if names:
                    return Shape("visual", names, num_stacked=num_stacked, motion=motion)
    return None


@dataclass(frozen=True)
class Levels:
    """Values that lie on few levels: how many occur, the lowest there can be, and the step between neighbours."""

    num_levels: int
    lowest: float
    step: float


@dataclass(frozen=True)
class Values:
    """Statistics of the rows that were looked at.

    Parameters
    ----------
    num_rows, num_segments : int
        Looked at.
    num_zero_segments : int
        Segments that are zero throughout although the file does not call them missing.
    num_masked_segments : int
        Segments that the file calls missing.
    num_equal_rows : int
        Rows that equal an earlier one, zero rows aside.
    num_not_finite : int
        NaN and infinity.
    minimum, maximum : float
        Of the finite values, as the following fields; 0 where there are none.
    mean_magnitude : float
        Of the values that are not zero.
    zero_share, negative_share : float
    is_float32_exact, is_float16_exact : bool
        Every value is one that float32, float16 can hold.
    levels : Levels, optional
        Where the values lie on few levels of one distance.
    processing : str
        ``levels``: whole numbers from 0 to 255. ``dequantised``: other values on at most 256 levels. ``rectified``: not
        negative, many zeros. ``averaged``: not negative, few zeros. ``signed``: negative ones. ``few_values``: too few
        different ones to be features.
    vector_lengths : tuple of float, optional
        Smallest and largest Euclidean length of the vectors, zero ones aside; None where segments are maps.
    """

    num_rows: int
    num_segments: int
    num_zero_segments: int
    num_masked_segments: int
    num_equal_rows: int
    num_not_finite: int
    minimum: float
    maximum: float
    mean_magnitude: float
    zero_share: float
    negative_share: float
    is_float32_exact: bool
    is_float16_exact: bool
    levels: Levels | None
    processing: Processing
    vector_lengths: tuple[float, float] | None = None

    @property
    def is_unit_length(self) -> bool:
        """Whether every vector has length 1: they were L2-normalised."""
        return self.vector_lengths is not None and all(abs(one - 1) < UNIT_TOLERANCE for one in self.vector_lengths)


def examine_values(file: FeatureFile, num_rows: int) -> Values:
    """Look at about `num_rows` rows, spread evenly over the file, all of them where it has no more.

    Raises
    ------
    ShardError
        If the file is damaged.
    """
    tally = _Tally()
    for start, stop in spread_rows(file, num_rows):
        rows = file.read(start, stop)
        valid = None if file.valid is None else file.valid[start:stop]
        tally.add(rows, valid)
    return tally.values()


def spread_rows(file: FeatureFile, num_rows: int) -> list[tuple[int, int]]:
    """Return which rows to look at, as (start, stop).

    Rows that are stored together are read together, yet from at least four places of the file; a range is of no more
    rows than fit :data:`BLOCK_BYTES`.
    """
    total = file.num_rows
    row_bytes = file.dtype.itemsize * int(np.prod(file.shape[1:]))
    most = max(1, BLOCK_BYTES // row_bytes)
    if num_rows >= total:
        return [(start, min(start + most, total)) for start in range(0, total, most)]
    per_block = min(file.block_rows, most, max(1, num_rows // MIN_NUM_BLOCKS))
    starts = np.linspace(0, total - per_block, max(1, num_rows // per_block)).astype(int)
    if per_block == file.block_rows:  # begin where they are stored together
        starts = np.unique(starts // per_block * per_block)
    return [(start, start + per_block) for start in starts.tolist()]


def pixel_scale(values: Values) -> Scale:
    """Return the scale of pixels that VGG19 maps of such values were plausibly made from: a rule of thumb."""
    if values.maximum >= CAFFE_LEAST_MAXIMUM:
        return "caffe"
    return "torchvision" if values.maximum <= TORCHVISION_MOST_MAXIMUM else "unclear"


@dataclass
class _Tally:
    """Statistics of blocks of rows, added up."""

    num_rows: int = 0
    num_segments: int = 0
    num_zero_segments: int = 0
    num_masked_segments: int = 0
    num_equal_rows: int = 0
    num_not_finite: int = 0
    num_values: int = 0
    num_zeros: int = 0
    num_negative: int = 0
    magnitude: float = 0.0
    minimum: float = np.inf
    maximum: float = -np.inf
    is_float32_exact: bool = True
    is_float16_exact: bool = True
    shortest: float = np.inf
    longest: float = -np.inf
    different: np.ndarray | None = field(default_factory=lambda: np.empty(0))
    contents: set[bytes] = field(default_factory=set)

    def add(self, rows: np.ndarray, valid: np.ndarray | None) -> None:
        """Add rows (n, T, ...) with what the file says is valid, (n, T)."""
        num_rows, num_segments = rows.shape[:2]
        has_values = (rows.reshape(num_rows, num_segments, -1) != 0).any(axis=2)
        self.num_rows += num_rows
        self.num_segments += has_values.size
        if valid is None:
            valid = np.ones_like(has_values)
        self.num_masked_segments += int((~valid).sum())
        self.num_zero_segments += int((valid & ~has_values).sum())
        for row in rows[has_values.any(axis=1)]:
            content = hashlib.sha256(row.tobytes()).digest()
            self.num_equal_rows += content in self.contents
            self.contents.add(content)
        segments = rows[has_values & valid]
        if segments.ndim <= 3:  # vectors, or those of several frames; maps have more axes
            self._add_vectors(segments.reshape(-1, rows.shape[-1]))
        self._add_values(segments.ravel())

    def _add_vectors(self, vectors: np.ndarray) -> None:
        lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
        lengths = lengths[np.isfinite(lengths) & (lengths > 0)]
        if len(lengths):
            self.shortest = min(self.shortest, float(lengths.min()))
            self.longest = max(self.longest, float(lengths.max()))

    def _add_values(self, values: np.ndarray) -> None:
        finite = values[np.isfinite(values)]
        self.num_not_finite += len(values) - len(finite)
        if not len(finite):
            return
        self.num_values += len(finite)
        self.num_zeros += int((finite == 0).sum())
        self.num_negative += int((finite < 0).sum())
        self.magnitude += float(np.abs(finite).sum(dtype=np.float64))
        self.minimum, self.maximum = min(self.minimum, float(finite.min())), max(self.maximum, float(finite.max()))
        with np.errstate(over="ignore"):
            self.is_float32_exact &= bool((finite.astype(np.float32) == finite).all())
            self.is_float16_exact &= bool((finite.astype(np.float16) == finite).all())
        if self.different is not None:
            self.different = _different(self.different, finite)

    def values(self) -> Values:
        """Return what was found."""
        num_values = max(self.num_values, 1)
        zero_share, negative_share = self.num_zeros / num_values, self.num_negative / num_values
        levels = None if self.different is None else find_levels(self.different)
        return Values(
            num_rows=self.num_rows,
            num_segments=self.num_segments,
            num_zero_segments=self.num_zero_segments,
            num_masked_segments=self.num_masked_segments,
            num_equal_rows=self.num_equal_rows,
            num_not_finite=self.num_not_finite,
            minimum=self.minimum if self.num_values else 0.0,
            maximum=self.maximum if self.num_values else 0.0,
            mean_magnitude=self.magnitude / max(self.num_values - self.num_zeros, 1),
            zero_share=zero_share,
            negative_share=negative_share,
            is_float32_exact=self.is_float32_exact,
            is_float16_exact=self.is_float16_exact,
            levels=levels,
            processing=_processing(self.different, levels, zero_share, negative_share),
            vector_lengths=(self.shortest, self.longest) if self.longest > 0 else None,
        )


def _different(known: np.ndarray, values: np.ndarray) -> np.ndarray | None:
    """Return the different values, sorted, or None once there are more than 256."""
    for part in (values[: 1 << 14], values):  # raw features show in the first part, which spares sorting the rest
        known = np.union1d(known, part)
        if len(known) > NUM_LEVELS:
            return None
    return known


def find_levels(different: Sequence[float] | np.ndarray) -> Levels | None:
    """Return the levels that values lie on, or None if they lie on none of 256 at one distance.

    Parameters
    ----------
    different : sequence of float
        Each value that occurs, once.

    Examples
    --------
    >>> find_levels([3.0, 0.0, 255.0])
    Levels(num_levels=3, lowest=0.0, step=1.0)
    >>> find_levels([0.1, 0.25, 0.9]) is None
    True
    """
    sorted_values = np.sort(np.asarray(different, dtype=np.float64))
    if len(sorted_values) < 2:
        return None
    lowest, distance = float(sorted_values[0]), float(np.diff(sorted_values).min())
    for origin, step in ((0.0, 1.0), (AUDIOSET_LOWEST, AUDIOSET_STEP), (lowest, distance)):
        numbers = (sorted_values - origin) / step
        if numbers[0] < -0.5 or numbers[-1] > NUM_LEVELS - 0.5:
            continue
        deviation = np.abs(numbers - numbers.round()).max()
        # A whole number is exact; float16 moves a value near 2 by a sixteenth of AudioSet's step.
        if deviation == 0 or (step != 1 and deviation < 0.1):
            return Levels(len(sorted_values), origin, step)
    return None


def _processing(
    different: np.ndarray | None, levels: Levels | None, zero_share: float, negative_share: float
) -> Processing:
    if different is not None and len(different) < MIN_LEVELS:
        return "few_values"
    if levels is not None:
        return "levels" if (levels.lowest, levels.step) == (0, 1) else "dequantised"
    if negative_share > 0:
        return "signed"
    return "rectified" if zero_share >= MIN_ZERO_SHARE else "averaged"

"""``params.yaml``: every value the pipeline can be given, validated as a whole before any work.

A stage calls :func:`load_params` and passes plain values on; no other module opens the file. Unknown keys are
refused, all faults are reported at once, each by its full key. The file is read as YAML 1.2, as DVC does
(under YAML 1.1 ``on`` would be a truth value and ``1e-05`` a text).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.core.errors import ParamsError

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")]
RowName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
MethodName = Literal["avel", "avsdn", "cmran", "psp", "cpsp", "sspsp"]
Supervision = Literal["full", "weak"]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]


class Section(BaseModel):
    """A block of ``params.yaml``: every key must be present, none may be unknown, nothing is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DatasetParams(Section):
    """Which data set, how its annotations are read, and how clips are cut."""

    name: FolderName
    format: Literal["synthetic", "ave", "vggsound_avel", "csv"]
    videos: Annotated[str, Field(min_length=1)]
    split: Literal["official", "leak_free"]
    ambiguous_videos: Literal["largest", "error"]
    num_segments: Count
    segment_seconds: Annotated[float, Field(ge=0.96)]  # VGGish hears the first 0.96 s of a segment
    min_coverage: Fraction


class FeaturesParams(Section):
    """Whether features are computed from the videos, or those that a data set's authors published."""

    source: Literal["extracted", "released"]


class ExtractParams(Section):
    """How extraction uses the machine; nothing here is part of a feature's recipe."""

    engine: Literal["local", "ray"]
    device: Device
    batch_size: Annotated[int, Field(ge=0)]
    num_workers: Annotated[int, Field(ge=0)]
    timeout_seconds: Positive
    shard_size: Count


class VisualParams(Section):
    """The recipe of the visual features."""

    backbone: Literal["vgg19", "resnet101", "resnet152", "resnet152_pooled", "r2plus1d_18"]
    weights: Annotated[str, Field(min_length=1)]
    weights_sha256: Sha256 | None
    weights_seed: Seed
    sampling: Literal["frames", "time"]
    frames_per_segment: Count
    combine: Literal["mean", "stack"]
    precision: Literal["float32", "bfloat16", "float16"]
    storage: Literal["float16", "float32"]
    max_failed_fraction: Fraction

    @field_validator("combine")
    @classmethod
    def _snippets_are_not_stacked(cls, combine: str, info: ValidationInfo) -> str:
        if combine == "stack" and info.data.get("backbone") == "r2plus1d_18":
            raise ValueError("'mean' for r2plus1d_18, which sees all frames of a segment at once")
        return combine


class AudioParams(Section):
    """The recipe of the audio features."""

    weights: Annotated[str, Field(min_length=1)]
    weights_sha256: Sha256 | None
    weights_seed: Seed
    alignment: Literal["segment", "continuous"]
    postprocess: Literal["none", "pca"]
    pca_weights: Annotated[str, Field(min_length=1)]
    pca_sha256: Sha256 | None
    storage: Literal["float16", "float32"]
    max_failed_fraction: Fraction


class AvpspParams(Section):
    """L_avpsp, the pair-similarity loss between the modalities of one segment."""

    weight: NonNegative


class SpsaParams(Section):
    """L_spsa, the segment-level contrastive loss."""

    weight: NonNegative
    form: Literal["paper", "released"]
    temperature: Annotated[float, Field(ge=0.02)]  # below, exp(1 / temperature) leaves the range of float32


class VpsaParams(Section):
    """L_vpsa, the video-level contrastive loss: margin and negatives of the triplets, ratio and eta of InfoNCE."""

    weight: NonNegative
    form: Literal["triplet", "infonce"]
    margin: NonNegative
    num_negatives: Count
    ratio: Annotated[float, Field(gt=0, le=1)]
    eta: Annotated[float, Field(ge=0.001)]  # below, the loss leaves the range of float32


class NceParams(Section):
    """The label-free contrast between the modalities of SSPSP."""

    weight: NonNegative
    temperature: Positive


class ScheduleParams(Section):
    """What every method has, in either supervision."""

    batch_size: Count
    num_epochs: Count
    learning_rate: Positive
    milestones: list[Count]
    learning_rate_factor: Annotated[float, Field(gt=0, le=1)]
    max_gradient_norm: Positive | None

    @field_validator("milestones")
    @classmethod
    def _milestones_increase(cls, milestones: list[int]) -> list[int]:
        if milestones != sorted(set(milestones)):
            raise ValueError("increasing epochs, each once")
        return milestones


class PoolingParams(ScheduleParams):
    """A method that lets choose how segments are pooled for the category."""

    pooling: Literal["mean", "max"]


class PropagationParams(PoolingParams):
    """A method with positive sample propagation; a pair of segments is kept above the share `tau`."""

    tau: Fraction


class PSPFullParams(PropagationParams):
    """PSP with a label per segment."""

    avpsp: AvpspParams


class CPSPWeakParams(PropagationParams):
    """CPSP with one category per clip."""

    vpsa: VpsaParams

    @model_validator(mode="after")
    def _batches_hold_negatives(self) -> Self:
        vpsa = self.vpsa
        if vpsa.weight > 0 and vpsa.form == "triplet" and vpsa.num_negatives >= self.batch_size:
            expected = f"fewer than a batch has clips, {self.batch_size}, or this loss is always 0"
            raise _contradiction(("vpsa", "num_negatives"), expected=expected, found=vpsa.num_negatives)
        return self


class CPSPFullParams(PSPFullParams, CPSPWeakParams):
    """CPSP with a label per segment."""

    spsa: SpsaParams


class SSPSPParams(PropagationParams):
    """SSPSP, in either supervision."""

    nce: NceParams


class ScheduledMethod(Section):
    """A method without losses of its own."""

    full: ScheduleParams
    weak: ScheduleParams


class PooledMethod(Section):
    """A method without losses of its own, but a choice of pooling."""

    full: PoolingParams
    weak: PoolingParams


class PSPMethod(Section):
    """PSP."""

    full: PSPFullParams
    weak: PropagationParams


class CPSPMethod(Section):
    """CPSP."""

    full: CPSPFullParams
    weak: CPSPWeakParams


class SSPSPMethod(Section):
    """SSPSP."""

    full: SSPSPParams
    weak: SSPSPParams


class WeakParams(Section):
    """What concerns the weak training of any method."""

    background_clips: Literal["auto", True, False]


class TrainParams(Section):
    """The method, its supervision, and the settings of every method under either supervision."""

    method: MethodName
    supervision: Supervision
    seed: Seed
    num_seeds: Count
    device: Device
    precision: Literal["float32", "bfloat16", "float64"]
    cache: Literal["auto", "gpu", "ram", "stream"]
    weak: WeakParams
    avel: PooledMethod
    avsdn: PooledMethod
    cmran: ScheduledMethod
    psp: PSPMethod
    cpsp: CPSPMethod
    sspsp: SSPSPMethod

    @property
    def settings(self) -> ScheduleParams:
        """The settings of the method and supervision that are trained."""
        settings: ScheduleParams = getattr(getattr(self, self.method), self.supervision)
        return settings


class EvaluateParams(Section):
    """How scores are given an interval."""

    num_resamples: Count
    confidence: Annotated[float, Field(gt=0, lt=1)]
    seed: Seed


class ReportParams(Section):
    """How much the report shows."""

    num_clips: Count


class TablesParams(Section):
    """The rows of the paper's tables that are trained, each with every seed; `num_epochs` counts for all of them."""

    methods: Annotated[list[MethodName], Field(min_length=1)]
    supervisions: Annotated[list[Supervision], Field(min_length=1)]
    ablations: list[RowName]
    seeds: Annotated[list[Seed], Field(min_length=1)]
    num_epochs: Count | None

    @field_validator("methods", "supervisions", "ablations", "seeds")
    @classmethod
    def _each_once(cls, values: list[object]) -> list[object]:
        if len(set(values)) < len(values):
            raise ValueError("each once")
        return values


class Params(Section):
    """The whole of ``params.yaml``."""

    dataset: DatasetParams
    features: FeaturesParams
    extract: ExtractParams
    visual: VisualParams
    audio: AudioParams
    train: TrainParams
    evaluate: EvaluateParams
    report: ReportParams
    tables: TablesParams

    @model_validator(mode="after")
    def _continuous_patches_are_a_second_apart(self) -> Self:
        seconds = self.dataset.segment_seconds
        if self.audio.alignment == "continuous" and seconds != 1:
            expected = f"'segment' where dataset.segment_seconds is {seconds}, not 1"
            raise _contradiction(("audio", "alignment"), expected=expected, found=self.audio.alignment)
        return self


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and validate `path`.

    Raises
    ------
    ParamsError
        If the file is missing or no YAML, or names every faulty key: wrong, missing and unknown ones together.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path)
    except OSError as error:
        raise ParamsError(
            f"{path}: expected the parameters, found no readable file; "
            "run from the repository's root, or write it with `python -m pipeline use synthetic`"
        ) from error
    except YAMLError as error:
        line = " ".join(str(error).split())
        raise ParamsError(f"{path}: expected YAML 1.2, found {line}; mend the line it names") from error
    if not isinstance(content, dict):
        raise ParamsError(
            f"{path}: expected sections such as `train:`, found {type(content).__name__}; "
            "start again from `python -m pipeline use synthetic`"
        )
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise ParamsError(describe_faults(path, error)) from error


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings with dotted keys.

    >>> flatten({"full": {"vpsa": {"margin": 0.2}}}, "train.cpsp.")
    {'train.cpsp.full.vpsa.margin': 0.2}
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _contradiction(key: tuple[str, ...], *, expected: str, found: object) -> ValidationError:
    """Return the error of a key whose value another section forbids; a plain ValueError would blame the whole file."""
    return ValidationError.from_exception_data(
        "Params", [{"type": "value_error", "loc": key, "input": found, "ctx": {"error": ValueError(expected)}}]
    )


def describe_faults(subject: object, error: ValidationError) -> str:
    """Return all faulty keys that a validation found in `subject`, in one line."""
    faults = []
    for fault in error.errors(include_url=False):
        key = ".".join(str(part) for part in fault["loc"]) or "(file)"
        if fault["type"] == "missing":
            faults.append(f"{key}: expected a value, found none")
        elif fault["type"] == "extra_forbidden":
            faults.append(f"{key}: expected no such key, found {fault['input']!r}")
        else:
            faults.append(f"{key}: {_lower_first(fault['msg'])}, found {fault['input']!r}")
    return f"{subject} has {len(faults)} faulty key{'s' * (len(faults) > 1)}: {'; '.join(faults)}"


def _lower_first(text: str) -> str:
    text = text.replace("Input should be", "expected").replace("Value error, ", "expected ")
    return text[:1].lower() + text[1:]

"""``params.yaml``: every value the pipeline can be given, validated as a whole before any work.

A stage calls :func:`load_params` and passes plain values on; no other module opens the file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import Field, ValidationError, ValidationInfo, create_model, field_validator, model_validator

from pipeline.backbones.registry import BACKBONES
from pipeline.core.sections import (
    Count,
    Device,
    FolderName,
    Fraction,
    Positive,
    RowName,
    Section,
    Seed,
    Sha256,
    contradiction,
    load_section,
)
from pipeline.methods.recipe import Recipe, RecipeName
from pipeline.methods.registry import METHODS, methods_of
from pipeline.methods.settings import GateChoice, Schedule, ScheduleParams, Supervision, Task

if TYPE_CHECKING:
    BackboneName = str
else:
    BackboneName = Literal[tuple(BACKBONES)]

FORMATS: Mapping[Task, tuple[str, ...]] = {
    "localization": ("synthetic", "ave", "vggsound_avel", "csv"),
    "parsing": ("synthetic", "llp", "csv"),
}
"""The formats of annotations that have the labels of a task."""


class DatasetParams(Section):
    """The data set, how its annotations are read, and how its clips are cut."""

    name: FolderName
    task: Task
    format: Literal["synthetic", "ave", "vggsound_avel", "llp", "csv"]
    videos: Annotated[str, Field(min_length=1)]
    split: Literal["official", "leak_free"]
    ambiguous_videos: Literal["largest", "error"]
    labels: Literal["annotations", "released"]
    short_clips: Literal["mask", "repeat"]
    num_segments: Count
    segment_seconds: Annotated[float, Field(ge=0.96)]  # VGGish hears the first 0.96 s of a segment
    min_coverage: Fraction

    @model_validator(mode="after")
    def _format_has_the_labels_of_the_task(self) -> Self:
        if self.format not in FORMATS[self.task]:
            expected = f"{' | '.join(FORMATS[self.task])} where dataset.task is {self.task}"
            raise contradiction(("format",), expected=expected, found=self.format)
        return self

    @model_validator(mode="after")
    def _released_labels_are_of_ave(self) -> Self:
        if self.labels == "released" and self.format != "ave":
            expected = f"annotations where dataset.format is {self.format}: label files were released for ave alone"
            raise contradiction(("labels",), expected=expected, found=self.labels)
        return self


class FeaturesParams(Section):
    """The source of the features: computed from the videos, or published by the data set's authors."""

    source: Literal["extracted", "released"]


class ExtractParams(Section):
    """The use of the machine by extraction; nothing here is part of a feature's recipe."""

    engine: Literal["local", "ray"]
    device: Device
    batch_size: Annotated[int, Field(ge=0)]
    num_workers: Annotated[int, Field(ge=0)]
    timeout_seconds: Positive
    shard_size: Count


class MotionParams(Section):
    """A second visual stream, of a network that sees all frames of a segment at once (LLP: R(2+1)D-18)."""

    backbone: BackboneName
    weights: Annotated[str, Field(min_length=1)]
    weights_sha256: Sha256 | None
    weights_seed: Seed

    @field_validator("backbone")
    @classmethod
    def _motion_is_seen_in_snippets(cls, backbone: str) -> str:
        if not BACKBONES[backbone].is_of_snippets:
            of_snippets = " or ".join(name for name, facts in BACKBONES.items() if facts.is_of_snippets)
            raise ValueError(f"{of_snippets}, which sees all frames of a segment at once")
        return backbone


class VisualParams(Section):
    """The recipe of the visual features; `motion` is a second stream of the same frames, or None."""

    backbone: BackboneName
    weights: Annotated[str, Field(min_length=1)]
    weights_sha256: Sha256 | None
    weights_seed: Seed
    sampling: Literal["frames", "time"]
    frames_per_segment: Count
    combine: Literal["mean", "stack"]
    motion: MotionParams | None
    precision: Literal["float32", "bfloat16", "float16"]
    storage: Literal["float16", "float32"]
    max_failed_fraction: Fraction

    @field_validator("combine")
    @classmethod
    def _snippets_are_not_stacked(cls, combine: str, info: ValidationInfo) -> str:
        backbone = info.data.get("backbone")
        if combine == "stack" and backbone in BACKBONES and BACKBONES[backbone].is_of_snippets:
            raise ValueError(f"'mean' for {backbone}, which sees all frames of a segment at once")
        return combine

    @model_validator(mode="after")
    def _frames_go_with_motion(self) -> Self:
        if self.motion is not None and BACKBONES[self.backbone].is_of_snippets:
            of_frames = " | ".join(name for name, facts in BACKBONES.items() if not facts.is_of_snippets)
            expected = f"{of_frames} where visual.motion is set, which is the stream of snippets"
            raise contradiction(("backbone",), expected=expected, found=self.backbone)
        return self


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


class WeakParams(Section):
    """The settings of weak training that all methods share."""

    background_clips: Literal["auto", True, False]


class ParsingWeakParams(WeakParams):
    """Those of parsing, where no clips are added: one without tags belongs to a split as any other."""

    background_clips: Literal["auto", False]


class CommonParams(Section):
    """The schedule that the common recipe has for every method."""

    full: Schedule
    weak: Schedule


class ParsingCommonParams(Section):
    """The schedule that the common recipe has for every method of parsing, which knows tags alone."""

    weak: Schedule


class TrainParams(Section):
    """The method, its supervision and recipe; a subclass per task adds the settings of every method of the task."""

    method: str
    supervision: Supervision
    recipe: RecipeName
    initialisation: Literal["released", "xavier"]
    seed: Seed
    num_seeds: Count
    device: Device
    precision: Literal["float32", "bfloat16", "float64"]
    cache: Literal["auto", "gpu", "ram", "stream"]
    weak: WeakParams
    common: CommonParams | ParsingCommonParams

    @model_validator(mode="after")
    def _method_has_the_supervision(self) -> Self:
        supervisions = METHODS[self.method].supervisions
        if self.supervision not in supervisions:
            expected = f"{' or '.join(supervisions)}: {self.method} has no other form"
            raise contradiction(("supervision",), expected=expected, found=self.supervision)
        return self

    @model_validator(mode="after")
    def _method_can_be_trained_with_the_schedule(self) -> Self:
        settings = self.settings
        try:
            type(settings).model_validate(settings.model_dump())
        except ValidationError as error:
            fault = error.errors()[0]
            expected = f"{fault['msg'].removeprefix('Value error, ')}, with the schedule of train.{self.schedule_block}"
            key = (self.method, self.supervision, *map(str, fault["loc"]))
            raise contradiction(key, expected=expected, found=fault["input"]) from error
        return self

    @property
    def schedule_block(self) -> str:
        """The key, inside of ``train``, under which the schedule stands that is trained with."""
        return f"{self.method if self.recipe == 'authors' else 'common'}.{self.supervision}"

    @property
    def settings(self) -> ScheduleParams:
        """The settings of the method and supervision that are trained, with the schedule of the recipe."""
        own = cast(ScheduleParams, getattr(getattr(self, self.method), self.supervision))
        if self.recipe == "authors":
            return own
        return own.model_copy(update=dict(getattr(self.common, self.supervision)))

    @property
    def milestones_are_steps(self) -> bool:
        """Whether the learning rate falls after steps of the optimiser instead of epochs."""
        return self.recipe == "authors" and self.settings.milestones_are_steps

    @property
    def conduct(self) -> Recipe:
        """What surrounds the optimisation: the authors' conduct, or the common one."""
        return METHODS[self.method].recipe(self.supervision, self.recipe)


def _train_params(task: Task, weak: type[WeakParams], common: type[Section]) -> type[TrainParams]:
    """Return the section `train` of a task: with the names of its methods, and a block of each."""
    methods = methods_of(task)
    blocks: dict[str, Any] = {name: (method.settings, ...) for name, method in methods.items()}
    fields: dict[str, Any] = {
        "method": (Literal[tuple(methods)], ...),
        "weak": (weak, ...),
        "common": (common, ...),
        **blocks,
    }
    return create_model(
        f"{task.capitalize()}TrainParams",
        __base__=TrainParams,
        __module__=__name__,
        __doc__=TrainParams.__doc__,
        **fields,
    )


LocalizationTrainParams = _train_params("localization", WeakParams, CommonParams)
ParsingTrainParams = _train_params("parsing", ParsingWeakParams, ParsingCommonParams)


class EvaluateParams(Section):
    """The bootstrap intervals of the scores."""

    num_resamples: Count
    confidence: Annotated[float, Field(gt=0, lt=1)]
    seed: Seed

    def rule_of(self, method: str) -> str:
        """Return how labels follow from the answers of a method's networks where they are scored."""
        return METHODS[method].rule


class ParsingEvaluateParams(EvaluateParams):
    """The intervals, and which prediction about the clip gates its segments: see :mod:`pipeline.metrics.parsing`."""

    gate: GateChoice

    def rule_of(self, method: str) -> str:
        """Return the rule with the gate that is asked for; the authors' is that of the method."""
        return METHODS[method].rule_with(self.gate)


class ReportParams(Section):
    """The number of clips that the report shows in detail."""

    num_clips: Count


class TablesParams(Section):
    """The rows of the paper's tables that are trained, each with every seed; `num_epochs` counts for all of them."""

    rows: Annotated[list[RowName], Field(min_length=1)]
    seeds: Annotated[list[Seed], Field(min_length=1)]
    num_epochs: Count | None

    @field_validator("rows", "seeds")
    @classmethod
    def _each_once(cls, values: list[object]) -> list[object]:
        if len(set(values)) < len(values):
            raise ValueError("each once")
        return values


class Params(Section):
    """The whole of ``params.yaml``; a subclass per task has the methods of that task."""

    dataset: DatasetParams
    features: FeaturesParams
    extract: ExtractParams
    visual: VisualParams
    audio: AudioParams
    train: TrainParams
    evaluate: EvaluateParams
    report: ReportParams
    tables: TablesParams

    task: ClassVar[Task]

    @model_validator(mode="after")
    def _methods_are_of_the_task(self) -> Self:
        if self.dataset.task != self.task:
            expected = f"{self.task}, whose methods train has (`python -m pipeline use` puts other params in place)"
            raise contradiction(("dataset", "task"), expected=expected, found=self.dataset.task)
        return self

    @model_validator(mode="after")
    def _continuous_patches_are_a_second_apart(self) -> Self:
        seconds = self.dataset.segment_seconds
        if self.audio.alignment == "continuous" and seconds != 1:
            expected = f"'segment' where dataset.segment_seconds is {seconds}, not 1"
            raise contradiction(("audio", "alignment"), expected=expected, found=self.audio.alignment)
        return self


class LocalizationParams(Params):
    """The whole of ``params.yaml`` where ``dataset.task`` is localization."""

    task: ClassVar[Task] = "localization"
    train: LocalizationTrainParams  # type: ignore[valid-type]


class ParsingParams(Params):
    """The whole of ``params.yaml`` where ``dataset.task`` is parsing."""

    task: ClassVar[Task] = "parsing"
    train: ParsingTrainParams  # type: ignore[valid-type]
    evaluate: ParsingEvaluateParams


def params_of_task(content: Mapping[str, Any]) -> type[Params]:
    """Return the class that the content of a ``params.yaml`` is validated by: that of the methods it has blocks of.

    A file whose task is another has then one fault, not one for every method.

    >>> params_of_task({"train": {"method": "han", "han": {}}}).__name__
    'ParsingParams'
    """
    train = content.get("train")
    blocks = set(train) if isinstance(train, Mapping) else set()
    is_parsing = blocks & set(methods_of("parsing")) and not blocks & set(methods_of("localization"))
    return ParsingParams if is_parsing else LocalizationParams


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and validate `path`.

    Raises
    ------
    ParamsError
        As :func:`pipeline.core.sections.load_section`.
    """
    remedy = "run from the repository's root, or write it with `python -m pipeline use synthetic`"
    return load_section(path, params_of_task, expected="the parameters", remedy=remedy)

"""Recipes that may have made a feature: the settings that people vary, around those of ``params.yaml``."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from pipeline.backbones.registry import BACKBONES
from pipeline.backbones.sources import Source
from pipeline.backbones.vggish import VGGISH_SOURCES
from pipeline.doctor.values import Shape
from pipeline.features.recipes import Modality
from pipeline.params.schema import AudioParams, DatasetParams, MotionParams, Params, VisualParams

FRAMES_PER_SEGMENT = (16, 8, 1)
"""The numbers of the AVE release, of LLP, and of quick extractions. Where frames are chosen by number,
the frames of each are among those of the one before, which costs the network nothing."""

SNIPPET_LENGTHS = (16, 8)


@dataclass(frozen=True)
class Candidate:
    """One recipe, as two sections of ``params.yaml``."""

    section: VisualParams | AudioParams
    dataset: DatasetParams

    @property
    def modality(self) -> Modality:
        """``visual`` or ``audio``."""
        return "visual" if isinstance(self.section, VisualParams) else "audio"

    @property
    def settings(self) -> dict[str, Any]:
        """The values of ``params.yaml`` that describe the recipe, by their keys."""
        keys = ["weights", "weights_seed"] if self.section.weights == "random" else ["weights"]
        if isinstance(self.section, VisualParams):
            keys = ["backbone", *keys, "sampling", "frames_per_segment", "combine"]
        else:
            keys += ["alignment", "postprocess", *(["pca_weights"] if self.section.postprocess == "pca" else [])]
        settings = {f"{self.modality}.{key}": getattr(self.section, key) for key in keys}
        if isinstance(self.section, VisualParams) and self.section.motion is not None:
            settings["visual.motion"] = self.section.motion.model_dump()
        return settings


def find_candidates(
    params: Params, shape: Shape, num_segments: int, recipe: Mapping[str, Any] | None
) -> list[Candidate]:
    """Return the recipes that are worth comparing with a file.

    Parameters
    ----------
    params : Params
        Everything that is not varied; its own recipe is a candidate where it makes segments of that shape.
    shape : Shape
        Modality and networks that make segments of the file's shape.
    num_segments : int
        T of the file.
    recipe : mapping, optional
        The recipe that the file carries; its weights are tried too.
    """
    dataset = params.dataset.model_copy(update={"num_segments": num_segments})
    sections: Iterator[VisualParams | AudioParams] = _audio(params, recipe)
    if shape.modality == "visual":
        sections = _visual(params.visual, shape, recipe)
    return [Candidate(section, dataset) for section in dict.fromkeys(sections)]


def _visual(visual: VisualParams, shape: Shape, recipe: Mapping[str, Any] | None) -> Iterator[VisualParams]:
    for name in shape.backbones:
        backbone = BACKBONES[name]
        is_named = visual.backbone == name
        lengths = [*(SNIPPET_LENGTHS if backbone.is_of_snippets else FRAMES_PER_SEGMENT)]
        lengths += [visual.frames_per_segment] if is_named else []
        if shape.num_stacked:
            lengths = [shape.num_stacked]
        for weights, motion, sampling, length in product(
            _weights(visual, backbone.sources, recipe, is_named=is_named),
            _motions(visual, shape.motion, recipe),
            ("frames", "time"),
            lengths,
        ):
            yield visual.model_copy(
                update={
                    **weights,
                    "backbone": name,
                    "sampling": sampling,
                    "frames_per_segment": length,
                    "combine": "stack" if shape.num_stacked else "mean",
                    "motion": motion,
                }
            )


def _motions(visual: VisualParams, name: str | None, recipe: Mapping[str, Any] | None) -> list[MotionParams | None]:
    """Return the motion streams to try with a backbone, or None where a segment has none."""
    if name is None:
        return [None]
    sources = BACKBONES[name].sources
    own = visual.motion or MotionParams(
        backbone=name, weights=next(iter(sources)), weights_sha256=None, weights_seed=visual.weights_seed
    )
    of_recipe = (recipe or {}).get("motion")
    chosen = _weights(
        own, sources, of_recipe if isinstance(of_recipe, Mapping) else None, is_named=own.backbone == name
    )
    return [own.model_copy(update={**weights, "backbone": name}) for weights in chosen]


def _audio(params: Params, recipe: Mapping[str, Any] | None) -> Iterator[AudioParams]:
    audio = params.audio
    alignments = ("segment", "continuous") if params.dataset.segment_seconds == 1 else ("segment",)
    all_weights = _weights(audio, VGGISH_SOURCES, recipe, is_named=True)
    for weights, postprocess, alignment in product(all_weights, ("none", "pca"), alignments):
        is_own = weights["weights"] == audio.weights
        pca = {} if is_own else {"pca_weights": weights["weights"], "pca_sha256": None}
        yield audio.model_copy(update={**weights, **pca, "postprocess": postprocess, "alignment": alignment})


def _weights(
    section: VisualParams | MotionParams | AudioParams,
    sources: Mapping[str, Source],
    recipe: Mapping[str, Any] | None,
    *,
    is_named: bool,
) -> list[dict[str, Any]]:
    """Return the weights to try, as values of the section: its own, the published ones, and those of the recipe."""
    own = {key: getattr(section, key) for key in ("weights", "weights_sha256", "weights_seed")}
    takes_own = is_named or section.weights == "random"
    published = [name for name in sources if not (takes_own and name == section.weights)]
    chosen = [own] if takes_own else []
    chosen += [{"weights": name, "weights_sha256": None} for name in published]
    name, _, seed = str((recipe or {}).get("weights")).partition(":")
    if name == "random" and seed.isdecimal():
        chosen.append({"weights": name, "weights_sha256": None, "weights_seed": int(seed)})
    return chosen
